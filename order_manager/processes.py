"""The fleet's processes by their heartbeats, the signals that wait for them, and what is wrong with that."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from amqp.exceptions import NotFound
from kombu import Connection
from redis import Redis

from order_manager.domain.events import iso
from order_manager.heartbeats import FORGOTTEN_AFTER_S, PROCESSES, redis_for_heartbeats
from order_manager.queues import SIGNALS
from order_manager.settings import Settings

SILENT_S = 15.0  # five beats
CONNECTING_S = 10.0  # what the stream may take to come back before anybody hears of it
NEEDED = {
    "consumer": "signals are not taken off the queue",
    "worker": "no symbol is worked",
    "maintenance": "no symbol is opened, nothing is swept",
    "beat": "nothing is swept, compared or cancelled as stale",
}
FOLLOWS = "fills of resting orders are told up to a minute late"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    connected: bool
    since: datetime
    heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """As it told of itself last."""

    name: str
    role: str  # consumer, stream, worker, maintenance, beat, web
    host: str
    pid: int
    started_at: datetime
    age_s: float  # of its last heartbeat
    stream: StreamState | None = None

    @property
    def is_heard(self) -> bool:
        return self.age_s <= SILENT_S

    @property
    def said(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"{self.name} (pid {self.pid}{where})"

    @property
    def silence(self) -> str:
        return f"{self.said} has not been heard of for {self.age_s:.0f} s"

    @property
    def mend(self) -> str:
        return f"it is frozen or dead: kill -KILL {self.pid}; what is supervised is started anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that a person should look at."""

    level: Literal["warning", "problem"]
    about: str
    text: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Who lives, and what waits. None: it could not be asked."""

    processes: tuple[Process, ...] | None = None
    signals: int | None = None  # on the queue


def read_processes(client: "Redis") -> tuple[Process, ...]:
    """Sorted by name; what fell silent long ago is forgotten. Raises RedisError."""
    told: dict[str, str] = {str(field): str(text) for field, text in client.hgetall(PROCESSES).items()}
    seconds, micros = client.time()
    ages = {field: seconds + micros / 1e6 - json.loads(text)["at"] for field, text in told.items()}
    if forgotten := [field for field, age_s in ages.items() if age_s > FORGOTTEN_AFTER_S]:
        client.hdel(PROCESSES, *forgotten)
    return tuple(
        _process(json.loads(told[field]), max(age_s, 0.0))
        for field, age_s in sorted(ages.items())
        if field not in forgotten
    )


def _process(told: dict[str, Any], age_s: float) -> Process:
    stream = told.get("stream")
    return Process(
        name=told["name"],
        role=told["role"],
        host=told["host"],
        pid=told["pid"],
        started_at=datetime.fromisoformat(told["started_at"]),
        age_s=age_s,
        stream=stream
        and StreamState(
            connected=stream["connected"],
            since=datetime.fromisoformat(stream["since"]),
            heard_at=datetime.fromisoformat(stream["heard_at"]) if stream["heard_at"] else None,
        ),
    )


def read_intake(settings: Settings, *, timeout_s: float) -> Intake:
    """Never raises: what does not answer is not known, and told of as a dependency."""
    processes = signals = None
    with suppress(Exception), redis_for_heartbeats(settings, timeout_s=timeout_s) as client:
        processes = read_processes(client)
        if not settings.broker_is_rabbitmq:
            signals = int(client.llen(SIGNALS)) + int(client.llen(f"{SIGNALS}.in-hand"))
    if settings.broker_is_rabbitmq:
        with suppress(Exception):  # whatever the broker's library raises
            signals = _on_rabbitmq(settings, timeout_s)
    return Intake(processes=processes, signals=signals)


def _on_rabbitmq(settings: Settings, timeout_s: float) -> int:
    """Without those that the consumer was handed already: only the management plugin counts them."""
    limits = {"read_timeout": timeout_s, "write_timeout": timeout_s}
    connection = Connection(
        settings.broker_url, connect_timeout=timeout_s, heartbeat=0, transport_options=limits
    )
    transport = connection.transport  # Connection.connect would try again, past the time limit
    established = transport.establish_connection()
    try:
        return int(established.channel().queue_declare(SIGNALS, passive=True).message_count)
    except NotFound:
        return 0
    finally:
        transport.close_connection(established)


def concerns(settings: Settings, intake: Intake, *, now: datetime | None = None) -> list[Concern]:
    """The worst first."""
    if intake.processes is None:
        return []
    now = now or datetime.now(UTC)
    found = [
        *_missing(intake.processes),
        *_silent(intake.processes),
        *_streams(settings, intake.processes, now),
    ]
    if intake.signals and not any(one.role == "consumer" and one.is_heard for one in intake.processes):
        text = f"{intake.signals} messages wait on {SIGNALS}, and no consumer is heard of"
        found.append(Concern(level="problem", about="queue", text=text, mend="see the consumer"))
    return sorted(found, key=lambda one: one.level)  # problem before warning


def _missing(processes: Sequence[Process]) -> Iterator[Concern]:
    for role in NEEDED.keys() - {one.role for one in processes}:
        who = {"worker": "symbol worker", "maintenance": "maintenance worker"}.get(role, role)
        yield Concern(
            level="problem", about=role, text=f"no {who} is heard of: {NEEDED[role]}", mend="start one"
        )


def _silent(processes: Sequence[Process]) -> Iterator[Concern]:
    heard = {one.role for one in processes if one.is_heard}
    for one in processes:
        if not one.is_heard:
            another = one.role in heard
            text = one.silence if another else ": ".join(filter(None, (one.silence, NEEDED.get(one.role))))
            yield Concern(level="warning" if another else "problem", about=one.name, text=text, mend=one.mend)


def _streams(settings: Settings, processes: Sequence[Process], now: datetime) -> Iterator[Concern]:
    if settings.enable_dry_run:
        return
    streams = [one for one in processes if one.role == "stream"]
    if not streams and settings.ws_gateway_host is None:
        yield Concern(
            level="warning", about="stream", text=f"no stream is heard of: {FOLLOWS}", mend="start one"
        )
    for one in streams:
        lost = one.stream
        if lost is None or lost.connected or not one.is_heard:
            continue
        if (now - lost.since).total_seconds() > CONNECTING_S:
            since = lost.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            yield Concern(
                level="problem",
                about="stream",
                text=f"the private stream of {one.said} is not connected since {since}: {FOLLOWS}",
                mend="its log says why: stream_lost passes, stream_denied needs a person",
            )


def intake_json(settings: Settings, intake: Intake) -> dict[str, Any]:
    """For the REST API and `order-manager status --json`."""
    known = intake.processes
    return {
        "processes": known if known is None else [_process_json(one) for one in known],
        "queued_signals": intake.signals,
        "findings": [asdict(one) for one in concerns(settings, intake)],
    }


def _process_json(one: Process) -> dict[str, Any]:
    stream = one.stream
    return {
        "name": one.name,
        "role": one.role,
        "host": one.host,
        "pid": one.pid,
        "started_at": iso(one.started_at),
        "heard": one.is_heard,
        "age_s": round(one.age_s, 1),
        "stream": stream
        and {
            "connected": stream.connected,
            "since": iso(stream.since),
            "heard_at": iso(stream.heard_at),
        },
    }
