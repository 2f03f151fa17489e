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
from order_manager.doctor.findings import Finding, first_line, ok, problem, warning
from order_manager.queues import MAINTENANCE, is_symbol_queue
from order_manager.settings import Settings

PING_S = 2.0
PAGE_S = 3.0
LATE = 3  # intervals without a comparison

Page = str  # of metrics, as Prometheus reads them


def look_at_workers(settings: Settings, lanes: Sequence[LaneView]) -> list[Finding]:
    """By Celery's own ping and their queues: an app of its own, so that no other is touched."""
    app = Celery("order_manager_doctor", broker=settings.broker_url, set_as_current=False)
    try:
        active = app.control.inspect(timeout=PING_S).active_queues() or {}
    except Exception as error:  # noqa: BLE001 - whatever the broker's library raises
        return [problem("workers", f"they could not be asked: {first_line(error)}", "see the broker")]
    finally:
        app.close()
    if not active:
        return [problem("workers", "no worker answers", "start symbol workers and a maintenance worker")]
    queues = {node: {queue["name"] for queue in of_node} for node, of_node in active.items()}
    consumed = set().union(*queues.values())
    found = []
    if MAINTENANCE not in consumed:
        mend = "start celery -A order_manager worker -c 1 -n maintenance@%h -Q maintenance"
        found.append(problem("workers", "no maintenance worker answers", mend))
    if left := [lane.symbol for lane in lanes if f"orders.{lane.symbol}" not in consumed]:
        mend = "start more symbol workers, or look at ORDERMANAGER_WORKER_SYMBOLS"
        found.append(problem("workers", f"nobody works {', '.join(left)}", mend))
    served = sum(is_symbol_queue(name) for name in consumed)
    said = (
        f"{', '.join(sorted(node.partition('@')[0] for node in active))} answer; {served} symbols are worked"
    )
    return found or [ok("workers", said)]


def look_at_processes(rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Of a fleet on this machine, as its data folder tells."""
    bad = [f"{row['name']} ({row['state']})" for row in rows if row["state"] != "RUNNING"]
    if not bad:
        return []
    mend = "its log is in the data folder under logs; what fails is started again every few seconds"
    return [problem("processes", f"not running: {', '.join(bad)}", mend)]


def look_at_beat(
    settings: Settings, engine: Engine, lanes: Sequence[LaneView], pages: Iterable[Page], *, now_s: float
) -> list[Finding]:
    """By its lock, by what its metrics say of the last run, and by what it leads to: comparisons."""
    mend = "start celery -A order_manager beat; its log says whether it leads"
    if not beat_leads(engine):
        return [problem("beat", "none runs: nothing is swept, compared or cancelled as stale", mend)]
    sent = [
        value
        for page in pages
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


def look_at_stream(settings: Settings, pages: Iterable[Page]) -> list[Finding]:
    if settings.enable_dry_run:
        return [ok("stream", "a dry run follows none")]
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
            "no metrics of a stream process were found: it may run or not",
            "give ORDERMANAGER_METRICS_PORT to it, and doctor --metrics http://HOST:PORT/metrics",
        )
    ]


def read_pages(urls: Iterable[str]) -> tuple[list[Page], list[Finding]]:
    """Metrics of other processes; one that does not answer is a finding."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pages, found = [], []
    for url in urls:
        try:
            with opener.open(url, timeout=PAGE_S) as answer:
                pages.append(answer.read().decode())
        except (urllib.error.URLError, OSError, ValueError) as error:
            found.append(warning("metrics", f"{url}: {first_line(error)}", "does its process run?"))
    return pages, found


def _values(page: Page, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf"(?m)^{name}(?:{{[^}}]*}})? (\S+)$", page)]
