"""Reconciling: our order and the exchange's report -> how ours changes, or None.

The exchange's updates come late, twice and out of order, over several roads. So a report is merged, never
assigned, and the merge is

- total: any report of the order, at any moment, has an answer;
- idempotent: a report that was applied changes nothing when it comes again;
- monotone: filled quantity never shrinks, a terminal order never opens again.

However the reports of one order are shuffled and repeated, they end in the same status, terms, filled
quantity, cost and fees; the filled deltas sum to the filled quantity; and others hear the same kinds of
events. A partial fill or an amendment that we learn of only after the order has ended is still announced,
late, with the order as it is by then. Not invariant: how often `partially_filled` and `modified` come, and
whether a cancel that lost its race against a fill is announced as cancelled before it is announced as
filled.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from order_manager.domain.orders import ZERO, Order, OrderEvent, OrderReport, OrderStatus, OrderType, Side
from order_manager.domain.positions import Fill, Position

TERMINAL_EVENTS = {
    OrderStatus.FILLED: OrderEvent.FILLED,
    OrderStatus.CANCELLED: OrderEvent.CANCELLED,
    OrderStatus.REJECTED: OrderEvent.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an amendment, or the exchange's price clamp, can change."""

    quantity: Decimal  # base
    price: Decimal | None  # quote per base; None for a market order


@dataclass(frozen=True, slots=True, kw_only=True)
class Modification:
    before: Terms
    after: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """How one report changes an order.

    `events` are in the order in which they are to be announced. They can be empty: the newer clock, an
    exchange_order_id or a fee still has to be stored.
    """

    order: Order  # as it is afterwards
    events: tuple[OrderEvent, ...] = ()
    filled_delta: Decimal = ZERO  # base, growth of the filled quantity; zero or more
    fill_price: Decimal | None = None  # quote per base, average of the growth; None without growth
    fee_delta: Decimal = ZERO  # quote, positive: paid
    base_fee_delta: Decimal = ZERO  # base, part of it: what the exchange kept of the coin that was bought
    modification: Modification | None = None  # with the event `modified`

    @property
    def fill(self) -> Fill | None:
        """The growth as one fill, for the position; None without growth."""
        if self.fill_price is None:
            return None
        return Fill(
            side=self.order.request.side,
            quantity=self.filled_delta,
            price=self.fill_price,
            fee=self.fee_delta,
        )

    @property
    def is_silent(self) -> bool:
        """Nothing to tell others and no position to move: the exchange was heard, no more."""
        return not (self.events or self.filled_delta or self.fee_delta or self.base_fee_delta)

    def moved(self, position: Position) -> Position:
        """`position` after this change of its order.

        What the exchange kept of the coin is not ours to sell; what it was worth is in the fees.
        """
        side, idx = self.order.request.side, self.order.request.position_idx
        fill, base_fee = self.fill, self.base_fee_delta
        if fill is not None and (kept := fill.quantity - side.sign * base_fee) > 0:
            return position.with_fill(idx, replace(fill, quantity=kept))
        if fill is not None:
            position = position.with_fill(idx, replace(fill, fee=ZERO))
        if base_fee:
            # Known later than its fill, which was booked whole: as if the coin were sold to pay it.
            payer, price = Side.SELL if base_fee > 0 else Side.BUY, self.order.average_price or ZERO
            position = position.with_fill(idx, Fill(side=payer, quantity=abs(base_fee), price=price))
        return position.with_fee(idx, self.fee_delta) if self.fee_delta else position


