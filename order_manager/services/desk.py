"""What a lane works with: the outside world, the rules, and how patient to be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Category, Order
from order_manager.domain.portfolio import OURS, View
from order_manager.domain.state import Market, TradingRules
from order_manager.errors import ExchangeError
from order_manager.services.pausing import Pause
from order_manager.services.ports import Exchange, Publisher

LONGEST_ERROR = 300  # characters of what the exchange said, where it is told


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds."""

    recv_window_s: float = 5.0  # a request that is later than this at the exchange is refused there
    margin_s: float = 2.0  # clocks differ, and an accepted order takes a moment to show
    execution_timeout_s: float = 30.0  # after its decision an order may still be sent
    balance_max_age_s: float = 5.0
    retry_s: float = 1.0  # between looks at an outcome that is unknown
    person_s: float = 15.0  # between tries of what most likely needs a person first
    confirm_attempts: int = 20  # looks at a cancel until it shows
    confirm_pause_s: float = 0.05
    retention_s: float = 25 * 3600.0  # a closed order shows at the exchange for at least a day
    unseen_s: float = 600.0  # for which it must have shown nowhere before it counts as ended
    stale_s: float = 3600.0  # an order that rests for longer is cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Passed to every service that acts on a lane."""

    exchange: Exchange
    publisher: Publisher
    rules: TradingRules
    category: Category
    instrument: Callable[[str], Instrument | None]  # a symbol's rules as last refreshed
    market: Callable[[str], Market]  # a symbol's prices, a moment old at most
    last_market: Callable[[str], Market | None] = lambda symbol: None  # as heard a moment ago; asks nobody
    view: Callable[[str], View] = lambda symbol: OURS  # whose position and exposure a decision uses
    patience: Patience = Patience()
    now: Callable[[], datetime] = utc_now
    pause: Pause = field(default_factory=Pause)
    heard: dict[str, tuple[str, str]] = field(default_factory=dict)  # symbol -> (order id, its last error)

    def note_error(self, order: Order, error: ExchangeError) -> None:
        """Remember why the exchange did not take an order. For words only: it is lost with the process."""
        self.heard[order.request.symbol] = (order.id, error.reason[:LONGEST_ERROR])

    def last_error(self, order: Order) -> str:
        """'; the last error was: ...', to be added to a reason; empty where none is known."""
        order_id, message = self.heard.get(order.request.symbol, ("", ""))
        return f"; the last error was: {message}" if order_id == order.id else ""

    def looks(self) -> Iterator[None]:
        """One turn per look at what was asked for, with a longer pause after each, until patience ends."""
        for attempt in range(1, self.patience.confirm_attempts + 1):
            yield
            self.pause(self.patience.confirm_pause_s * min(attempt, 10))
