"""The instruments: what processes count. Defined once, here; whoever has something to count imports its own.

Labels are closed sets. What is true in the database: `database.state_gauges`. docs/metrics.md lists both.

A process whose children count (a Celery worker, gunicorn) needs PROMETHEUS_MULTIPROC_DIR, a folder of its
own, in its environment from the start: the library decides at its import, and the celery command imports it
before any code of ours runs.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

PREFIX = "order_manager_"
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")  # of this process tree; empty: it has no children
CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each of ours
if FOLDER:
    Path(FOLDER).mkdir(parents=True, exist_ok=True)  # the first instrument opens its file there


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A metric as the documents list it."""

    name: str  # as it is exposed, without the suffixes of a histogram's series
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[tuple[str, str], ...]  # name, what it can be
    origin: str  # who exposes it


CATALOGUE: list[Description] = []


def described(
    name: str, kind: Literal["counter", "gauge", "histogram"], origin: str, text: str, labels: dict[str, str]
) -> str:
    CATALOGUE.append(
        Description(name=PREFIX + name, kind=kind, text=text, labels=tuple(labels.items()), origin=origin)
    )
    return PREFIX + name


def _counter(name: str, origin: str, text: str, **labels: str) -> Counter:
    return Counter(described(name, "counter", origin, text, labels), text, tuple(labels))


def _histogram(
    name: str, origin: str, text: str, *, buckets: Sequence[float] = CALL_S, **labels: str
) -> Histogram:
    name = described(name, "histogram", origin, text, labels)
    return Histogram(name, text, tuple(labels), buckets=buckets)


def _gauge(name: str, origin: str, text: str, **labels: str) -> Gauge:
    """Of several processes of a tree the one that set it last counts, while it lives."""
    name = described(name, "gauge", origin, text, labels)
    return Gauge(name, text, tuple(labels), multiprocess_mode="livemostrecent")


ENDPOINT = "path of Bybit's REST API"
EXCHANGE_TROUBLE = ("RateLimited", "AccessDenied", "Unavailable", "OutcomeUnknown", "UnreadableAnswer")

# Every process

BUILD = _gauge(
    "build_info",
    "all",
    "1; the labels say what runs",
    process="consumer, stream, worker, beat, web, paper",
    version="of order-manager",
    python="of Python",
)
HEARTBEAT = _gauge(
    "heartbeat_timestamp_seconds",
    "worker, beat",
    "Unix time at which the main loop last turned",
    process="worker, beat",
)

# Signals

SIGNALS_RECEIVED = _counter(
    "signals_received_total",
    "consumer",
    "Messages taken off the signal queue",
    receipt="stored, retried (it had failed), duplicate, malformed",
)
SIGNALS_ENDED = _counter(
    "signals_ended_total",
    "worker",
    "Signals that were brought to their end",
    outcome="executed, rejected, failed",
    code="why it was rejected or failed, as in its event; empty when executed",
)
ACCEPTANCE = _histogram(
    "signal_acceptance_seconds",
    "worker",
    "Time from the receipt of a signal to the exchange's acceptance of each of its orders",
    buckets=WAIT_S,
)
LANE_BLOCKS = _counter(
    "lane_blocks_total",
    "worker",
    "Times that a lane was made to wait for the exchange",
    error="class of the error, as in order_manager/errors.py",
)

# The exchange

CALLS = _counter(
    "exchange_calls_total",
    "worker",
    "Requests to the exchange that ended",
    endpoint=ENDPOINT,
    result="ok, or the class of the error, as in order_manager/errors.py",
)
CALL_SECONDS = _histogram(
    "exchange_call_seconds",
    "worker",
    "Duration of a request to the exchange, answered or not, without waiting for its turn",
    endpoint=ENDPOINT,
)
RETRIES = _counter(
    "exchange_retries_total", "worker", "Requests that are to be tried again", endpoint=ENDPOINT
)
RATE_WAIT = _counter(
    "exchange_rate_wait_seconds_total",
    "worker",
    "Time spent waiting for a turn within the account's rate limits",
    endpoint=ENDPOINT,
)
RATE_LEFT = _gauge(
    "exchange_rate_remaining",
    "worker",
    "Requests left in the running second, as the exchange's last answer said",
    endpoint=ENDPOINT,
)
RATE_LIMIT = _gauge(
    "exchange_rate_limit",
    "worker",
    "Requests per second that the exchange allows, as its last answer said",
    endpoint=ENDPOINT,
)
GOVERNOR_DEGRADED = _gauge(
    "rate_governor_degraded",
    "worker",
    "1 while Redis is away and the process keeps to a quarter of the rate limits",
    governor="redis",
)
STREAM_CONNECTED = _gauge(
    "stream_connected", "stream", "1 while the exchange's stream is subscribed", stream="private"
)
STREAM_HEARD = _gauge(
    "stream_last_message_timestamp_seconds",
    "stream",
    "Unix time of the last frame, an answer to a ping included",
    stream="private",
)
STREAM_BREAKS = _counter(
    "stream_breaks_total", "stream", "Connections that were lost or refused", reason="lost, denied"
)
GATEWAY_SUBSCRIBED = _gauge(
    "gateway_subscribed",
    "consumer",
    "1 while the WebSocket gateway has subscribed us",
    channel="order, position, balance",
)
UPDATES_RECEIVED = _counter(
    "updates_received_total",
    "stream, consumer",
    "Rows that the exchange told of, kept for their lanes",
    source="stream, gateway",
    topic="order, execution, position, wallet",
)
UPDATES_UNREADABLE = _counter(
    "updates_unreadable_total",
    "stream, consumer",
    "Rows that became dead letters",
    source="stream, gateway",
    topic="order, execution, position, wallet",
)

