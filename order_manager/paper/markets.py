"""A market: an instrument, its price now, and the synthetic order book around that price.

The book is a function of the price and the tick: it refills after every order, so liquidity taken by one
order does not thin it for the next. Own resting orders are not part of it and never meet each other.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from order_manager.paper.instruments import Instrument
from order_manager.paper.numbers import ONE, ceil_to_step, floor_to_step
from order_manager.paper.orders import Order
from order_manager.paper.prices import draw, path_price
from order_manager.paper.tapes import Tape

BOOK_LEVELS = 25
_MOST_SKIPPED = 200  # ticks that are looked at when many are skipped at once
_LEVEL_NOTIONAL = 8_000  # quote value at the best level; deeper levels hold more


class Level(NamedTuple):
    price: Decimal
    qty: Decimal


class Market:
    """One listed instrument. `resting` holds its open orders by order id, oldest first."""

    __slots__ = (
        "_price",
        "_price_tick",
        "factor",
        "instrument",
        "level_qty",
        "pinned",
        "resting",
        "seed",
        "tape",
    )

    def __init__(self, instrument: Instrument, *, seed: int, tape: Tape | None = None) -> None:
        self.instrument = instrument
        self.seed = seed
        self.tape = tape  # recorded prices to follow instead of the seeded path
        self.pinned: Decimal | None = None
        self.factor = ONE  # a set price moves the whole path by this factor
        self.level_qty: Decimal | None = None  # every book level holds exactly this, when set
        self.resting: dict[str, Order] = {}
        self._price = instrument.start_price
        self._price_tick = -1

    @property
    def key(self) -> tuple[str, str]:
        return self.instrument.category, self.instrument.symbol

    def price(self, tick: int) -> Decimal:
        """Last, mark and index price in one, in quote."""
        if self._price_tick != tick:
            self._price = self.pinned if self.pinned is not None else self._path_price(tick)
            self._price_tick = tick
        return self._price

    def set_price(self, price: Decimal, tick: int, *, pin: bool) -> None:
        """Jump to `price`; pinned it stays there, otherwise the path goes on from it."""
        self.pinned = None
        self.factor = ONE
        self.factor = price / self._path_price(tick)
        self.pinned = price if pin else None
        self._price, self._price_tick = price, tick

    def trade_price(self, tick: int, current_tick: int) -> Decimal:
        """The price at `tick`, now or in the past."""
        if tick == current_tick or self.pinned is not None:
            return self.price(current_tick)
        return self._path_price(tick)

    def extremes(self, after: int, until: int) -> tuple[Decimal, Decimal]:
        """The lowest and highest price since tick `after`, so that skipped ticks skip no price."""
        price = self.price(until)
        if self.pinned is not None:
            return price, price
        if self.tape is not None:
            low, high = self.tape.extremes(after, until)
            return min(price, self._scaled(low)), max(price, self._scaled(high))
        passed = [self._path_price(tick) for tick in range(max(after + 1, until - _MOST_SKIPPED), until)]
        return min([price, *passed]), max([price, *passed])

    def best_ask(self, tick: int) -> Decimal:
        return self.price(tick) + self.instrument.tick_size

    def best_bid(self, tick: int) -> Decimal:
        return self.price(tick) - self.instrument.tick_size

    def book_side(self, side: str, tick: int) -> Iterator[Level]:
        """What an order of `side` would meet, best level first: asks for "Buy", bids for "Sell"."""
        instrument = self.instrument
        price = self.price(tick)
        gap = max(instrument.tick_size, floor_to_step(price / 10_000, instrument.tick_size))
        direction = 1 if side == "Buy" else -1
        for number in range(BOOK_LEVELS):
            level_price = price + direction * (instrument.tick_size + number * gap)
            if level_price <= 0:
                return
            yield Level(level_price, self.level_qty or self._seeded_qty(side, tick, number, price))

    def highest_buy(self, tick: int) -> Decimal:
        """The exchange's upper price limit for buy orders."""
        instrument = self.instrument
        return floor_to_step(self.price(tick) * (1 + instrument.price_limit_x), instrument.tick_size)

    def lowest_sell(self, tick: int) -> Decimal:
        """The exchange's lower price limit for sell orders."""
        instrument = self.instrument
        return ceil_to_step(self.price(tick) * (1 - instrument.price_limit_x), instrument.tick_size)

    def _path_price(self, tick: int) -> Decimal:
        if self.tape is not None:
            return self._scaled(self.tape.price(tick))
        instrument = self.instrument
        return path_price(
            self.seed,
            instrument.symbol,
            tick,
            start=instrument.start_price * self.factor,
            tick_size=instrument.tick_size,
        )

    def _scaled(self, price: Decimal) -> Decimal:
        """A recorded price, moved as a set price moved the path, on this instrument's ticks."""
        step = self.instrument.tick_size
        return max(floor_to_step(price * self.factor, step), 3 * step)

    def _seeded_qty(self, side: str, tick: int, number: int, price: Decimal) -> Decimal:
        permille = 500 + draw(self.seed, self.instrument.symbol, side, tick, number) // 1000
        notional = Decimal(_LEVEL_NOTIONAL * (2 + number) * permille) / 2000
        return max(floor_to_step(notional / price, self.instrument.lot_size), self.instrument.lot_size)


def walk(levels: Iterable[Level], side: str, *, limit: Decimal, qty: Decimal) -> list[Level]:
    """The fills a taker of `qty` base gets at `limit` or better, best first."""
    fills: list[Level] = []
    for price, available in levels:
        if (price > limit) if side == "Buy" else (price < limit):
            break
        taken = min(available, qty)
        fills.append(Level(price, taken))
        qty -= taken
        if not qty:
            break
    return fills


def walk_quote(levels: Iterable[Level], *, limit: Decimal, budget: Decimal, lot: Decimal) -> list[Level]:
    """The fills a buyer with `budget` quote gets, in whole lots; less than a lot's worth stays."""
    fills: list[Level] = []
    for price, available in levels:
        if price > limit:
            break
        taken = min(available, floor_to_step(budget / price, lot))
        if not taken:
            break
        fills.append(Level(price, taken))
        budget -= taken * price
    return fills
