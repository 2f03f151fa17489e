"""View positions: whose numbers a decision uses where a Position Manager is configured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from order_manager.domain.portfolio import OURS, Holding, Portfolio, View
from order_manager.domain.state import PositionSource
from order_manager.errors import PositionManagerAway


class PositionManager(Protocol):
    """Each raises PositionManagerAway."""

    def holding(self, symbol: str) -> Holding: ...

    def total_exposure(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionViews:
    """Asks the Position Manager; when it is away our own books count, for everything or only to reduce."""

    manager: PositionManager
    may_fall_back: bool
    now: Callable[[], datetime]

    def __call__(self, symbol: str) -> View:
        asked_at = self.now()
        try:
            holding, total = self.manager.holding(symbol), self.manager.total_exposure()
        except PositionManagerAway:
            return OURS if self.may_fall_back else View(source=PositionSource.NOBODY)
        portfolio = Portfolio(holding=holding, total_exposure=total, asked_at=asked_at)
        return View(source=PositionSource.POSITION_MANAGER, portfolio=portfolio)
