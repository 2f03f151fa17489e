"""The exchange's private stream: orders, executions, positions and the wallet as they change.

Nothing is sent again after a break. So each subscription is followed by `on_gap`, which asks for
everything to be read anew, and only then by the rows that the socket has buffered meanwhile.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from order_manager import metrics
from order_manager.bybit.frames import TOPICS, Batch, FrameUnreadable, parsed
from order_manager.bybit.signing import sign_stream
from order_manager.errors import AccessDenied, OrderManagerError, Refused

log = structlog.get_logger(__name__)
library_log = logging.getLogger("websockets.private")
library_log.setLevel(logging.INFO)  # at debug it writes down each frame, the one with our key included

AUTH_EXPIRES_MS = 10_000  # so far may our clock be behind the exchange's
LOOK_S = 0.5  # between looks whether to stop
MAX_FRAMES = 1024  # that wait in memory; further ones wait in the socket
MAX_FRAME_BYTES = 16 * 2**20

GATHER_S = 0.005  # a fill is told on four topics, within a few milliseconds

OnRows = Callable[[Mapping[str, Sequence[Mapping[str, Any]]], datetime], None]
OnGap = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things may take, in seconds."""

    connect_s: float = 10.0
    answer_s: float = 10.0  # to auth and subscribe
    ping_every_s: float = 20.0
    pong_within_s: float = 9.0  # or any other frame; the server itself would take minutes to hang up
    healthy_s: float = 10.0  # a connection that lived so long is followed by the next one at once
    first_pause_s: float = 0.5
    longest_pause_s: float = 15.0
    denied_pause_s: float = 30.0  # a person has to act first
    insist_s: float = 60.0  # on handing over what was received
    insist_pause_s: float = 0.5
    gap_every_s: float = 10.0  # at most, for what could not be read


class PeerSilent(OrderManagerError):
    """The other end answers no ping: it is gone, whatever the socket says."""