def apply_report(order: Order, report: OrderReport) -> Correction | None:
    """Merge `report` into `order`; None when it says nothing new.

    A dry-run order, and a report that carries another exchange_order_id, are never merged. A terminal
    status counts however old the report is: what was closed once stays closed.
    """
    if order.status is OrderStatus.DRY_RUN:
        return None
    if order.exchange_order_id not in (None, report.exchange_order_id):
        return None
    is_taken_back = order.status.is_terminal and (
        order.exchange_order_id is None or order.unseen_since is not None
    )
    if is_taken_back:
        # That it never reached the exchange, or is over, was our conclusion. Only the exchange knows.
        order = replace(order, status=_open_status(order.filled_quantity), reason=None)
    terms = _merged_terms(order, report)
    filled = max(order.filled_quantity, report.filled_quantity)
    status = _merged_status(order, report, filled, terms.quantity)
    after = replace(
        order,
        request=replace(order.request, quantity=terms.quantity, price=terms.price),
        status=status,
        exchange_order_id=report.exchange_order_id,
        filled_quantity=filled,
        average_price=_merged_average(order, report),
        fees=_merged_fees(order, report, order.fees, report.fees),
        base_fees=_merged_fees(order, report, order.base_fees, report.base_fees),
        reason=_merged_reason(order, report, status),
        exchange_updated_at=max(order.exchange_updated_at or report.updated_at, report.updated_at),
        executed_at=_merged_executed_at(order, report),
        unseen_since=None,
    )
    modification = _modification(order, after, report)
    if is_taken_back and after.is_open:  # others have heard of an end
        modification = modification or Modification(before=_terms_of(order), after=_terms_of(after))
    events = _events(order, after, report, is_modified=modification is not None)
    after = replace(after, announced=order.announced | set(events))
    return _correction(order, after, events, modification) if after != order else None


def is_contradicted(order: Order, report: OrderReport) -> bool:
    """The order has ended here, and by this report alone it would not have, or otherwise."""
    if not order.status.is_terminal:
        return False
    anew = apply_report(replace(order, unseen_since=order.updated_at), report)
    return anew is not None and anew.order.status is not order.status


def _is_older(order: Order, report: OrderReport) -> bool:
    """By what only grows (an end, the filled quantity), then by the exchange's clock, which may be set back.

    Equal is not older: two changes can share a millisecond.
    """
    ours = order.status.is_terminal, order.filled_quantity
    theirs = report.status.is_terminal, report.filled_quantity
    if ours != theirs:
        return theirs < ours
    return order.exchange_updated_at is not None and report.updated_at < order.exchange_updated_at


def _terms_of(order: Order) -> Terms:
    return Terms(quantity=order.request.quantity, price=order.request.price)


def _merged_terms(order: Order, report: OrderReport) -> Terms:
    ours = _terms_of(order)
    if _is_older(order, report):
        return ours
    quantity = report.quantity if report.quantity > 0 else ours.quantity
    # The price that Bybit shows of a market order is the bound of its internal IOC limit order.
    if order.request.order_type is OrderType.MARKET or not report.price:
        return Terms(quantity=quantity, price=ours.price)
    return Terms(quantity=quantity, price=report.price)


def _merged_status(order: Order, report: OrderReport, filled: Decimal, quantity: Decimal) -> OrderStatus:
    """By what was filled and what was ever claimed, so that the order of arrival does not matter."""
    claims = {order.status, report.status}
    if OrderStatus.FILLED in claims or filled >= quantity:
        return OrderStatus.FILLED
    if OrderStatus.CANCELLED in claims or (OrderStatus.REJECTED in claims and filled > 0):
        return OrderStatus.CANCELLED
    if OrderStatus.REJECTED in claims:
        return OrderStatus.REJECTED
    return _open_status(filled)


def _open_status(filled: Decimal) -> OrderStatus:
    return OrderStatus.PARTIALLY_FILLED if filled > 0 else OrderStatus.PENDING


def _merged_average(order: Order, report: OrderReport) -> Decimal | None:
    if report.filled_quantity <= order.filled_quantity:
        return order.average_price
    if report.average_price:
        return report.average_price
    # The exchange owes us the price; the order's own is the nearest we know.
    return report.price or order.request.price or order.reference_price or order.average_price


def _merged_fees(order: Order, report: OrderReport, ours: Decimal, theirs: Decimal) -> Decimal:
    """The fees of the larger fill; of equal fills the larger fees, as some reports leave them out."""
    if report.filled_quantity > order.filled_quantity:
        return theirs
    if report.filled_quantity < order.filled_quantity:
        return ours
    return max(ours, theirs, key=lambda fees: (abs(fees), fees))


