"""Settle orders: bring what we recorded of a symbol's open orders to what the exchange shows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from order_manager.domain.events import fill_json, order_event, text
from order_manager.domain.orders import Order, OrderEvent, OrderReport, OrderStatus
from order_manager.domain.reconciling import (
    Correction,
    absence_proves_ended,
    absence_proves_never_accepted,
    apply_report,
)
from order_manager.domain.state import Market
from order_manager.errors import OrderNotFound, OutcomeUnknown, Refused
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A symbol's orders after the exchange was asked."""

    still_open: tuple[Order, ...]
    changed: int


def settle_orders(
    lane: Lane, desk: Desk, *, ending_by_themselves: bool = False, shown: Sequence[OrderReport] = ()
) -> Settlement:
    """Ask the exchange for the state of every open order of the symbol.

    With `ending_by_themselves` only those that never rest (IOC, FOK) are asked for; those that `shown`
    tells of, already applied, are not. Raises OutcomeUnknown while an order's fate can't be told: nothing
    else may happen on the symbol.
    """
    before = lane.open_orders()
    known = {report.exchange_order_id for report in shown}
    after = []
    for order in before:
        is_known = order.exchange_order_id in known and order.cancel_requested_at is None
        is_left = ending_by_themselves and order.may_rest
        after.append(order if is_known or is_left else _settled(lane, order, desk))
    return Settlement(
        still_open=tuple(order for order in after if order.is_open),
        changed=sum(new is not old for new, old in zip(after, before, strict=True)),
    )


def _settled(lane: Lane, order: Order, desk: Desk) -> Order:
    if order.is_in_flight and order.intended_at is None:
        return order  # proven never sent; its signal sends or ends it
    if order.cancel_requested_at is not None:
        return _go_on_cancelling(lane, order, desk)
    return settle_order(lane, order, desk)


def settle_order(lane: Lane, order: Order, desk: Desk) -> Order:
    """The order as the exchange's evidence has it; the same object when nothing changed."""
    evidence = desk.exchange.evidence(
        lane.symbol, order.client_order_id, exchange_order_id=exchange_name(order)
    )
    if evidence.report is not None:
        return apply(lane, order, evidence.report, desk)
    if not order.is_in_flight:
        return _unseen(lane, order, evidence.asked_at, desk)
    assert order.intended_at is not None
    if absence_proves_never_accepted(
        intended_at=order.intended_at,
        asked_at=evidence.asked_at,
        recv_window_s=desk.patience.recv_window_s,
        margin_s=desk.patience.margin_s,
    ):
        log.info("order_never_accepted", client_order_id=order.client_order_id)
        return mark_unsent(lane, order)
    raise OutcomeUnknown(f"order {order.client_order_id} was sent and does not show yet")


def exchange_name(order: Order) -> str | None:
    """What to call the order by at the exchange; None: by its client_order_id. Others' need not have one."""
    return order.exchange_order_id if order.is_external else None


def _unseen(lane: Lane, order: Order, asked_at: datetime, desk: Desk) -> Order:
    """It was acknowledged, so an empty answer is lag or a history that was wiped, and not absence.

    Only much later: then it is not open, and the exchange has forgotten how it ended, without further fill.
    """
    patience = desk.patience
    if not absence_proves_ended(
        order, asked_at=asked_at, retention_s=patience.retention_s, unseen_s=patience.unseen_s
    ):
        log.warning("order_not_shown", client_order_id=order.client_order_id, since=order.unseen_since)
        if order.unseen_since is None:
            lane.record_order(replace(order, unseen_since=asked_at))
        return order
    log.error("order_ended_unseen", client_order_id=order.client_order_id, symbol=lane.symbol)
    ended = replace(
        order,
        status=OrderStatus.CANCELLED,
        reason="not open at the exchange, which has forgotten how it ended",
        announced=order.announced | {OrderEvent.CANCELLED},
    )
    correction = Correction(order=ended, events=(OrderEvent.CANCELLED,))
    return record_correction(lane, order, correction, now=desk.now())


