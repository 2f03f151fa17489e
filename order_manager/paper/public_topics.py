"""The public topics: what each tells a client that joins, and what it tells all when the market moves."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from order_manager.paper.candles import candle, end_of, start_of
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.numbers import plain
from order_manager.paper.public_sight import Sight
from order_manager.paper.public_trades import Trades, turn
from order_manager.paper.wire import Json

_DEPTHS = ("1", "50", "200", "1000")
_INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
_REPEAT_MS = 3000  # level 1 of a linear book that stands still
_CANDLE_EVERY_MS = 900  # at most once in a beat of the feed

_LINEAR_TICKER = (
    "price24hPcnt",
    "lastPrice",
    "prevPrice24h",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice1h",
    "markPrice",
    "indexPrice",
    "openInterest",
    "openInterestValue",
    "singleOpenInterest",
    "singleOpenInterestValue",
    "turnover24h",
    "volume24h",
    "fundingIntervalHour",
    "fundingCap",
    "nextFundingTime",
    "fundingRate",
    "bid1Price",
    "bid1Size",
    "ask1Price",
    "ask1Size",
    "preOpenPrice",
    "preQty",
    "curPreListingPhase",
)
_SPOT_TICKER = (
    "lastPrice",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice24h",
    "volume24h",
    "turnover24h",
    "price24hPcnt",
    "usdIndexPrice",
)


class Topic(Protocol):
    """One topic of one category. Messages come without their topic."""

    def first(self, sight: Sight) -> list[Json]:
        """For a client that joins: how things stood when the others heard last."""

    def news(self, sight: Sight) -> list[Json]:
        """For all: what has changed since the last call."""


def open_topic(exchange: Exchange, category: str, name: str, *, first_update: int) -> Topic | None:
    """The topic of that name; None for an unknown kind, KeyError for an unknown symbol.

    A book counts its messages from `first_update`.
    """
    kind, _, rest = name.partition(".")
    *options, symbol = rest.split(".")
    make: Callable[[], Topic]
    match kind, options:
        case "orderbook", [depth] if depth in _DEPTHS:
            make = partial(Book, category, symbol, int(depth), first_update)
        case "kline", [interval] if interval in _INTERVALS:
            make = partial(Kline, category, symbol, interval)
        case "publicTrade" | "tickers" | "priceLimit", []:
            make = partial(_PLAIN[kind], category, symbol)
        case _:
            return None
    if (category, symbol) not in exchange.engine.markets:
        raise KeyError(symbol)
    return make()


class Book:
    """orderbook.{depth}: a snapshot, then what differs; level 1 in snapshots only."""

    def __init__(self, category: str, symbol: str, depth: int, update_id: int) -> None:
        self._category = category
        self._symbol = symbol
        self._depth = depth
        self._update_id = update_id - 1  # grows by one with every change
        self._sides: dict[str, dict[str, str]] = {}  # side: price: quantity
        self._seq = self._told_ms = 0

    def first(self, sight: Sight) -> list[Json]:
        return [self._snapshot(sight)] if self._sides else self.news(sight)

    def news(self, sight: Sight) -> list[Json]:
        book = sight.look("/v5/market/orderbook", self._category, self._symbol, limit="1000")
        sides = {name: dict(book[name][: self._depth]) for name in ("b", "a")}
        before, is_still = self._sides, sides == self._sides
        if is_still and not (
            self._depth == 1 and self._category == LINEAR and sight.now_ms - self._told_ms >= _REPEAT_MS
        ):
            return []
        self._sides, self._seq, self._told_ms = sides, book["seq"], sight.now_ms
        if not is_still:
            self._update_id += 1
        if self._depth == 1 or not before:
            return [self._snapshot(sight)]
        return [self._message(sight, "delta", {s: list(_difference(before[s], sides[s])) for s in sides})]

    def _snapshot(self, sight: Sight) -> Json:
        rows = {name: [[price, qty] for price, qty in side.items()] for name, side in self._sides.items()}
        return self._message(sight, "snapshot", rows)

    def _message(self, sight: Sight, kind: str, rows: dict[str, list[list[str]]]) -> Json:
        data = {"s": self._symbol, **rows, "u": self._update_id, "seq": self._seq}
        return {"type": kind, "ts": sight.now_ms, "data": data, "cts": sight.now_ms}


def _difference(before: dict[str, str], after: dict[str, str]) -> Iterator[list[str]]:
    for price in before:
        if price not in after:
            yield [price, "0"]
    for price, qty in after.items():
        if before.get(price) != qty:
            yield [price, qty]


class Ticker:
    """tickers: of linear a snapshot and then what differs, of spot whole each time."""

    def __init__(self, category: str, symbol: str) -> None:
        self._category = category
        self._symbol = symbol
        self._row: Json = {}

    def first(self, sight: Sight) -> list[Json]:
        return [self._message(sight, "snapshot", self._row)] if self._row else self.news(sight)

    def news(self, sight: Sight) -> list[Json]:
        before, row = self._row, self._read(sight)
        if row == before:
            return []
        self._row = row
        if self._category != LINEAR or not before:
            return [self._message(sight, "snapshot", row)]
        changed = {name: value for name, value in row.items() if before[name] != value}
        return [self._message(sight, "delta", {"symbol": self._symbol, **changed})]

    def _read(self, sight: Sight) -> Json:
        (found,) = sight.look("/v5/market/tickers", self._category, self._symbol)["list"]
        if self._category != LINEAR:
            return {"symbol": self._symbol, **{name: found[name] for name in _SPOT_TICKER}}
        direction = turn(self._row.get("lastPrice"), found["lastPrice"], self._row.get("tickDirection", ""))
        row = {name: found[name] for name in _LINEAR_TICKER}
        return {"symbol": self._symbol, "tickDirection": direction, **row}

    def _message(self, sight: Sight, kind: str, row: Json) -> Json:
        return {"type": kind, "data": row, "cs": sight.exchange.engine.seq, "ts": sight.now_ms}


class PriceLimit:
    """priceLimit: whole, at once and whenever it has changed."""

    def __init__(self, category: str, symbol: str) -> None:
        self._category = category
        self._symbol = symbol
        self._row: Json = {}

    def first(self, sight: Sight) -> list[Json]:
        return [{"data": self._row, "ts": sight.now_ms}] if self._row else self.news(sight)

    def news(self, sight: Sight) -> list[Json]:
        row = dict(sight.look("/v5/market/price-limit", self._category, self._symbol))
        del row["ts"]
        if row == self._row:
            return []
        self._row = row
        return [{"data": row, "ts": sight.now_ms}]


class Kline:
    """kline.{interval}: the open candle about once a second, and each candle when it has closed."""

    def __init__(self, category: str, symbol: str, interval: str) -> None:
        self._category = category
        self._symbol = symbol
        self._interval = interval
        self._start_ms = self._told_ms = 0

    def first(self, sight: Sight) -> list[Json]:
        return [self._message(sight, [start_of(sight.now_ms, self._interval)])]

    def news(self, sight: Sight) -> list[Json]:
        if sight.now_ms - self._told_ms < _CANDLE_EVERY_MS:
            return []
        start_ms = start_of(sight.now_ms, self._interval)
        closed = [self._start_ms] if self._start_ms not in (0, start_ms) else []
        self._start_ms, self._told_ms = start_ms, sight.now_ms
        return [self._message(sight, [*closed, start_ms])]

    def _message(self, sight: Sight, starts: list[int]) -> Json:
        return {"type": "snapshot", "ts": sight.now_ms, "data": [self._row(sight, at) for at in starts]}

    def _row(self, sight: Sight, start_ms: int) -> Json:
        market = sight.exchange.engine.markets[self._category, self._symbol]
        found = candle(sight.exchange, market, start_ms, self._interval, sight.now_ms)
        end_ms = end_of(start_ms, self._interval)
        names = ("open", "close", "high", "low")
        return {
            "start": start_ms,
            "end": end_ms - 1,
            "interval": self._interval,
            **{name: f"{getattr(found, name):.{market.instrument.price_digits}f}" for name in names},
            "volume": plain(found.volume),
            "turnover": plain(found.turnover),
            "confirm": end_ms <= sight.now_ms,
            "timestamp": min(sight.now_ms, end_ms - 1),
        }


_PLAIN: dict[str, Callable[[str, str], Topic]] = {
    "publicTrade": Trades,
    "tickers": Ticker,
    "priceLimit": PriceLimit,
}