def _merged_reason(order: Order, report: OrderReport, status: OrderStatus) -> str | None:
    """Why it was cancelled or rejected, or is to be; the first reason heard stays."""
    if order.cancel_requested_at is not None and not status.is_terminal:
        return order.reason
    if status not in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        return None
    return order.reason or report.reason


def _merged_executed_at(order: Order, report: OrderReport) -> datetime | None:
    """When the filled quantity was reached: the earliest of the reports that tell of it."""
    if report.filled_quantity > order.filled_quantity:
        return report.updated_at
    if report.filled_quantity == order.filled_quantity > 0 and order.executed_at is not None:
        return min(order.executed_at, report.updated_at)
    return order.executed_at


def _modification(before: Order, after: Order, report: OrderReport) -> Modification | None:
    """What changed in the terms; of an older report, that they once were others, if nobody heard of it."""
    if _terms_of(before) != _terms_of(after):
        return Modification(before=_terms_of(before), after=_terms_of(after))
    if OrderEvent.MODIFIED in before.announced or not _is_older(before, report):
        return None
    once = _merged_terms(replace(before, exchange_updated_at=None), report)
    return Modification(before=once, after=_terms_of(after)) if once != _terms_of(after) else None


def _correction(
    before: Order, after: Order, events: tuple[OrderEvent, ...], modification: Modification | None
) -> Correction:
    delta = after.filled_quantity - before.filled_quantity
    return Correction(
        order=after,
        events=events,
        filled_delta=delta,
        fill_price=_fill_price(before, after) if delta > 0 else None,
        fee_delta=after.fees - before.fees,
        base_fee_delta=after.base_fees - before.base_fees,
        modification=modification,
    )


def _events(before: Order, after: Order, report: OrderReport, *, is_modified: bool) -> tuple[OrderEvent, ...]:
    events = [] if OrderEvent.CREATED in before.announced else [OrderEvent.CREATED]
    if is_modified:
        events.append(OrderEvent.MODIFIED)
    grew = after.filled_quantity > before.filled_quantity
    was_partial = (
        0 < report.filled_quantity < report.quantity and OrderEvent.PARTIALLY_FILLED not in before.announced
    )
    if was_partial or (grew and after.status is not OrderStatus.FILLED):
        events.append(OrderEvent.PARTIALLY_FILLED)
    if after.status.is_terminal and after.status is not before.status:
        events.append(TERMINAL_EVENTS[after.status])
    return tuple(events)


def _fill_price(before: Order, after: Order) -> Decimal:
    """Average price of the growth: the difference in value over the difference in quantity."""
    value = after.filled_quantity * (after.average_price or ZERO)
    known = before.filled_quantity * (before.average_price or ZERO)
    price = (value - known) / (after.filled_quantity - before.filled_quantity)
    # Averages come rounded; the difference of two can be nonsense for a tiny growth.
    return price if price > 0 else after.average_price or ZERO


def absence_proves_ended(order: Order, *, asked_at: datetime, retention_s: float, unseen_s: float) -> bool:
    """Does "no such order", asked at `asked_at`, show that an order which once was there is over?

    The exchange shows every open order, and a closed one for at least its retention: cancelled without a
    fill 24 hours (order/history). So only of an order that we last heard of before that, and that has shown
    nowhere for `unseen_s`: one empty answer can be a service that restarts.
    """
    heard_at = order.exchange_updated_at or order.created_at
    if heard_at is None or order.unseen_since is None:
        return False
    return asked_at - heard_at > timedelta(seconds=retention_s) and (
        asked_at - order.unseen_since > timedelta(seconds=unseen_s)
    )


def absence_proves_never_accepted(
    *, intended_at: datetime, asked_at: datetime, recv_window_s: float, margin_s: float
) -> bool:
    """Does "no such order", asked at `asked_at`, prove that the request never took effect?

    Only when no request that was sent at `intended_at` could still be accepted: the exchange refuses one
    that is older than the receive window; the margin covers clocks and the exchange's own delay.
    """
    return asked_at - intended_at > timedelta(seconds=recv_window_s + margin_s)