class PrivateStream:
    """Runs in one thread. Rows are handed over by topic, in each in the order of their arrival.

    A callback that raises is called again for a while with the same rows. When that is in vain the
    connection is given up, so that the next subscription's `on_gap` makes up for them.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        api_secret: str,
        on_rows: OnRows,
        on_gap: OnGap,
        timing: Timing | None = None,
    ) -> None:
        self._url = url
        self._api_key = api_key
        self._api_secret = api_secret
        self._on_rows = on_rows
        self._on_gap = on_gap
        self._timing = timing or Timing()
        self._stopping = threading.Event()
        self._subscribed_at: float | None = None
        self._is_gap_due = False
        self._insistent = Retrying(
            stop=stop_after_delay(self._timing.insist_s) | stop_when_event_set(self._stopping),
            wait=wait_exponential(multiplier=self._timing.insist_pause_s, max=5),
            sleep=sleep_using_event(self._stopping),
            before_sleep=_log_insisting,
            reraise=True,
        )

    def stop(self) -> None:
        self._stopping.set()

    def run_for_ever(self) -> None:
        """Until `stop`; rows in hand are handed over first."""
        failures = 0
        while not self._stopping.is_set():
            pause_s = 0.0
            self._subscribed_at = None
            try:
                self._connected()
            except Exception as error:  # noqa: BLE001 - whatever it was, the answer is a new connection
                if self._was_healthy():
                    failures = 0
                pause_s = self._pause_after(error, failures)
                failures += 1
                metrics.STREAM_CONNECTED.labels("private").set(0)
                self._log_lost(error, pause_s)
            self._stopping.wait(pause_s)

    def _connected(self) -> None:
        """One connection, to its end."""
        with connect(
            self._url,
            open_timeout=self._timing.connect_s,
            close_timeout=1,
            ping_interval=None,  # the exchange wants a text of its own
            max_queue=MAX_FRAMES,
            max_size=MAX_FRAME_BYTES,
            proxy=None,  # as the REST client: none comes between
            logger=library_log,
        ) as socket:
            early = Batch()
            self._authenticate(socket, early)
            self._ask(socket, {"op": "subscribe", "args": list(TOPICS)}, early)
            self._insistent(self._on_gap, "stream subscribed")
            self._subscribed_at, self._is_gap_due = time.monotonic(), False
            log.info("stream_subscribed", topics=TOPICS)
            metrics.STREAM_CONNECTED.labels("private").set(1)
            metrics.STREAM_HEARD.labels("private").set_to_current_time()
            self._hand_over(early)
            self._follow(socket)

    def _authenticate(self, socket: ClientConnection, early: Batch) -> None:
        expires_ms = time.time_ns() // 1_000_000 + AUTH_EXPIRES_MS
        signature = sign_stream(self._api_secret, expires_ms=expires_ms)
        try:
            self._ask(socket, {"op": "auth", "args": [self._api_key, expires_ms, signature]}, early)
        except Refused as error:
            raise AccessDenied(error.message) from None

    def _ask(self, socket: ClientConnection, request: dict[str, Any], early: Batch) -> None:
        """Raises Refused. Data that overtakes the answer is kept in `early`."""
        op = request["op"]
        socket.send(json.dumps({"req_id": op, **request}))
        deadline = time.monotonic() + self._timing.answer_s
        while True:
            frame = socket.recv(timeout=max(deadline - time.monotonic(), 0))
            try:
                answer = parsed(frame)
            except FrameUnreadable:
                continue  # a gap is announced in a moment anyway
            if answer.get("op") != op:
                early.add(frame)
            elif answer.get("success") is True:
                return
            else:
                raise Refused(f"{op}: {self._redacted(str(answer.get('ret_msg') or answer))}")

    def _follow(self, socket: ClientConnection) -> None:
        timing, pinged_at, is_answered = self._timing, time.monotonic(), True
        gap_at = pinged_at
        while not self._stopping.is_set():
            next_at = pinged_at + (timing.ping_every_s if is_answered else timing.pong_within_s)
            batch = self._gathered(socket, min(max(next_at - time.monotonic(), 0), LOOK_S))
            if batch.frames:
                is_answered = True
                metrics.STREAM_HEARD.labels("private").set_to_current_time()
            self._hand_over(batch)
            now = time.monotonic()
            if self._is_gap_due and now >= gap_at + timing.gap_every_s:
                self._insistent(self._on_gap, "stream frame unreadable")
                gap_at, self._is_gap_due = now, False
            if not is_answered and not batch.frames and now >= pinged_at + timing.pong_within_s:
                raise PeerSilent(f"nothing heard for {timing.pong_within_s:g} s after a ping")
            if now >= pinged_at + timing.ping_every_s:
                socket.send('{"req_id":"ping","op":"ping"}')
                pinged_at, is_answered = now, False

    @staticmethod
    def _gathered(socket: ClientConnection, wait_s: float) -> Batch:
        """Waits for one frame; what is there already or belongs to it comes along."""
        batch = Batch()
        try:
            batch.add(socket.recv(timeout=wait_s))
            until = time.monotonic() + GATHER_S
            while not batch.is_full:
                batch.add(socket.recv(timeout=max(until - time.monotonic(), 0)))
        except TimeoutError:
            pass
        except ConnectionClosed:
            if not batch.frames:
                raise  # else at the next look, when these are handed over
        return batch

    def _hand_over(self, batch: Batch) -> None:
        """Raises what the callbacks raised last: then the rows are given up."""
        received_at = datetime.now(UTC)
        if batch.rows:
            try:
                self._insistent(self._on_rows, batch.rows, received_at)
            except Exception:
                rows = {topic: len(rows) for topic, rows in batch.rows.items()}
                log.error("stream_rows_given_up", rows=rows)
                raise
        for reason, what in batch.odd:
            log.warning("stream_frame_ignored", reason=reason, what=self._redacted(what))
        self._is_gap_due |= batch.is_lossy
        if batch.refused:
            raise Refused(self._redacted(batch.refused))

    def _was_healthy(self) -> bool:
        subscribed_at = self._subscribed_at
        return subscribed_at is not None and time.monotonic() - subscribed_at >= self._timing.healthy_s

    def _pause_after(self, error: Exception, failures: int) -> float:
        """None at first, then longer and longer; scattered, so that a fleet does not come back as one."""
        if _needs_a_person(error):
            return self._timing.denied_pause_s
        if failures == 0:
            return 0.0
        growth = 2.0 ** min(failures - 1, 16)
        limit_s = min(self._timing.first_pause_s * growth, self._timing.longest_pause_s)
        return limit_s * random.uniform(0.5, 1)

    def _log_lost(self, error: Exception, pause_s: float) -> None:
        text = self._redacted(str(error) or type(error).__name__)
        metrics.STREAM_BREAKS.labels("denied" if _needs_a_person(error) else "lost").inc()
        if _needs_a_person(error):
            log.error("stream_denied", error=text, retry_s=pause_s)
        else:
            log.warning("stream_lost", error_type=type(error).__name__, error=text, retry_s=round(pause_s, 2))

    def _redacted(self, text: str) -> str:
        for secret in (self._api_secret, self._api_key):
            text = text.replace(secret, "***") if secret else text
        return text[:300]


def _needs_a_person(error: Exception) -> bool:
    """Wrong key, or an address that the exchange does not serve."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code in (401, 403)
    return isinstance(error, AccessDenied)


def _log_insisting(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.error("stream_handover_failed", error=repr(error)[:300], attempt=state.attempt_number)
