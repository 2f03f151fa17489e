"""Comparisons with the exchange that somebody asked for, and how far they are."""

from dataclasses import dataclass
from datetime import datetime

from order_manager.domain.validating import Adjustment


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
class SyncRun:
    """A run and its lanes."""

    id: str
    scope: str
    asset: str | None
    requested_at: datetime
    lanes: tuple[LaneSync, ...]
    adjustments: tuple[Adjustment, ...]  # of their positions, since it was asked for
