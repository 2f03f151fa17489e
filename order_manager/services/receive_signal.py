"""Receive a signal: into the inbox and on to its symbol's lane, or kept as a dead letter with its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from order_manager import metrics
from order_manager.domain.events import Event, malformed_event
from order_manager.domain.signals import Signal
from order_manager.errors import MalformedMessage

log = structlog.get_logger(__name__)


class Received(Protocol):
    @property
    def receipt(self) -> str: ...

    @property
    def state(self) -> str: ...


class ReceivingStore(Protocol):
    def receive(self, signal: Signal, body: str) -> Received: ...

    def record_dead_letter(
        self,
        *,
        queue: str,
        code: str,
        field: str,
        reason: str,
        body: bytes,
        headers: Mapping[str, Any],
        events: Sequence[Event] = (),
    ) -> int: ...

    def known_lanes(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Where a stored signal's wake-up goes; each returns when the broker has it."""

    execute: Callable[[Signal], None]  # to the symbol's queue
    open_symbol: Callable[[str], None]  # a symbol without a lane
    publish_rejections: Callable[[], None]


class SignalReceiver:
    """Handles one message at a time; when `handle` returns, the message may be acked."""

    def __init__(
        self,
        *,
        store: ReceivingStore,
        parse: Callable[[bytes, Mapping[str, Any]], Signal],
        routes: Routes,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._parse = parse
        self._routes = routes
        self._now = now
        self._lanes: Mapping[str, int] = {}

    def handle(self, body: bytes, headers: Mapping[str, Any], queue: str) -> None:
        """Raises what the database or the broker raises: then nothing may be acked, and it comes again."""
        try:
            signal = self._parse(body, headers)
        except MalformedMessage as error:
            self._dead_letter(error, body, headers, queue)
            return
        with structlog.contextvars.bound_contextvars(
            trace_id=signal.trace_id, signal_id=signal.signal_id, symbol=signal.symbol
        ):
            self._receive(signal, body.decode())

    def _receive(self, signal: Signal, body: str) -> None:
        received = self._store.receive(signal, body)
        metrics.SIGNALS_RECEIVED.labels(str(received.receipt)).inc()
        if received.receipt == "duplicate":
            log.info("signal_duplicate_dropped", state=received.state)
            if received.state not in {"waiting", "planned"}:
                return
            # Perhaps we died between the inbox and the wake-up.
        else:
            log.info("signal_received", receipt=str(received.receipt), side=signal.side.value)
        if self._has_lane(signal.symbol):
            self._routes.execute(signal)
        else:
            self._routes.open_symbol(signal.symbol)

    def _has_lane(self, symbol: str) -> bool:
        if symbol not in self._lanes:
            self._lanes = self._store.known_lanes()
        return symbol in self._lanes

    def _dead_letter(
        self, error: MalformedMessage, body: bytes, headers: Mapping[str, Any], queue: str
    ) -> None:
        events = []
        if error.signal_id is not None:
            event = malformed_event(
                signal_id=error.signal_id,
                code=error.code,
                field=error.field,
                message=error.message,
                trace_id=_trace_id(headers),
                now=self._now(),
            )
            events.append(event)
        number = self._store.record_dead_letter(
            queue=queue,
            code=error.code,
            field=error.field,
            reason=error.message,
            body=body,
            headers=headers,
            events=events,
        )
        metrics.SIGNALS_RECEIVED.labels("malformed").inc()
        log.warning(
            "signal_dead_lettered",
            dead_letter=number,
            code=error.code,
            field=error.field,
            reason=error.message,
            signal_id=error.signal_id,
        )
        if events:
            self._routes.publish_rejections()


def _trace_id(headers: Mapping[str, Any]) -> str:
    """The sender's, where it is a decent one; a bad header must not keep a bad message from being kept."""
    given = headers.get("trace_id")
    return given if isinstance(given, str) and given.isprintable() and 0 < len(given) <= 100 else ""