# Comparisons with the exchange

RECONCILIATIONS = _counter(
    "reconciliations_total",
    "worker",
    "Comparisons of a symbol with the exchange",
    result="complete, incomplete",
)
ORDERS_RECONCILED = _counter(
    "orders_reconciled_total",
    "worker",
    "Orders that comparisons looked at, and those that they changed",
    result="seen, corrected",
)
POSITIONS_CORRECTED = _counter(
    "positions_corrected_total",
    "worker",
    "Positions that were not as they should be, set right",
    kind="size (a discrepancy), price",
    source="which side was right: exchange, fills",
)

# Events

EVENTS_PUBLISHED = _counter(
    "events_published_total",
    "worker",
    "Events that the broker confirmed; one that is repeated counts twice",
    event_type="as in docs/events.md",
)
EVENTS_KEPT_BACK = _counter("events_kept_back_total", "worker", "Times that the broker did not take events")

# Workers and schedule

WORKER_LEASES = _gauge("worker_leases", "worker", "Symbols that the worker leases", worker="name of its node")
TASKS = _counter(
    "tasks_total",
    "worker",
    "Celery tasks that ended",
    task="name of the task",
    state="SUCCESS, FAILURE, RETRY, IGNORED, REVOKED",
)
TASK_SECONDS = _histogram(
    "task_seconds", "worker", "Duration of a Celery task", buckets=WAIT_S, task="name of the task"
)
TASK_SUCCEEDED = _gauge(
    "task_last_success_timestamp_seconds",
    "worker",
    "Unix time at which the task last ended well in this worker",
    task="name of the task",
)
BEAT_LEADING = _gauge(
    "beat_leading", "beat", "1 while this beat sends, 0 while it stands by", beat="host and pid"
)
SCHEDULE_SENT = _gauge(
    "schedule_last_sent_timestamp_seconds",
    "beat",
    "Unix time at which the entry of the schedule was last sent",
    entry="key of celeryconfig.beat_schedule",
)
SCHEDULE_INTERVAL = _gauge(
    "schedule_interval_seconds",
    "beat",
    "Time between two sendings of the entry",
    entry="key of celeryconfig.beat_schedule",
)

# The REST API

HTTP_REQUESTS = _counter(
    "http_requests_total",
    "web",
    "Requests that were answered",
    method="GET, POST, ...",
    route="pattern of the path; empty where there is none",
    status="three digits",
)
HTTP_SECONDS = _histogram("http_request_seconds", "web", "Duration of a request", route="pattern of the path")

# The paper exchange

PAPER_REQUESTS = _counter(
    "paper_requests_total",
    "paper",
    "Requests that it processed; what a fault kept from that is not among them",
    endpoint=f"{ENDPOINT}; empty for one that it does not serve",
    result="ok, the retCode, or http_401 and http_403 where there is none",
)
PAPER_FAULTS = _counter(
    "paper_faults_total",
    "paper",
    "Requests, messages and connections that a fault befell",
    on="request, stream",
    kind="as in docs/paper-exchange.md",
)
PAPER_CONNECTIONS = _gauge(
    "paper_connections", "paper", "WebSocket connections that are open", stream="private, public"
)
PAPER_OPEN_ORDERS = _gauge(
    "paper_open_orders", "paper", "Orders of all accounts that are open", category="linear, spot"
)


def count_call(endpoint: str, result: str, seconds: float) -> None:
    """One request to the exchange ended."""
    CALLS.labels(endpoint, result).inc()
    CALL_SECONDS.labels(endpoint).observe(seconds)


def begin_calls(endpoints: Iterable[str]) -> None:
    """Begin at zero what is alerted on, else its first event shows no increase."""
    for endpoint in endpoints:
        RETRIES.labels(endpoint)
        RATE_WAIT.labels(endpoint)
        for error in EXCHANGE_TROUBLE:
            CALLS.labels(endpoint, error)
    for error in EXCHANGE_TROUBLE:
        LANE_BLOCKS.labels(error)
    GOVERNOR_DEGRADED.labels("redis")


def begin_tasks(names: Iterable[str]) -> None:
    """The same for the tasks of a worker."""
    for name in names:
        TASKS.labels(name, "FAILURE")


def end_signal(outcome: str, code: str | None = None) -> None:
    """One signal was brought to its end."""
    SIGNALS_ENDED.labels(outcome, code or "").inc()


# The same for these.
for _outcome in ("executed", "failed"):
    SIGNALS_ENDED.labels(_outcome, "" if _outcome == "executed" else "execution_timeout")
for _source in ("exchange", "fills"):
    for _kind in ("size", "price"):
        POSITIONS_CORRECTED.labels(_kind, _source)
for _result in ("seen", "corrected"):
    ORDERS_RECONCILED.labels(_result)
for _result in ("complete", "incomplete"):
    RECONCILIATIONS.labels(_result)
for _receipt in ("stored", "retried", "duplicate", "malformed"):
    SIGNALS_RECEIVED.labels(_receipt)
for _source in ("stream", "gateway"):
    for _topic in ("order", "execution", "position", "wallet"):
        UPDATES_UNREADABLE.labels(_source, _topic)
for _reason in ("lost", "denied"):
    STREAM_BREAKS.labels(_reason)
