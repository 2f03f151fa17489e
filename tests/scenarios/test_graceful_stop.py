"""SIGTERM to every process of docker-compose.yml under load: each ends within its grace, and nothing is lost.

A clean end is exit status 0, for every program, with no child left. A process that does not handle signals
yet has begun nothing, and one that does not any more has done everything: these may end by SIGTERM itself.
"""

import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
import requests

from order_manager.database.locks import BEAT_LOCK
from tests.scenarios.composed import PARENTS, ComposedHouse, Relay, grace_s
from tests.scenarios.conftest import ComposedHouseMaker
from tests.scenarios.house import wait_until
from tests.scenarios.judge import link_ids, placed, wait_for_agreement
from tests.scenarios.test_kills import UNEXECUTED, all_ended, some_signals

CLEAN, UNHANDLED = "exit status 0", "terminated by SIGTERM"
BATCH, PAUSE_S = 4, 0.3
PATIENT = {
    "ORDERMANAGER_ORDER_EXECUTION_TIMEOUT": "300"
}  # all starts together may take longer than its default
SLOW = ("/v5/order/create", "/v5/order/cancel", "/v5/order/realtime")
TROUBLE = re.compile(r'"level": "(?:error|critical)"|Traceback|\[(?:ERROR|CRITICAL)\]|^\[[EC] ', re.MULTILINE)


class Load(threading.Thread):
    """Signals for several symbols, one after the other; the exchange answers some requests late."""

    def __init__(self, house: ComposedHouse, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.house, self.chance = house, chance
        self.signals = some_signals(2000, chance)
        self.sent = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(PAUSE_S):
            with suppress(requests.RequestException):  # the exchange is stopped, too
                self.house.paper.fault(self.chance.choice(SLOW), "delay", delay_ms=300)
            self._publish(self.signals[self.sent : self.sent + BATCH])
            self.sent += BATCH

    def _publish(self, batch: Sequence[dict[str, Any]]) -> None:
        """As a sender that keeps what the broker did not take."""
        while True:
            try:
                return self.house.publish(*batch)
            except Exception:  # noqa: BLE001 - each client library has its own
                time.sleep(0.1)

    def stop(self) -> list[dict[str, Any]]:
        """Returns what was sent."""
        self.stopped.set()
        self.join()
        return self.signals[: self.sent]


class Caller(threading.Thread):
    """Asks the REST API for one sync after the other, and for orders in between."""

    def __init__(self, house: ComposedHouse) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.syncs: list[int] = []  # the statuses
        self.reads: list[int] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.05):
            with suppress(requests.ConnectionError):  # refused, or never taken off the listening socket
                self.syncs.append(self.house.api("POST", "/api/v1/sync").status_code)
                self.reads.append(self.house.api("GET", "/api/v1/orders").status_code)

    def stop(self) -> None:
        self.stopped.set()
        self.join()


def down(house: ComposedHouse) -> list[str]:
    """What does not work yet: what each program has to hold or to tell is not there."""
    found = []
    for name, url in house.probes.items():
        try:
            if not requests.get(url, timeout=2).ok or len(house.processes(name)) < 1 + (name in PARENTS):
                found.append(name)
        except (requests.RequestException, KeyError, psutil.NoSuchProcess) as error:
            found.append(f"{name}: {error!r}")
    with suppress(requests.RequestException):
        found += [] if house.paper.listeners() == 1 else ["the stream's subscription"]
    found += [] if len(house.leases()) == 2 else [f"leases: {house.leases()}"]
    return found if house.holds(BEAT_LOCK) else [*found, "the lead of a beat"]


def wait_until_up(house: ComposedHouse) -> None:
    wait_until(
        lambda: not down(house),
        what="every program",
        timeout_s=60,
        pause_s=0.3,
        tell=lambda: f"{down(house)}; {house.tell()}",
    )
    stored = house.count("trading_signals")
    wait_until(lambda: house.count("trading_signals") > stored, what="the consumer", tell=house.tell)


