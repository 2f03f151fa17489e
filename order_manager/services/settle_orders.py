"""Settle orders: bring what we recorded of a symbol's open orders to what the exchange shows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from order_manager.domain.orders import Order, OrderEvent, OrderReport, OrderStatus
from order_manager.domain.reconciling import (
    Correction,
    absence_proves_ended,
    absence_proves_never_accepted,
)
from order_manager.errors import OrderNotFound, OutcomeUnknown, Refused
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.record_reports import apply, apply_reports, is_news, record_correction

log = structlog.get_logger(__name__)

FEW = 3  # open orders that are asked for one by one; more come as pages of fifty


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A symbol's orders after the exchange was asked."""

    still_open: tuple[Order, ...]
    seen: int
    changed: int


def settle_orders(lane: Lane, desk: Desk, *, only_unsettled: bool = False) -> Settlement:
    """Ask the exchange for the state of every open order of the symbol.

    With `only_unsettled` those that rest, and that nobody is about to end, are left to the exchange's
    updates. Raises OutcomeUnknown while an order's fate can't be told: nothing else may happen on the symbol.
    """
    orders = [order for order in lane.open_orders() if not (only_unsettled and order.is_at_rest)]
    if len(orders) > FEW:
        return settle_with(lane, desk.exchange.open_orders(lane.symbol), desk)
    after = [_settled(lane, order, desk) for order in orders]
    changed = sum(is_news(old, new) for old, new in zip(orders, after, strict=True))
    still_open = tuple(order for order in after if order.is_open)
    return Settlement(still_open=still_open, seen=len(orders), changed=changed)


def settle_with(lane: Lane, shown: Sequence[OrderReport], desk: Desk) -> Settlement:
    """The same with what the exchange just showed, all of its open orders at least: asks for the rest."""
    changed = apply_reports(lane, shown, desk)
    known = {report.exchange_order_id for report in shown}
    orders, still_open = lane.open_orders(), []
    for order in orders:
        is_settled = order.exchange_order_id in known and order.cancel_requested_at is None
        after = order if is_settled else _settled(lane, order, desk)
        if is_news(order, after):
            changed.add(_any_id(order))
        if after.is_open:
            still_open.append(after)
    seen = changed | {_any_id(order) for order in orders}
    return Settlement(still_open=tuple(still_open), seen=len(seen), changed=len(changed))


def _any_id(order: Order) -> str:
    return order.exchange_order_id or order.id


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
    why = f"order {order.client_order_id} was sent and does not show yet{desk.last_error(order)}"
    raise OutcomeUnknown(why)


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
