"""Candles of the price paths: /v5/market/kline and its relatives, before the start of the exchange too.

Each candle is seen at a few steps of the path, always the same ones; last, mark and index price are one.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import Json, PublicCall
from order_manager.paper.markets import Market
from order_manager.paper.numbers import parse_integer, plain
from order_manager.paper.order_entry import Params, read_category, read_market
from order_manager.paper.paging import read_limit
from order_manager.paper.prices import draw
from order_manager.paper.refusals import ApiRefusal

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS
_WEEK_MS = 7 * _DAY_MS
_LENGTHS = {str(n): n * _MINUTE_MS for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
_LENGTHS |= {"D": _DAY_MS, "W": _WEEK_MS}
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-05, where the weeks start
_LOOKS = 8  # steps of the path at which a candle is seen
_QUOTE_PER_MINUTE = 170_000  # traded value, roughly


class Candle(NamedTuple):
    """`start_ms` to `end_ms`, the latter not included; values in quote, volume in base."""

    start_ms: int
    end_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


def start_of(time_ms: int, interval: str) -> int:
    """When the candle that holds `time_ms` starts. `interval` is one of the exchange's: "1" to "M"."""
    if interval == "M":
        month = datetime.fromtimestamp(time_ms / 1000, UTC).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        return int(month.timestamp()) * 1000
    length = _LENGTHS[interval]
    origin = _MONDAY_MS if interval == "W" else 0
    return (time_ms - origin) // length * length + origin


def end_of(start_ms: int, interval: str) -> int:
    """When the candle that starts at `start_ms` ends."""
    if interval == "M":
        return start_of(start_ms + 32 * _DAY_MS, "M")
    return start_ms + _LENGTHS[interval]


def candle(exchange: Exchange, market: Market, start_ms: int, interval: str, now_ms: int) -> Candle:
    """The candle that starts at `start_ms`, as far as it has come by `now_ms`."""
    end_ms = end_of(start_ms, interval)
    now_tick = exchange.engine.tick
    first, last = exchange.tick_at(start_ms), min(exchange.tick_at(end_ms) - 1, now_tick)
    first = min(first, now_tick)
    last = max(first, last)
    stride = max(1, (last - first + _LOOKS - 1) // _LOOKS)
    ticks = [*range(first, last, stride), last]
    prices = [market.trade_price(tick, now_tick) for tick in ticks]
    minutes = Decimal(min(end_ms, now_ms) - start_ms) / _MINUTE_MS
    percent = 50 + draw(exchange.engine.seed, market.instrument.symbol, "volume", start_ms) // 10_000
    turnover = max(Decimal(0), minutes * _QUOTE_PER_MINUTE * percent / 100)
    close = prices[-1]
    volume = round(turnover / close, market.instrument.qty_digits)
    return Candle(
        start_ms, end_ms, prices[0], max(prices), min(prices), close, volume, round(volume * close, 4)
    )


def kline(exchange: Exchange, params: Params, now_ms: int, *, has_volume: bool = True) -> Json:
    """Candles, newest first."""
    market, candles = _asked(exchange, params, now_ms)
    digits = market.instrument.price_digits
    rows = []
    for one in candles:
        row = [str(one.start_ms), *(f"{price:.{digits}f}" for price in one[2:6])]
        rows.append([*row, plain(one.volume), plain(one.turnover)] if has_volume else row)
    return {"symbol": market.instrument.symbol, "category": market.instrument.category, "list": rows}


def premium_kline(exchange: Exchange, params: Params, now_ms: int) -> Json:
    """There is no premium: the mark price is the index price."""
    market, candles = _asked(exchange, params, now_ms)
    rows = [[str(one.start_ms), "0", "0", "0", "0"] for one in candles]
    return {"symbol": market.instrument.symbol, "category": LINEAR, "list": rows}


def _asked(exchange: Exchange, params: Params, now_ms: int) -> tuple[Market, list[Candle]]:
    category = read_category({**params, "category": params.get("category") or LINEAR})
    market = read_market(params, category, exchange.engine.markets)
    interval = str(params.get("interval") or "")
    if interval not in _LENGTHS and interval != "M":
        raise ApiRefusal(10001, f"params error: interval invalid {interval!r}")
    limit = read_limit(params, default=200, most=1000)
    start_ms, end_ms = _moment(params, "start"), _moment(params, "end")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise ApiRefusal(10001, "params error: start is after end")
    newest = now_ms if end_ms is None else min(now_ms, end_ms)
    if start_ms is not None and end_ms is None:
        # A start alone asks for the candles that follow it.
        length = end_of(start_of(start_ms, interval), interval) - start_of(start_ms, interval)
        newest = min(now_ms, start_ms + limit * length - 1)
    found: list[Candle] = []
    at = start_of(max(0, newest), interval)
    while len(found) < limit and at >= (start_ms or 0):
        found.append(candle(exchange, market, at, interval, now_ms))
        at = start_of(at - 1, interval) if at else -1
    return market, found


def _moment(params: Params, name: str) -> int | None:
    text = params.get(name)
    if text in (None, ""):
        return None
    moment = parse_integer(text)
    if moment is None or moment > 253_402_300_799_000:
        raise ApiRefusal(10001, f"params error: {name} invalid {text!r}")
    return moment


_without_volume = partial(kline, has_volume=False)
CANDLE_CALLS: dict[str, PublicCall] = {
    "/v5/market/kline": kline,
    "/v5/market/mark-price-kline": _without_volume,
    "/v5/market/index-price-kline": _without_volume,
    "/v5/market/premium-index-price-kline": premium_kline,
}
