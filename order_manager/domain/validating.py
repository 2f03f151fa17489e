"""Validating: our position against the exchange's, leg by leg."""

from collections.abc import Mapping
from dataclasses import dataclass
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


def leg_differences(stored: Mapping[int, Leg], shown: Mapping[int, Leg]) -> list[LegDifference]:
    """Both by Bybit positionIdx; a leg that one side does not have is flat there."""
    flat = Leg()
    return [
        LegDifference(position_idx=idx, stored=ours, size=theirs.size, average_price=theirs.average_price)
        for idx in sorted({*stored, *shown})
        for ours, theirs in [(stored.get(idx, flat), shown.get(idx, flat))]
        if ours.size != theirs.size or not _is_same_price(ours.average_price, theirs.average_price)
    ]


def _is_same_price(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """A price that the exchange does not tell differs from nothing."""
    if not theirs:
        return True
    return ours is not None and abs(ours - theirs) <= theirs * PRICE_TOLERANCE
