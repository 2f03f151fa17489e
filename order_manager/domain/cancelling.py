"""Cancelling: which of a symbol's open orders make way for a new one, and which one may become it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from order_manager.domain.orders import ZERO, Order, OrderStatus, OrderType, Side
from order_manager.domain.state import Amendment, PlannedOrder, TradingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrders:
    """A symbol's open orders, parted: `cancel` makes way, `keep` survives and counts towards limits."""

    cancel: tuple[Order, ...]
    keep: tuple[Order, ...]


def part_orders(
    orders: Iterable[Order], side: Side, order_type: OrderType, rules: TradingRules
) -> OpenOrders:
    """Part the open orders for a new order of this side and type."""
    still_open = tuple(order for order in orders if order.is_open)
    cancel = tuple(order for order in still_open if _makes_way(order, side, order_type, rules))
    return OpenOrders(cancel=cancel, keep=tuple(order for order in still_open if order not in cancel))


def _makes_way(order: Order, side: Side, order_type: OrderType, rules: TradingRules) -> bool:
    if not _may_be_cancelled(order, rules):
        return False
    if order_type is OrderType.MARKET:
        return True  # the setting below is about limit orders: a market order clears both sides
    return order.request.side is side.opposite or not rules.cancel_opposite_orders_only


def _may_be_cancelled(order: Order, rules: TradingRules) -> bool:
    if order.is_in_flight or (order.is_external and not rules.cancel_external_orders):
        return False  # not known to be there yet; not ours to touch
    if not order.may_rest:
        return False  # immediate-or-cancel: it is over before a cancel could reach it
    return order.status is not OrderStatus.PARTIALLY_FILLED or rules.cancel_partially_filled


def stale_orders(
    orders: Iterable[Order], *, now: datetime, timeout_s: float, rules: TradingRules
) -> tuple[Order, ...]:
    """Open orders that have rested for longer than `timeout_s` and that we may cancel."""
    limit = now - timedelta(seconds=timeout_s)
    return tuple(
        order
        for order in orders
        if order.is_open
        and order.created_at is not None
        and order.created_at < limit
        and order.cancel_requested_at is None
        and _may_be_cancelled(order, rules)
    )


def amendable_order(
    cancel: tuple[Order, ...], wanted: tuple[PlannedOrder, ...], rules: TradingRules
) -> Order | None:
    """The one order that can be amended into what is wanted, else None.

    It must be among those that make way: what the opposite-only setting keeps stays as it is.
    """
    if not rules.enable_order_amending or len(wanted) != 1 or wanted[0].order_type is OrderType.MARKET:
        return None
    same_side = [order for order in cancel if order.request.side is wanted[0].side]
    if len(same_side) != 1 or not _is_same_kind(same_side[0], wanted[0]):
        return None
    return same_side[0]


def _is_same_kind(order: Order, wanted: PlannedOrder) -> bool:
    """Ours, nothing filled, no cancel under way, and equal in all that an amendment cannot change."""
    request = order.request
    return (
        not order.is_external
        and order.filled_quantity == ZERO
        and order.cancel_requested_at is None
        and request.time_in_force is wanted.time_in_force
        and request.reduce_only == wanted.reduce_only
        and request.position_idx == wanted.position_idx
    )


def amendment_of(order: Order, wanted: PlannedOrder) -> Amendment | None:
    """What to change on `order`; None when it already is what is wanted."""
    if (order.request.quantity, order.request.price) == (wanted.quantity, wanted.price):
        return None
    return Amendment(order=order, quantity=wanted.quantity, price=wanted.price)
