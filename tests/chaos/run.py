"""One run on one broker: start, storm, calm, judge."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.exc import DBAPIError

from tests.chaos import judge
from tests.chaos.havoc import Havoc
from tests.chaos.load import GARBAGE, REPEAT, SIGNAL, Message, Sender, limits, messages
from tests.chaos.plan import Plan, fingerprint, schedule
from tests.chaos.recovery import Recovery, recoveries
from tests.chaos.servers import START_WITHIN_S, running_servers
from tests.scenarios.house import House, running_house, wait_until
from tests.scenarios.judge import differences

FLEET = ("consumer", "stream", "lane", "maintenance", "beat")
EXCHANGE = (
    "--create-limit",
    "500",
    "--read-limit",
    "2000",
    "--price-interval-ms",
    "0",
    "--extra-symbols",
    "1",
)
# The session timeout is what freezes are measured by; evidence of absence takes the window and 2 s.
SETTINGS = {
    "ORDERMANAGER_SESSION_TIMEOUT": "5",
    "ORDERMANAGER_RECONCILIATION_INTERVAL": "5",
    "ORDERMANAGER_RECV_WINDOW_MS": "2000",
    "ORDERMANAGER_EXCHANGE_TIMEOUT": "2",
    "ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY": "0.2",
    "ORDERMANAGER_ORDER_EXECUTION_TIMEOUT": "60",
}
# Nobody promises how fast the fleet catches up; a fleet that gets nowhere for so long has lost something.
STUCK_AFTER_S = 90.0
PAGE = 20_000

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run did, and where a promise was broken."""

    plan: Plan
    fingerprint: str
    folder: Path
    broken: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    recoveries: dict[str, Recovery] = field(default_factory=dict)

    kills: int = 0
    faults: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether every promise was."""
        return not any(self.broken.values())


@contextmanager
def run_folder(*, keep: Callable[[], bool]) -> Iterator[Path]:
    """Below the system's own, and open to the user that PostgreSQL may run as."""
    folder = Path(tempfile.mkdtemp(prefix="om-chaos-"))
    folder.chmod(0o755)
    is_unfinished = True
    try:
        yield folder
        is_unfinished = False
    finally:
        if not (is_unfinished or keep()):
            shutil.rmtree(folder, ignore_errors=True)


def run(plan: Plan, *, say: Say = lambda what: None, keep: bool = False) -> Result:
    """The folder with logs, ledger and database remains when a promise was broken."""
    actions = schedule(plan)
    results: list[Result] = []
    began = time.monotonic()
    with run_folder(keep=lambda: keep or not results[0].is_kept) as folder:
        result = Result(plan=plan, fingerprint=fingerprint(actions), folder=folder)
        results.append(result)
        say(f"{plan.broker}: seed {plan.seed}, schedule {result.fingerprint}, in {folder}")
        with (
            running_servers(folder, plan.broker) as servers,
            running_house(
                folder,
                servers.environment,
                database_url=servers.database_url,
                workers=plan.workers,
                only=FLEET,
                exchange_options=EXCHANGE,
                **SETTINGS,
                **limits(),
                ORDERMANAGER_ENABLE_ORDER_AMENDING=str(plan.amends).lower(),
            ) as house,
        ):
            wait_until(
                lambda: len(house.leases()) >= plan.workers,
                what="the workers",
                timeout_s=START_WITHIN_S,
                pause_s=0.5,
            )
            found = messages(plan)
            started = time.monotonic()
            say(f"{plan.broker}: runs after {started - began:.0f} s; {plan.duration:.0f} s of storm")
            sender = Sender(house, found, started)
            sender.start()
            havoc = Havoc(house, servers.restart, log=folder / "havoc.log")
            try:
                havoc.run(actions, started, is_over=lambda: not sender.is_alive() and is_worked_off(house))
                calm = time.monotonic()
                say(f"{plan.broker}: calm after {calm - started:.0f} s, {sum(havoc.kills.values())} kills")
                _wait_for_sender(sender, len(found))
                _end(result, house, found, havoc, sender, calm=calm, say=say)
            finally:
                sender.gives_up.set()
                havoc.close()
        result.figures["duration"] = f"{time.monotonic() - began:.0f} s"
        result.figures["storm"] = f"{calm - started:.0f} s"
    return result


def _wait_for_sender(sender: Sender, total: int) -> None:
    last, since = -1, time.monotonic()
    while sender.is_alive():
        if sender.sent != last:
            last, since = sender.sent, time.monotonic()
        if time.monotonic() - since > STUCK_AFTER_S:
            raise AssertionError(f"the broker takes nothing: {sender.sent} of {total} were confirmed")
        sender.join(0.5)


def is_worked_off(house: House) -> bool:
    """Whether no signal of the inbox waits."""
    try:
        return house.count("trading_signals WHERE state IN ('waiting', 'planned')") == 0
    except DBAPIError:
        return False


def patiently(house: House, ask: Callable[[], Any], *, tries: int = 10) -> Any:
    """The answer, though connections may have been cut while nobody used them."""
    for left in range(tries, 0, -1):
        try:
            return ask()
        except (DBAPIError, OSError, requests.RequestException):
            if left == 1:
                raise
            time.sleep(1)
    return None


