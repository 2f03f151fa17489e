"""Do the workers answer, does beat send, is the exchange's stream heard?"""

import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import Celery
from sqlalchemy import Engine

from order_manager.database.desk_views import beat_leads
from order_manager.database.lane_views import LaneView
from order_manager.doctor.findings import Finding, Level, first_line, ok, problem, warning
from order_manager.processes import Concern, Intake, Process, concerns
from order_manager.queues import MAINTENANCE, is_symbol_queue
from order_manager.settings import Settings

PING_S = 2.0
PAGE_S = 3.0
LATE = 3  # intervals without a comparison
FROZEN = "FROZEN"  # stopped by a signal

Page = str  # of metrics, as Prometheus reads them


def look_at_heartbeats(settings: Settings, intake: Intake) -> list[Finding]:
    """Who tells that it lives; what is wrong with the stream is said by its own look."""
    if intake.processes is None:
        return []
    found = [one for one in concerns(settings, intake) if one.about != "stream"]
    if found:
        return [_finding("processes", one) for one in found]
    heard = ", ".join(one.name for one in intake.processes)
    return [ok("processes", f"{heard} are heard; {intake.signals} messages on the signal queue")]


def look_at_workers(
    settings: Settings, lanes: Sequence[LaneView], processes: Sequence[Process] = ()
) -> list[Finding]:
    """By Celery's own ping and their queues: an app of its own, so that no other is touched."""
    app = Celery("order_manager_doctor", broker=settings.broker_url, set_as_current=False)
    try:
        active = app.control.inspect(timeout=PING_S).active_queues() or {}
    except Exception as error:  # noqa: BLE001 - whatever the broker's library raises
        return [problem("workers", f"they could not be asked: {first_line(error)}", "see the broker")]
    finally:
        app.close()
    silent = [one for one in processes if one.role in {"worker", "maintenance"} and not one.is_heard]
    named = f"; {', '.join(one.silence for one in silent)}" if silent else ""
    kill = "; ".join(one.mend for one in silent)
    if not active:
        mend = kill or "start symbol workers and a maintenance worker"
        return [problem("workers", f"no worker answers{named}", mend)]
    queues = {node: {queue["name"] for queue in of_node} for node, of_node in active.items()}
    consumed = set().union(*queues.values())
    found = []
    if MAINTENANCE not in consumed:
        mend = "start celery -A order_manager worker -c 1 -n maintenance@%h -Q maintenance"
        found.append(problem("workers", f"no maintenance worker answers{named}", kill or mend))
    if left := [lane.symbol for lane in lanes if f"orders.{lane.symbol}" not in consumed]:
        mend = "start more symbol workers, or look at ORDERMANAGER_WORKER_SYMBOLS"
        found.append(problem("workers", f"nobody works {', '.join(left)}{named}", kill or mend))
    served = sum(is_symbol_queue(name) for name in consumed)
    said = (
        f"{', '.join(sorted(node.partition('@')[0] for node in active))} answer; {served} symbols are worked"
    )
    return found or [ok("workers", said)]


