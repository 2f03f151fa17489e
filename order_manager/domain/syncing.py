"""Comparisons with the exchange that somebody asked for, and how far they are."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSync:
    """How a symbol's part of a run stands."""

    symbol: str
    is_done: bool
    seen: int  # orders looked at
    corrected: int  # orders that changed
    discrepancies: int  # differences of the position that were corrected
    error: str | None  # of a try since the run began, while it is not done


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
class SyncRun:
    """A run and its lanes."""

    id: str
    scope: str
    asset: str | None
    requested_at: datetime
    lanes: tuple[LaneSync, ...]
    adjustments: tuple[Adjustment, ...]  # of their positions, since it was asked for
