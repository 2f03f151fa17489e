"""Calls as they should be made: in turn, again only where it cannot hurt, page after page."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from order_manager import metrics
from order_manager.bybit.encoding import Value
from order_manager.bybit.fields import Row, UnknownWireValue, to_ms
from order_manager.bybit.governor import EVERYTHING, Governor, NoGovernor, family_of
from order_manager.bybit.retcodes import CLOCK_OUT_OF_WINDOW
from order_manager.bybit.transport import IP_BAN_S, Reply, Transport
from order_manager.bybit.wire_account import server_time
from order_manager.errors import ExchangeError, RateLimited, Unavailable

log = structlog.get_logger()

TIME = "/v5/market/time"
MAX_PAGES = 500


class Calls:
    """GET and POST with the governor before each attempt and retries after it.

    Only RateLimited and Unavailable are tried again: both say that nothing was applied. The transport
    names a read's every doubt Unavailable, so reads retry whatever is retryable; a write whose outcome
    is unknown leaves at once.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        category: str,
        governor: Governor | None = None,
        attempts: int = 3,
        base_delay_s: float = 1.0,
        max_delay_s: float = 30.0,
        multiplier: float = 2.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self._category = category
        self._governor: Governor = governor if governor is not None else NoGovernor()
        self._max_delay_s = max_delay_s
        self._pause = pause
        self._backoff = wait_exponential_jitter(
            initial=base_delay_s, max=max_delay_s, exp_base=multiplier, jitter=base_delay_s / 4
        )
        self._retrying = Retrying(
            retry=retry_if_exception(self._may_ask_again),
            wait=self._wait_s,
            stop=stop_after_attempt(attempts),
            sleep=pause,
            before_sleep=_log_retry,
            reraise=True,
        )

    def get(
        self, endpoint: str, params: Mapping[str, Value], *, cursor: str = "", signed: bool = True
    ) -> Reply:
        return self._retrying(
            self._once, endpoint, lambda: self.transport.get(endpoint, params, cursor=cursor, signed=signed)
        )

    def post(
        self, endpoint: str, body: Mapping[str, Value], *, sign_at: Callable[[], datetime] | None = None
    ) -> Reply:
        """`sign_at` is asked before each attempt for the moment to sign with, and may raise to forbid it."""

        def send() -> Reply:
            signed_at_ms = None if sign_at is None else to_ms(sign_at())
            return self.transport.post(endpoint, body, signed_at_ms=signed_at_ms)

        return self._retrying(self._once, endpoint, send)

    def rows(self, endpoint: str, params: Mapping[str, Value], *, signed: bool = True) -> Iterator[Row]:
        """Every record of a list, to the empty cursor; pages are asked for as they are needed."""
        cursor, seen = "", set[str]()
        for _ in range(MAX_PAGES):
            reply = self.get(endpoint, params, cursor=cursor, signed=signed)
            page = rows_of(reply)
            yield from page
            cursor = reply.result.get("nextPageCursor") or ""
            if not cursor or (not page and cursor in seen):
                return
            if cursor in seen:
                break
            seen.add(cursor)
        raise Unavailable(f"{endpoint}: the pages do not end")

    def clock_skew_ms(self) -> int:
        """How far our clock is ahead of the exchange's; half of the way there and back is taken off."""
        before = self.transport.now_ms()
        reply = self.transport.get(TIME, {}, signed=False)
        after = self.transport.now_ms()
        theirs = server_time(reply.result, reply.time_ms)
        return (before + after) // 2 - round(theirs.timestamp() * 1000)

    def _once(self, endpoint: str, send: Callable[[], Reply]) -> Reply:
        """One attempt, when it is our turn."""
        family = family_of(endpoint, self._category)
        self._take_turn(family)
        try:
            return send()
        except RateLimited as error:
            is_banned = error.retry_after_s >= IP_BAN_S
            self._governor.pause(EVERYTHING if is_banned else family, error.retry_after_s)
            raise
        except Unavailable as error:
            if error.ret_code == CLOCK_OUT_OF_WINDOW:
                self._correct_clock()
            raise
        finally:
            limit = self.transport.limits.get(endpoint)
            if limit is not None:
                self._governor.learn(family, limit)

    def _take_turn(self, family: str) -> None:
        while (wait_s := self._governor.acquire(family, max_wait_s=self._max_delay_s)) > 0:
            if wait_s > self._max_delay_s:
                raise RateLimited(f"{family}: no room in our own budget", retry_after_s=wait_s)
            metrics.RATE_WAIT.labels(family.partition(":")[0]).inc(wait_s)
            self._pause(wait_s)
            if self._governor.pause_left(family) <= 0:
                return
            # Somebody hit the limit meanwhile: after the silence all would go at once, so queue anew.

    def _correct_clock(self) -> None:
        try:
            skew_ms = self.clock_skew_ms()
        except ExchangeError as error:
            log.warning("clock_check_failed", error=str(error))
            return
        log.warning("clock_corrected", skew_ms=skew_ms, previous_offset_ms=self.transport.offset_ms)
        self.transport.offset_ms = -skew_ms

    def _may_ask_again(self, error: BaseException) -> bool:
        if isinstance(error, RateLimited):
            return error.retry_after_s <= self._max_delay_s
        return isinstance(error, Unavailable)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited):
            return error.retry_after_s
        if isinstance(error, Unavailable) and error.ret_code == CLOCK_OUT_OF_WINDOW:
            return 0.0  # the clock was corrected
        return self._backoff(state)


def rows_of(reply: Reply) -> list[dict[str, Any]]:
    """The records of an answer that is a list."""
    rows = reply.result.get("list")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnknownWireValue("list", rows, reply.result)
    return rows


def _log_retry(state: RetryCallState) -> None:
    endpoint = state.args[0]
    metrics.RETRIES.labels(endpoint).inc()
    log.info(
        "exchange_retry_scheduled",
        endpoint=endpoint,
        attempt=state.attempt_number,
        wait_s=round(state.upcoming_sleep, 3),
    )
