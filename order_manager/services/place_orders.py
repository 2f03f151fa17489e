"""Place orders: a recorded plan, order by order, each sent at most once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from order_manager import metrics
from order_manager.domain.events import Event, order_event, signal_event
from order_manager.domain.orders import Order, OrderStatus
from order_manager.domain.state import Market, Rejection
from order_manager.errors import AccessDenied, OutcomeUnknown, Refused, Retryable
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane, WaitingSignal
from order_manager.services.settle_orders import mark_unsent, settle_order

log = structlog.get_logger(__name__)

FRESH = timedelta(milliseconds=250)  # an intent this young is not renewed before its request is signed


def place_orders(
    lane: Lane, waiting: WaitingSignal, planned: Sequence[Order], desk: Desk, *, market: Market | None = None
) -> None:
    """Send what was not sent, in order, and end the signal.

    The caller settled the lane first, so an order that is still in flight was either planned a moment ago
    by this very call, or proven never sent. Raises Retryable or AccessDenied with everything recorded: call
    again later.
    """
    done = list(planned)
    for number, order in enumerate(done):
        if not order.is_in_flight:
            continue
        if waiting.is_planned and order.intended_at is not None:
            raise OutcomeUnknown(f"order {order.client_order_id} may have been sent before")
        if any(_is_refused(earlier) for earlier in done[:number]):
            break  # we died after a refusal, before the later ones were ended
        if _is_too_late(waiting, desk):
            _expire(lane, waiting, done, desk)
            return
        is_last = all(not later.is_in_flight for later in done[number + 1 :])
        done[number] = _place(lane, waiting, order, desk, is_last=is_last, market=market)
        if _is_refused(done[number]):
            break
        is_adopted = done[number].exchange_updated_at is not None
        if is_last and done[number].status is OrderStatus.PENDING and not is_adopted:
            return  # the acceptance ended the signal too
    _finish(lane, waiting, done, desk)


def _place(
    lane: Lane, waiting: WaitingSignal, order: Order, desk: Desk, *, is_last: bool, market: Market | None
) -> Order:
    fence = _Fence(lane, order, desk)
    try:
        acceptance = desk.exchange.place_order(order.request, sign_at=fence)
    except Refused as refusal:
        refused, event = _refused(lane, waiting, order, refusal.reason, desk.now())
        lane.record_order(refused, events=[event])
        log.warning("order_refused", client_order_id=order.client_order_id, reason=refusal.reason)
        return refused
    except OutcomeUnknown as error:
        log.warning("order_outcome_unknown", client_order_id=order.client_order_id, error=str(error))
        desk.note_error(order, error)
        sent = replace(order, intended_at=fence.intended_at)  # absence is proven by when it was last signed
        settled = settle_order(lane, sent, desk)  # raises while it is still unknown
        if settled.is_in_flight:
            raise
        return settled
    except (Retryable, AccessDenied) as error:
        desk.note_error(order, error)
        mark_unsent(lane, order)  # certainly not applied
        raise
    now = desk.now()
    accepted = replace(order, exchange_order_id=acceptance.exchange_order_id, updated_at=now)
    event = event_of(waiting, "created", accepted, sequence=1, now=now, market=market)
    lane.record_accepted(
        accepted,
        exchange_order_id=acceptance.exchange_order_id,
        event=event,
        is_last=is_last,
        now=now,
    )
    latency_s = (now - waiting.received_at).total_seconds()
    metrics.ACCEPTANCE.observe(latency_s)
    log.info(
        "order_accepted",
        client_order_id=order.client_order_id,
        exchange_order_id=acceptance.exchange_order_id,
        latency_s=round(latency_s, 6),
    )
    return accepted


class _Fence:
    """The moment that the request is signed with: never one whose intent is not on record.

    The exchange refuses what arrives later than the receive window after it, so even a process that was
    frozen between its last look at the lane and its send cannot act for long.
    """

    def __init__(self, lane: Lane, order: Order, desk: Desk) -> None:
        self._lane, self._order_id, self._desk = lane, order.id, desk
        self.intended_at = order.intended_at

    def __call__(self) -> datetime:
        now = self._desk.now()
        if self.intended_at is None or now - self.intended_at > FRESH:
            self._lane.renew([self._order_id], now)
            self.intended_at = now
        return self.intended_at


def _is_too_late(waiting: WaitingSignal, desk: Desk) -> bool:
    if waiting.decided_at is None:
        return False  # decided a moment ago, in this call
    return desk.now() - waiting.decided_at > timedelta(seconds=desk.patience.execution_timeout_s)


def _is_refused(order: Order) -> bool:
    """The exchange never had it."""
    return order.status is OrderStatus.REJECTED and order.exchange_order_id is None


def _expire(lane: Lane, waiting: WaitingSignal, done: Sequence[Order], desk: Desk) -> None:
    """What could not be sent in time is not sent at all, and says so.

    A signal of which the exchange took a part is executed, for that part: sent again, it would buy twice.
    """
    limit = desk.patience.execution_timeout_s
    said = next((error for order in done if (error := desk.last_error(order))), "")
    reason = f"the exchange did not take the order within {limit:g} s of its decision{said}"
    failure = Rejection(code="execution_timeout", message=reason, limit=f"{limit:g}")
    _end(lane, waiting, done, failure, reason=reason, state="failed", desk=desk)


def _finish(lane: Lane, waiting: WaitingSignal, done: Sequence[Order], desk: Desk) -> None:
    """Executed when the exchange took anything of it, else rejected by the exchange.

    After a slice was refused the later ones are not sent.
    """
    refused = next((order for order in done if _is_refused(order)), None)
    if refused is None:
        lane.finish_signal(waiting.signal, "executed", now=desk.now())
        return
    why = refused.reason or "the exchange refused the order"
    rejection = Rejection(code="exchange_refused", message=why)
    reason = f"not sent: an earlier slice was refused ({why})"
    _end(lane, waiting, done, rejection, reason=reason, state="rejected", desk=desk)


def _end(
    lane: Lane,
    waiting: WaitingSignal,
    done: Sequence[Order],
    why: Rejection,
    *,
    reason: str,
    state: str,
    desk: Desk,
) -> None:
    """End what was never sent, with `reason`, and the signal, in one transaction."""
    now = desk.now()
    unsent = [_refused(lane, waiting, order, reason, now) for order in done if order.is_in_flight]
    is_partial = any(order.exchange_order_id is not None for order in done)
    outcome = "executed" if is_partial else state
    event_type = "signal_failed" if state == "failed" else "signal_rejected"
    lane.finish_signal(
        waiting.signal,
        outcome,
        code=why.code,
        reason=why.message,
        events=[] if is_partial else [signal_event(event_type, waiting.signal, why, now=now)],
        refused=unsent,
        now=now,
    )
    log.warning("signal_not_executed_in_full", outcome=outcome, code=why.code, reason=why.message)


def _refused(
    lane: Lane, waiting: WaitingSignal, order: Order, reason: str, now: datetime
) -> tuple[Order, Event]:
    refused = replace(order, status=OrderStatus.REJECTED, reason=reason, updated_at=now)
    sequence = lane.origin_of(order).event_sequence + 1
    return refused, event_of(waiting, "rejected", refused, sequence=sequence, now=now)


def event_of(
    waiting: WaitingSignal,
    event_type: str,
    order: Order,
    *,
    sequence: int,
    now: datetime,
    market: Market | None = None,
) -> Event:
    """What became of an order that was planned for this signal."""
    return order_event(
        event_type,
        order,
        sequence=sequence,
        trace_id=waiting.signal.trace_id,
        now=now,
        signal=waiting.signal,
        received_at=waiting.received_at,
        market=market,
    )