def terminate(house: ComposedHouse, names: Iterable[str], *, pause_s: float = 0) -> None:
    """SIGTERM to each, `pause_s` apart, and wait until it and its children are gone."""
    families = {}
    for name in names:
        with suppress(KeyError, psutil.NoSuchProcess):  # between an end and a start
            families[name] = house.processes(name)
    sent, took = {}, {}
    for name, family in families.items():
        sent[name] = time.monotonic()
        with suppress(psutil.NoSuchProcess):
            family[0].terminate()
        time.sleep(pause_s)
    while families:
        for name in [name for name, family in families.items() if not any(map(_lives, family))]:
            took[name] = time.monotonic() - sent[name]
            del families[name]
        late = [name for name in families if time.monotonic() - sent[name] > grace_s(name)]
        assert not late, f"{late} did not end within the grace; {took}; {house.tell()}"
        time.sleep(0.02)
    print({name: round(seconds, 2) for name, seconds in took.items()})


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def trouble(house: ComposedHouse) -> list[str]:
    """Lines at error level, and tracebacks, in the logs of all programs."""
    return [
        f"{program.name}: {line[:1000]}"
        for program in house.fleet.programs
        for line in house.log(program.name).splitlines()
        if TROUBLE.search(line)
    ]


def names_of(house: ComposedHouse) -> list[str]:
    return [program.name for program in house.fleet.programs]


@contextmanager
def loaded(house: ComposedHouse) -> Iterator[None]:
    """The house at work under load; at the end everything must have ended as it should."""
    house.start()
    load = Load(house, random.Random(20261121))
    load.start()
    wait_until_up(house)
    wait_until(lambda: house.count("orders") >= 10, what="orders", tell=house.tell)
    try:
        yield
    finally:
        signals = load.stop()
    wait_until(lambda: all_ended(house, len(signals)), what="the end", timeout_s=60, tell=house.tell)
    assert house.rows(UNEXECUTED) == []
    assert placed(house) == link_ids(signals)
    wait_for_agreement(house, timeout_s=30)


RABBITMQ = pytest.mark.rabbitmq
in_turn = pytest.mark.parametrize(
    "broker",
    [pytest.param("redis", marks=pytest.mark.long), pytest.param("rabbitmq", marks=RABBITMQ)],
    indirect=True,
)
at_once = pytest.mark.parametrize(
    "broker", ["redis", pytest.param("rabbitmq", marks=RABBITMQ)], indirect=True
)


@pytest.mark.slow
@in_turn
def test_sigterm_to_one_process_after_the_other(composed_house_on: ComposedHouseMaker) -> None:
    with composed_house_on(**PATIENT) as house, loaded(house):
        caller = Caller(house)
        caller.start()
        names = names_of(house)
        names.remove("web")
        random.Random(7).shuffle(names)
        wait_until(lambda: house.count("sync_runs") > len(caller.syncs), what="a sync", pause_s=0.01)
        terminate(house, ["web", *names], pause_s=0.1)
        wait_until_up(house)
        caller.stop()

        assert set(caller.syncs) <= {200, 202}
        assert len(caller.syncs) == house.count("sync_runs")  # each that was begun was answered
        assert set(caller.reads) == {200}
        assert {how for _, how in house.exits()} == {CLEAN}
        assert {name for name, _ in house.exits()} == set(names_of(house))
        assert trouble(house) == []


@pytest.mark.long
@at_once
def test_sigterm_to_all_at_once_and_a_start(composed_house_on: ComposedHouseMaker) -> None:
    with composed_house_on(**PATIENT) as house, loaded(house):
        # As `docker compose stop` does, and an impatient hand a moment later.
        impatience = threading.Timer(0.1, terminate, (house, names_of(house)))
        impatience.start()
        assert house.fleet.stop() == []  # nobody had to be killed
        impatience.join()

        assert {how for _, how in house.exits()} <= {CLEAN, UNHANDLED}
        assert trouble(house) == []
        house.start()
        wait_until_up(house)


@pytest.mark.long
@pytest.mark.parametrize("away", ["broker", "postgres"])
def test_sigterm_while_a_server_is_away(composed_house_on: ComposedHouseMaker, away: str) -> None:
    with composed_house_on(**PATIENT) as house, loaded(house):
        relay: Relay = getattr(house, away)
        relay.cut()
        terminate(house, names_of(house))
        time.sleep(1)
        terminate(house, names_of(house))  # what was just started, and cannot come up
        relay.let_through()
        wait_until_up(house)
        assert {how for _, how in house.exits()} <= {CLEAN, UNHANDLED}
