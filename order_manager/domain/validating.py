"""Validating: our position against the exchange's, leg by leg."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from order_manager.domain.orders import ZERO
from order_manager.domain.positions import Leg, Position

PRICE_TOLERANCE = Decimal("0.000001")  # of the price: the exchange rounds its averages


@dataclass(frozen=True, slots=True, kw_only=True)
class LegDifference:
    """A leg of ours that is not as it should be."""

    position_idx: int
    stored: Leg
    size: Decimal  # base, signed: as it should be
    average_price: Decimal | None

    @property
    def is_of_size(self) -> bool:
        return self.size != self.stored.size

    @property
    def gap(self) -> Decimal:
        """How much is missing; the same however the position moves meanwhile."""
        return self.size - self.stored.size

    def set_right(self, leg: Leg) -> Leg:
        """`leg` with its size and price as they should be.

        The same fills in another order leave another average and another realized PnL, and the same sum of
        realized and unrealized: what the price moves, goes from one to the other. What was realized by fills
        that we never saw stays unknown.
        """
        if not self.size:
            return replace(leg, size=self.size, average_price=None)
        price = self.average_price or leg.average_price
        realized = leg.realized_pnl
        if price is not None and leg.average_price is not None and not self.is_of_size:
            realized += self.size * (price - leg.average_price)
        return replace(leg, size=self.size, average_price=price, realized_pnl=realized)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A leg of a position that was set right."""

    asset: str
    position_idx: int  # Bybit positionIdx
    size_before: Decimal  # base, signed
    size_after: Decimal
    average_price_before: Decimal | None  # quote per base
    average_price_after: Decimal | None
    source: str  # which side was right: exchange or fills
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Takings:
    """What the fills of a leg come to in money, all in quote."""

    cash: Decimal = ZERO  # received less paid, before fees
    fees: Decimal = ZERO  # positive: paid
    turnover: Decimal = ZERO  # the sum of all that changed hands


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """What the fills of a symbol come to."""

    sizes: Mapping[int, Decimal]  # Bybit positionIdx -> base, signed
    takings: Mapping[int, Takings | None]  # likewise; None where not every fill was seen
    incomplete: int  # orders of which not every execution is known


def with_takings(position: Position, takings: Mapping[int, Takings | None]) -> Position:
    """`position` with realized PnL and fees by its fills; the very same where they are right, or not known.

    Average cost: realized PnL is cash plus what is held at its average price, in whatever order it filled.
    """
    earned, paid, turnover = ZERO, ZERO, ZERO
    for idx, leg in position.legs.items():
        known = takings.get(idx, Takings())
        if known is None or (leg.size and (not known.turnover or leg.average_price is None)):
            return position
        earned += known.cash + leg.size * (leg.average_price or ZERO)
        paid += known.fees
        turnover += known.turnover
    stored_earned = sum((leg.realized_pnl for leg in position.legs.values()), ZERO)
    stored_paid = sum((leg.fees for leg in position.legs.values()), ZERO)
    if max(abs(earned - stored_earned), abs(paid - stored_paid)) <= turnover * PRICE_TOLERANCE:
        return position
    first = min(position.legs)  # both legs of a hedge share what they earned
    for idx, leg in position.legs.items():
        share = (earned, paid) if idx == first else (ZERO, ZERO)
        position = position.with_leg(idx, replace(leg, realized_pnl=share[0], fees=share[1]))
    return position


def leg_differences(stored: Mapping[int, Leg], shown: Mapping[int, Leg]) -> list[LegDifference]:
    """Both by Bybit positionIdx; a leg that one side does not have is flat there."""
    flat = Leg()
    return [
        LegDifference(position_idx=idx, stored=ours, size=theirs.size, average_price=theirs.average_price)
        for idx in sorted({*stored, *shown})
        for ours, theirs in [(stored.get(idx, flat), shown.get(idx, flat))]
        if ours.size != theirs.size
        or (theirs.size and not _is_same_price(ours.average_price, theirs.average_price))
    ]


def _is_same_price(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """A price that the exchange does not tell differs from nothing."""
    if not theirs:
        return True
    return ours is not None and abs(ours - theirs) <= theirs * PRICE_TOLERANCE
