"""Positions: what we hold, and what a fill does to it."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from order_manager.domain.orders import ZERO, Side


class PositionMode(StrEnum):
    ONE_WAY = "one_way"
    HEDGE = "hedge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One signed holding: positive long, negative short."""

    size: Decimal = ZERO  # base
    average_price: Decimal | None = None  # quote per base; None when flat
    realized_pnl: Decimal = ZERO  # quote, before fees
    fees: Decimal = ZERO  # quote, positive: paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Growth of one order's filled quantity."""

    side: Side
    quantity: Decimal  # base, above zero
    price: Decimal  # quote per base
    fee: Decimal = ZERO


def apply_fill(leg: Leg, fill: Fill) -> Leg:
    """The leg after `fill`: averages in while growing, realizes PnL while shrinking, turns through zero."""
    signed = fill.quantity * fill.side.sign
    size = leg.size + signed
    fees = leg.fees + fill.fee
    if leg.size == 0 or leg.size * signed > 0:
        cost = abs(leg.size) * (leg.average_price or ZERO) + fill.quantity * fill.price
        return replace(leg, size=size, average_price=cost / abs(size), fees=fees)
    closed = min(fill.quantity, abs(leg.size))
    direction = 1 if leg.size > 0 else -1
    entry = leg.average_price if leg.average_price is not None else fill.price
    realized = leg.realized_pnl + closed * (fill.price - entry) * direction
    if size == 0:
        average = None
    elif size * leg.size > 0:
        average = leg.average_price
    else:
        average = fill.price  # reversed: the rest opened here
    return replace(leg, size=size, average_price=average, realized_pnl=realized, fees=fees)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A symbol's holding. One-way uses `net`; hedge uses `long` (size >= 0) and `short` (size <= 0)."""

    symbol: str
    mode: PositionMode = PositionMode.ONE_WAY
    net: Leg = Leg()
    long: Leg = Leg()
    short: Leg = Leg()

    @property
    def long_size(self) -> Decimal:
        """Base quantity held long; zero or more."""
        return max(self.net.size, ZERO) if self.mode is PositionMode.ONE_WAY else self.long.size

    @property
    def short_size(self) -> Decimal:
        """Base quantity held short, as a positive number."""
        return max(-self.net.size, ZERO) if self.mode is PositionMode.ONE_WAY else -self.short.size

    def gross_size(self) -> Decimal:
        """Base quantity at risk: long plus short, both positive."""
        return self.long_size + self.short_size

    def leg_for(self, position_idx: int) -> Leg:
        return (self.net, self.long, self.short)[position_idx]

    @property
    def legs(self) -> dict[int, Leg]:
        """Bybit positionIdx -> leg, of the legs that the mode has."""
        return {0: self.net} if self.mode is PositionMode.ONE_WAY else {1: self.long, 2: self.short}

    def with_leg(self, position_idx: int, leg: Leg) -> "Position":
        if position_idx == 0:
            return replace(self, net=leg)
        return replace(self, long=leg) if position_idx == 1 else replace(self, short=leg)

    def with_fee(self, position_idx: int, fee: Decimal) -> "Position":
        """After a fee that became known later than its fill; quote, positive: paid."""
        leg = self.leg_for(position_idx)
        return self.with_leg(position_idx, replace(leg, fees=leg.fees + fee))

    def with_fill(self, position_idx: int, fill: Fill) -> "Position":
        """After a fill of an order with this Bybit positionIdx (0 one-way, 1 long leg, 2 short leg)."""
        return self.with_leg(position_idx, apply_fill(self.leg_for(position_idx), fill))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPosition:
    """A position with what the table knows beside it."""

    position: Position
    mark_price: Decimal | None  # quote per base; None when none was seen yet
    created_at: datetime
    updated_at: datetime
