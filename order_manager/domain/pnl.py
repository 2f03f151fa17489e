"""PnL: what a position has brought, and what closing it would bring."""

from collections.abc import Iterable
from decimal import Decimal, localcontext

from order_manager.domain.orders import ZERO
from order_manager.domain.positions import Leg, Position, PositionMode

PNL_DECIMALS = 8  # of quote currency; size times price has up to 36
PERCENT_DECIMALS = 4
DIGITS = 80  # of a product of two stored numbers


def long_leg(position: Position) -> Leg:
    """What is held long, size zero or more."""
    if position.mode is PositionMode.HEDGE:
        return position.long
    return position.net if position.net.size > 0 else Leg()


def short_leg(position: Position) -> Leg:
    """What is held short, size zero or less."""
    if position.mode is PositionMode.HEDGE:
        return position.short
    return position.net if position.net.size < 0 else Leg()


def held_side(position: Position) -> str:
    """long, short, both or flat."""
    long, short = long_leg(position), short_leg(position)
    if long.size and short.size:
        return "both"
    return "long" if long.size else "short" if short.size else "flat"


def entry_price(position: Position) -> Decimal | None:
    """Of the one leg that is held; two legs have no common entry price."""
    side = held_side(position)
    if side == "long":
        return long_leg(position).average_price
    return short_leg(position).average_price if side == "short" else None


def paid_fees(position: Position) -> Decimal:
    """Quote; positive: paid."""
    return sum((leg.fees for leg in _all_legs(position)), ZERO)


def realized_pnl(position: Position) -> Decimal:
    """Quote, after fees."""
    return sum((leg.realized_pnl for leg in _all_legs(position)), ZERO) - paid_fees(position)


def unrealized_pnl(legs: Iterable[Leg], mark_price: Decimal | None) -> Decimal | None:
    """Quote that closing the legs at the mark price would bring, before fees; None when it can't be told."""
    held = [leg for leg in legs if leg.size]
    if not held:
        return ZERO
    if mark_price is None:
        return None
    with localcontext(prec=DIGITS):
        total = ZERO
        for leg in held:
            if leg.average_price is None:
                return None
            total += leg.size * (mark_price - leg.average_price)
        return round(total, PNL_DECIMALS) + 0  # + 0: no minus before a zero


def unrealized_percent(leg: Leg, mark_price: Decimal | None) -> Decimal | None:
    """Unrealized PnL in percent of what the leg cost; None when flat or when it can't be told."""
    if not leg.size or not leg.average_price or mark_price is None:
        return None
    direction = 1 if leg.size > 0 else -1
    with localcontext(prec=DIGITS):
        percent = (mark_price - leg.average_price) * direction / leg.average_price * 100
        return round(percent, PERCENT_DECIMALS) + 0


def _all_legs(position: Position) -> tuple[Leg, ...]:
    return position.net, position.long, position.short
