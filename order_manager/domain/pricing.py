"""Pricing: market or limit, and at what price. Prices and spreads are quote per base."""

from dataclasses import dataclass
from decimal import Decimal

from order_manager.domain.instruments import MOST_LOTS, Instrument
from order_manager.domain.orders import ZERO, OrderType, Side, TimeInForce
from order_manager.domain.signals import Signal
from order_manager.domain.state import Market, TradingRules

PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The price that a limit order starts from, and the spread with the price it is measured against."""

    price: Decimal
    spread: Decimal | None  # zero or more; None when a side of the book is empty
    spread_base: Decimal  # what the spread is a percentage of


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How to trade, and the sentence that says why."""

    order_type: OrderType
    time_in_force: TimeInForce
    reason: str


def view_of(signal: Signal, market: Market) -> View:
    """The model's snapshot where it gave one, the ticker where it did not."""
    price = signal.snapshot_price if signal.snapshot_price is not None else market.last
    if signal.snapshot_spread is not None:
        return View(price=price, spread=max(signal.snapshot_spread, ZERO), spread_base=price)
    if market.bid <= 0 or market.ask <= 0:
        return View(price=price, spread=None, spread_base=market.last)
    return View(price=price, spread=max(market.ask - market.bid, ZERO), spread_base=market.last)


def style_for(signal: Signal, view: View, rules: TradingRules) -> Style:
    """Market (IOC) when the model is sure, in a hurry, or the spread costs little; else a post-only limit."""
    least = rules.market_order_confidence_threshold
    if signal.confidence is not None and signal.confidence >= least:
        return _market(f"confidence {signal.confidence:f} is at least {least:f}")
    if signal.is_urgent:
        return _market("the signal is urgent")
    widest = rules.market_order_spread_threshold_pct
    if view.spread is None:
        return _limit("a side of the book is empty, so the spread is unknown")
    spread = f"spread {view.spread:f} at {view.spread_base:f}"
    if view.spread * PERCENT < widest * view.spread_base:
        return _market(f"{spread} is below {widest:f} %")
    return _limit(f"{spread} is not below {widest:f} %, and confidence and urgency do not ask for more")


def _market(reason: str) -> Style:
    return Style(order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, reason=f"market order: {reason}")


def _limit(reason: str) -> Style:
    # Bybit's PostOnly is good-till-cancelled plus post-only; there is no separate GTC to ask for.
    return Style(
        order_type=OrderType.LIMIT, time_in_force=TimeInForce.POST_ONLY, reason=f"limit order: {reason}"
    )


def price_to_hit(side: Side, market: Market) -> Decimal:
    """The best price that a market order of `side` trades at; zero when nobody is there."""
    return market.ask if side is Side.BUY else market.bid


def limit_price(side: Side, view: View, instrument: Instrument, rules: TradingRules) -> Decimal:
    """Snapshot price minus (buy) or plus (sell) a part of the spread, on the tick, rounded in our favour.

    A price outside `price_range` comes back unrounded: it will only be refused.
    """
    offset = (view.spread or ZERO) * rules.limit_order_price_offset_ratio
    wanted = view.price - offset * side.sign
    lowest, highest = price_range(instrument)
    return instrument.price_for(side, wanted) if lowest <= wanted <= highest else wanted


def price_range(instrument: Instrument) -> tuple[Decimal, Decimal]:
    """Lowest and highest price the exchange takes; one tick and 10^24 ticks where it names none."""
    lowest = instrument.min_price if instrument.min_price is not None else instrument.tick_size
    highest = instrument.max_price if instrument.max_price is not None else instrument.tick_size * MOST_LOTS
    return max(lowest, instrument.tick_size), highest


def price_warnings(
    signal: Signal, market: Market, rules: TradingRules, *, limit: Decimal | None
) -> tuple[str, ...]:
    """Sentences about prices that look stale; we go on all the same."""
    warnings = []
    snapshot, most = signal.snapshot_price, rules.price_deviation_warning_pct
    if snapshot is not None and abs(market.last - snapshot) * PERCENT > snapshot * most:
        warnings.append(
            f"the current price {market.last:f} is more than {most:f} % from the snapshot price {snapshot:f}"
        )
    touch = price_to_hit(signal.side, market)
    if limit is not None and touch > 0 and (limit - touch) * signal.side.sign >= 0:
        warnings.append(
            f"the limit price {limit:f} crosses the book at {touch:f}; "
            "the exchange cancels a post-only order that would trade at once"
        )
    return tuple(warnings)