def _end(
    result: Result, house: House, found: list[Message], havoc: Havoc, sender: Sender, *, calm: float, say: Say
) -> None:
    """Wait until the fleet has done everything, or gets nowhere; then judge."""
    is_done = _wait_for_end(house, say)
    say(f"{result.plan.broker}: {'worked off' if is_done else 'STUCK'} after {time.monotonic() - calm:.0f} s")
    differing = _wait_for_agreement(house)
    agreed = time.monotonic() - calm
    say(f"{result.plan.broker}: {'NO ' if differing else ''}agreement after {agreed:.0f} s; judging")

    rows = patiently(house, lambda: house.rows("SELECT * FROM trading_signals ORDER BY seq"))
    related = "SELECT signal_id FROM signal_order_relationships WHERE relation = 'amended'"
    amended = {row["signal_id"] for row in house.rows(related)}
    amended |= {row["signal_id"] for row in rows if "amend" in ((row["decision"] or {}).get("notes") or {})}
    stored = house.rows("SELECT event_id FROM order_events")
    letters = house.rows("SELECT * FROM dead_letters")
    happened = ledger(house, judge.LEDGER_KINDS)
    created = [entry for entry in happened if entry["kind"] == "order_created"]
    names = judge.names_of(message.signal_id for message in found if message.kind == SIGNAL)
    result.broken = {
        "no signal is lost": judge.lost_signals(found, rows),
        "none is executed twice": judge.doubles(created, rows, names, amended=amended),
        "first in, first out per symbol": judge.overtakings(created, rows, names),
        "no limit is exceeded": judge.breaches(happened),
        "garbage is dead letters": judge.unexplained_letters(found, letters),
        "database and events are the ledger": differing,
        "what is published was committed": judge.strange_events(house.told, stored),
    }
    result.recoveries = recoveries(havoc.blows, rows)
    result.figures = _figures(house, found, havoc, sender, rows, happened, amended)
    result.kills = sum(havoc.kills.values())
    result.faults = sum(sum(result.figures[name].values()) for name in ("request faults", "stream faults"))
    result.figures["agreed"] = f"{agreed:.1f} s after the storm" if not differing else "never"


PROGRESS = """
    SELECT (SELECT count(*) FROM trading_signals) AS stored,
        (SELECT count(*) FROM trading_signals WHERE state IN ('waiting', 'planned')) AS waiting,
        (SELECT count(*) FROM order_events WHERE published_at IS NULL) AS unpublished,
        (SELECT count(*) FROM exchange_updates) AS untold
"""


def _wait_for_end(house: House, say: Say) -> bool:
    last: Mapping[str, Any] | None = None
    since = told = time.monotonic()
    quiet = 0
    while time.monotonic() - since < STUCK_AFTER_S:
        (now,) = patiently(house, lambda: house.rows(PROGRESS))
        quiet = 0 if now["waiting"] or now["unpublished"] or now["untold"] or now != last else quiet + 1
        if quiet >= 4:  # nor is the consumer still at work
            return True
        if now != last:
            since = time.monotonic()
        if time.monotonic() - told > 20:
            say(f"  {dict(now)}")
            told = time.monotonic()
        last = now
        time.sleep(0.5)
    return quiet > 0


def _wait_for_agreement(house: House) -> list[str]:
    """The differences that remain."""
    house.told.clear()
    last: list[str] | None = None
    since = time.monotonic()
    while True:
        found = patiently(house, lambda: differences(house))
        if not found:
            return []
        if found != last:
            last, since = found, time.monotonic()
        if time.monotonic() - since > 30:  # six reconciliations
            return found
        time.sleep(1)


def ledger(house: House, kinds: str) -> list[dict[str, Any]]:
    """Everything of these kinds, in order, page by page."""
    found: list[dict[str, Any]] = []
    since = 0
    while True:
        page = house.paper.control("GET", "ledger", params={"since": since, "limit": PAGE, "kind": kinds})
        found += page["entries"]
        if page["next"] == since:
            return found
        since = page["next"]


def _figures(
    house: House,
    found: list[Message],
    havoc: Havoc,
    sender: Sender,
    rows: list[Mapping[str, Any]],
    happened: list[dict[str, Any]],
    amended: set[str],
) -> dict[str, Any]:
    requests_seen = ledger(house, "request")
    private = Counter(entry["fault"] for entry in requests_seen if entry["fault"])
    states = Counter(
        row["state"] if row["state"] == "executed" else f"{row['state']}: {row['code']}" for row in rows
    )
    kinds = Counter(entry["kind"] for entry in happened)
    failed = [row for row in rows if row["attempt"] > 1]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "signals": sum(message.kind == SIGNAL for message in found),
        "repeats": sum(message.kind == REPEAT for message in found),
        "garbage": sum(message.kind == GARBAGE for message in found),
        "published again": f"{sender.unconfirmed} bursts",
        "signals ended": dict(states.most_common()),
        "retried after failing": len(failed),
        "amended for": len(amended),
        "at the exchange": {"requests": len(requests_seen), **dict(kinds)},
        "events": len({event["event_id"] for event in house.told}),
        "events told twice": len(house.told) - len({event["event_id"] for event in house.told}),
        "largest exposure": f"{judge.most(happened):.0f} of {judge.MAX_EXPOSURE}",
        "kills": dict(sorted(havoc.kills.items())),
        "kills that met nobody": havoc.missed,
        "freezes": dict(sorted(havoc.freezes.items())),
        "restarts": dict(sorted(havoc.restarts.items())),
        "by hand": dict(sorted(havoc.by_hand.items())),
        "clock skews": havoc.skews,
        "request faults": dict(sorted((private + havoc.public_faults).items())),
        "stream faults": dict(sorted(havoc.stream_faults.items())),
    }
