"""Validating: our position against the exchange's, leg by leg."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from order_manager.domain.positions import Leg

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
