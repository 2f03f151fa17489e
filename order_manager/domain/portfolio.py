"""Portfolio: what a Position Manager says we hold, and how a decision uses it beside our own books."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from order_manager.domain.orders import ZERO
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.domain.state import PositionSource, TradingState

LAG = timedelta(seconds=5)  # it hears of a fill later than we do: it is told by the exchange, or by us


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A symbol's position in the words of the Position Manager; None is what it does not tell."""

    symbol: str
    long_size: Decimal = ZERO  # base, zero or more
    short_size: Decimal = ZERO  # base, zero or more
    long_average_price: Decimal | None = None
    short_average_price: Decimal | None = None
    mode: PositionMode | None = None
    mark_price: Decimal | None = None
    exposure: Decimal | None = None  # quote, its part of the total
    realized_pnl: Decimal | None = None  # quote
    unrealized_pnl: Decimal | None = None  # quote
    fees: Decimal | None = None  # quote
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def as_position(self, mode: PositionMode) -> Position:
        """In one-way mode what is held on both sides is netted."""
        long = Leg(size=self.long_size, average_price=self.long_average_price if self.long_size else None)
        short = Leg(
            size=-self.short_size, average_price=self.short_average_price if self.short_size else None
        )
        if mode is PositionMode.HEDGE:
            return Position(symbol=self.symbol, mode=mode, long=long, short=short)
        larger = long if self.long_size >= self.short_size else short
        size = self.long_size - self.short_size
        return Position(symbol=self.symbol, mode=mode, net=replace(larger, size=size) if size else Leg())

    def exposure_at(self, mark_price: Decimal) -> Decimal:
        """Quote: its part of the total, by what it says, else at its mark price, else at this one."""
        if self.exposure is not None:
            return self.exposure
        return (self.long_size + self.short_size) * (self.mark_price or mark_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """One symbol and the whole account, as of `asked_at`."""

    holding: Holding
    total_exposure: Decimal  # quote, positions of all symbols
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Whose position and exposure a decision uses; `portfolio` comes with POSITION_MANAGER."""

    source: PositionSource
    portfolio: Portfolio | None = None


OURS = View(source=PositionSource.OURS)


def with_portfolio(
    state: TradingState, portfolio: Portfolio, *, other_orders: Decimal, moved_at: datetime | None
) -> TradingState:
    """`state`, which has our own numbers, with those of the Position Manager.

    `other_orders` is the part of `other_exposure` that is open orders, in quote; `moved_at` is when one of
    our fills last moved the symbol's position. Two numbers stay ours, because the Position Manager's are
    older: a position that we have just moved, and the exposure of other symbols where ours is the larger.
    Without the second two symbols that trade at once could together exceed the limit.
    """
    is_news_to_them = moved_at is not None and moved_at > portfolio.asked_at - LAG
    holding = portfolio.holding
    theirs = max(portfolio.total_exposure - holding.exposure_at(state.market.mark), ZERO)
    ours = state.other_exposure - other_orders
    return replace(
        state,
        position=state.position if is_news_to_them else holding.as_position(state.position.mode),
        other_exposure=max(theirs, ours) + other_orders,
        source=PositionSource.POSITION_MANAGER,
    )
