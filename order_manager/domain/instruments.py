"""Instruments: a symbol's trading rules, and the rounding that belongs to them."""

from dataclasses import dataclass
from decimal import Decimal

from order_manager.domain.orders import Category, OrderType, Side

# Decimal's // raises when its result has more than 28 digits; this stays clear of it.
MOST_LOTS = Decimal(10) ** 24


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of `step` that is not above `value` (value >= 0)."""
    return value // step * step  # not quantize(): a step of 0.05 or 5 is not a power of ten


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of `step` that is not below `value` (value >= 0)."""
    floored = floor_to_step(value, step)
    return floored if floored == value else floored + step


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A symbol's trading rules as the exchange publishes them."""

    symbol: str
    category: Category
    base_coin: str
    quote_coin: str
    tick_size: Decimal  # smallest price step, quote per base
    lot_size: Decimal  # smallest quantity step, base
    min_quantity: Decimal  # base; zero where the exchange says not to check
    min_notional: Decimal  # quote
    max_limit_quantity: Decimal  # base, per limit order
    max_market_quantity: Decimal  # base, per market order
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    is_trading: bool = True

    def quantity_for(self, notional: Decimal, *, price: Decimal) -> Decimal:
        """Most base quantity, in whole lots, that `notional` quote buys at `price`; worth `notional` at most.

        Beyond MOST_LOTS it is not floored: no exchange takes that much, so it only meets a maximum.
        """
        if notional / price >= self.lot_size * MOST_LOTS:
            return notional / price
        # Not floor_to_step(notional / price): the quotient is rounded, perhaps up to a lot too many.
        return notional // (price * self.lot_size) * self.lot_size

    def price_for(self, side: Side, price: Decimal) -> Decimal:
        """`price` on the tick, rounded in our favour: a buy down, a sell up."""
        return (
            floor_to_step(price, self.tick_size) if side is Side.BUY else ceil_to_step(price, self.tick_size)
        )

    def max_quantity(self, order_type: OrderType) -> Decimal:
        """Base quantity that one order of this type may have at most."""
        return self.max_market_quantity if order_type is OrderType.MARKET else self.max_limit_quantity