def look_at_processes(rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Of a fleet on this machine, as its data folder tells."""
    rows = list(rows)
    frozen = [row for row in rows if row["state"] == FROZEN]
    found = [
        problem(
            "processes",
            f"{row['name']} (pid {row['pid']}) is stopped by a signal, and does not answer",
            f"kill -KILL {row['pid']}: it is started anew; or kill -CONT {row['pid']}",
        )
        for row in frozen
    ]
    bad = [f"{row['name']} ({row['state']})" for row in rows if row["state"] not in {"RUNNING", FROZEN}]
    if bad:
        mend = "its log is in the data folder under logs; what fails is started again every few seconds"
        found.append(problem("processes", f"not running: {', '.join(bad)}", mend))
    return found


def look_at_beat(
    settings: Settings,
    engine: Engine,
    lanes: Sequence[LaneView],
    pages: Iterable[Page],
    processes: Sequence[Process] = (),
    *,
    now_s: float,
) -> list[Finding]:
    """By its lock, by what its metrics say of the last run, and by what it leads to: comparisons."""
    mend = "start celery -A order_manager beat; its log says whether it leads"
    beats = [one for one in processes if one.role == "beat"]
    silent = [one for one in beats if not one.is_heard]
    if not beat_leads(engine):
        said = "none leads: nothing is swept, compared or cancelled as stale"
        if silent:
            said += f"; {', '.join(one.silence for one in silent)}"
            return [problem("beat", said, "; ".join(one.mend for one in silent))]
        if beats:
            said += f"; {beats[0].said} runs, and does not lead"
            return [problem("beat", said, "see its log, and the database")]
        return [problem("beat", said, mend)]
    sent = [
        value
        for page in pages
        if not _stands_by(page)
        for value in _values(page, "order_manager_schedule_last_sent_timestamp_seconds")
    ]
    said = "one leads"
    if sent:
        silent_s = now_s - max(sent)
        if silent_s > max(LATE * settings.sweep_interval_s, 30):
            return [problem("beat", f"it leads, and has sent nothing for {silent_s:.0f} s", "see the broker")]
        said = f"one leads; last run {max(silent_s, 0):.0f} s ago"
    late = [
        lane.symbol
        for lane in lanes
        if now_s - max((lane.reconciled_at or lane.opened_at).timestamp(), 0)
        > LATE * settings.reconciliation_interval_s + 30
    ]
    if late and not settings.enable_dry_run:
        mend = "see order-manager status: blocked lanes, missing workers"
        return [warning("beat", f"{said}, but {', '.join(late)} were not compared for long", mend)]
    return [ok("beat", said)]


def look_at_stream(
    settings: Settings, pages: Iterable[Page], processes: Sequence[Process] = ()
) -> list[Finding]:
    if settings.enable_dry_run:
        return [ok("stream", "a dry run follows none")]
    streams = [one for one in processes if one.role == "stream"]
    if streams:
        wrong = [one for one in concerns(settings, Intake(processes=tuple(streams))) if one.about == "stream"]
        if not wrong or any(one.is_heard and one.stream and one.stream.connected for one in streams):
            return [ok("stream", "subscribed")]
        return [_finding("stream", one) for one in wrong]
    connected = [value for page in pages for value in _values(page, "order_manager_stream_connected")]
    if any(connected):
        return [ok("stream", "subscribed")]
    if connected:
        mend = "its log says why: stream_lost passes, stream_denied needs a person"
        return [problem("stream", "it is not subscribed: fills are told up to a minute late", mend)]
    if settings.ws_gateway_host is not None:
        return [ok("stream", "the gateway tells instead")]
    return [
        warning(
            "stream",
            "neither a heartbeat nor metrics of a stream process were found: it may run or not",
            "start order-manager stream where none runs; see redis, by which it would be heard",
        )
    ]


def _finding(about: str, concern: Concern) -> Finding:
    return Finding(about=about, level=Level(concern.level), text=concern.text, mend=concern.mend)


def read_pages(urls: Mapping[str, str]) -> tuple[list[Page], list[Finding]]:
    """Metrics of other processes, with their names; one that does not answer is a finding."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pages, found = [], []
    for url, name in urls.items():
        try:
            with opener.open(url, timeout=PAGE_S) as answer:
                pages.append(answer.read().decode())
        except (urllib.error.URLError, OSError, ValueError) as error:
            who = f"{name} at {url}" if name else url
            mend = "is its process frozen, or gone?"
            found.append(warning("metrics", f"{who} does not answer: {first_line(error)}", mend))
    return pages, found


def _stands_by(page: Page) -> bool:
    """A beat beside the one that leads sends nothing, as it should."""
    leading = _values(page, "order_manager_beat_leading")
    return bool(leading) and not any(leading)


def _values(page: Page, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"(?m)^{name}(?:{{[^}}]*}})? (\S+)$", page)]