def mark_unsent(lane: Lane, order: Order) -> Order:
    """Record the proof that the exchange does not have this order and can no longer get it."""
    unsent = replace(order, intended_at=None)
    lane.record_order(unsent)
    return unsent


def _go_on_cancelling(lane: Lane, order: Order, desk: Desk) -> Order:
    """A cancel that an earlier holder of the lane began; one that the exchange refuses is given up."""
    try:
        return confirm_cancel(lane, order, desk)
    except Refused as refusal:
        return give_up_cancel(lane, order, refusal)


def give_up_cancel(lane: Lane, order: Order, refusal: Refused) -> Order:
    log.warning("cancel_refused", client_order_id=order.client_order_id, error=refusal.message)
    kept = replace(order, cancel_requested_at=None, reason=None)
    lane.record_order(kept)
    return kept


def confirm_cancel(lane: Lane, order: Order, desk: Desk) -> Order:
    """Cancel, and wait until the exchange shows how the order ended. Safe to repeat.

    Raises OutcomeUnknown when it does not show in time, Refused when the exchange will not cancel.
    """
    try:
        with suppress(OrderNotFound):  # filled, gone, or overtaken by its own create: the evidence tells
            desk.exchange.cancel_order(
                lane.symbol, order.client_order_id, exchange_order_id=exchange_name(order)
            )
    except OutcomeUnknown:
        log.warning("cancel_outcome_unknown", client_order_id=order.client_order_id)
    for _ in desk.looks():
        order = settle_order(lane, order, desk)
        if not order.is_open or (order.is_in_flight and order.intended_at is None):
            return order
    raise OutcomeUnknown(f"the cancel of {order.client_order_id} does not show yet")


def apply(lane: Lane, order: Order, report: OrderReport, desk: Desk) -> Order:
    """Record what a report changes: the order, its events, and the position that its growth moves."""
    correction = apply_report(order, report)
    if correction is None:
        return order
    market = desk.last_market(lane.symbol)
    return record_correction(lane, order, correction, now=desk.now(), market=market)


def record_correction(
    lane: Lane, before: Order, correction: Correction, *, now: datetime, market: Market | None = None
) -> Order:
    """Returns the order as it is recorded."""
    after = replace(correction.order, updated_at=now)
    if before.cancel_requested_at is not None and before.reason and after.status is OrderStatus.CANCELLED:
        after = replace(after, reason=before.reason)  # the exchange only knows that we asked
    origin = lane.origin_of(before)
    fill = correction.fill
    position = origin.position
    if fill is not None:
        # What the exchange kept of the coin that was bought is not ours to sell; its cost is in the fees.
        kept = replace(fill, quantity=fill.quantity - (after.base_fees - before.base_fees))
        position = position.with_fill(after.request.position_idx, kept)
    elif correction.fee_delta:
        position = position.with_fee(after.request.position_idx, correction.fee_delta)
    events = [
        order_event(
            kind,
            after,
            sequence=origin.event_sequence + number,
            trace_id=origin.trace_id,
            now=now,
            signal=origin.signal,
            received_at=origin.received_at,
            market=market,
            last_fill=fill_json(fill) if fill and kind in {"partially_filled", "filled"} else None,
            modification=_modification(correction) if kind == "modified" else None,
        )
        for number, kind in enumerate(correction.events, start=1)
    ]
    lane.record_order(
        after,
        events=events,
        position=position if fill is not None or correction.fee_delta else None,
        mark_price=correction.fill_price,
    )
    if correction.events:
        log.info(
            "order_updated",
            symbol=lane.symbol,
            client_order_id=after.client_order_id,
            events=[event.value for event in correction.events],
            status=after.status.value,
            filled_quantity=text(after.filled_quantity),
            reason=after.reason if after.status in {OrderStatus.CANCELLED, OrderStatus.REJECTED} else None,
        )
    return after


def _modification(correction: Correction) -> dict[str, Any] | None:
    change = correction.modification
    if change is None:
        return None
    return {
        "before": {"quantity": text(change.before.quantity), "price": text(change.before.price)},
        "after": {"quantity": text(change.after.quantity), "price": text(change.after.price)},
    }
