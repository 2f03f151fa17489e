"""Public endpoints: instruments, tickers, order book, price limits, recent trades, time."""

from collections.abc import Callable
from typing import Any

from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR, SPOT, STATUSES, Instrument
from order_manager.paper.markets import BOOK_LEVELS, Market
from order_manager.paper.numbers import plain
from order_manager.paper.order_entry import Params, read_category, read_market
from order_manager.paper.paging import encode_cursor, read_cursor, read_limit
from order_manager.paper.refusals import ApiRefusal

Json = dict[str, Any]
# Nothing is listed in them, but clients that load every market at start may ask.
EMPTY_CATEGORIES = ("inverse", "option")
PublicCall = Callable[[Exchange, Params, int], Json]


def server_time(exchange: Exchange, params: Params, now_ms: int) -> Json:
    nanoseconds = exchange.clock.now_ns()
    return {"timeSecond": str(nanoseconds // 1_000_000_000), "timeNano": str(nanoseconds)}


def instruments_info(exchange: Exchange, params: Params, now_ms: int) -> Json:
    if params.get("category") in EMPTY_CATEGORIES:
        return {"category": params["category"], "list": [], "nextPageCursor": ""}
    category = read_category(params)
    status = params.get("status") or "Trading"
    if status not in STATUSES:
        raise ApiRefusal(10001, f"params error: status invalid {status}")
    instruments = [
        m.instrument for m in exchange.engine.markets.values() if m.instrument.category == category
    ]
    if params.get("symbol"):
        instruments = [read_market(params, category, exchange.engine.markets).instrument]
    chosen = [
        instrument
        for instrument in instruments
        # A named symbol is shown whatever its status, unless a status is asked for.
        if (instrument.status == status or (params.get("symbol") and not params.get("status")))
        and params.get("baseCoin") in (None, "", instrument.base_coin)
    ]
    if category == SPOT:  # spot knows neither limit nor cursor
        return {"category": category, "list": [instrument_to_wire(one) for one in chosen]}
    first = read_cursor(params) or 0
    limit = read_limit(params, default=500, most=1000)
    has_more = first + limit < len(chosen)
    return {
        "category": category,
        "list": [instrument_to_wire(one) for one in chosen[first : first + limit]],
        "nextPageCursor": encode_cursor(first + limit) if has_more else "",
    }


def tickers(exchange: Exchange, params: Params, now_ms: int) -> Json:
    if params.get("category") in EMPTY_CATEGORIES:
        return {"category": params["category"], "list": []}
    category = read_category(params)
    if params.get("symbol"):
        markets = [read_market(params, category, exchange.engine.markets)]
    else:
        markets = [m for m in exchange.engine.markets.values() if m.instrument.category == category]
    to_wire = _linear_ticker if category == LINEAR else _spot_ticker
    return {"category": category, "list": [to_wire(m, exchange.engine.tick, now_ms) for m in markets]}


def orderbook(exchange: Exchange, params: Params, now_ms: int) -> Json:
    category = read_category(params)
    market = read_market(params, category, exchange.engine.markets)
    limit = read_limit(params, default=1 if category == SPOT else BOOK_LEVELS, most=1000)
    tick = exchange.engine.tick
    digits = market.instrument.price_digits

    def side(name: str) -> list[list[str]]:
        levels = list(market.book_side(name, tick))[:limit]
        return [[f"{level.price:.{digits}f}", plain(level.qty)] for level in levels]

    return {
        "s": market.instrument.symbol,
        "b": side("Sell"),
        "a": side("Buy"),
        "ts": now_ms,
        "u": tick + 1,
        "seq": exchange.engine.seq,
        "cts": now_ms,
    }


def price_limit(exchange: Exchange, params: Params, now_ms: int) -> Json:
    category = read_category({"category": LINEAR, **params})
    market = read_market(params, category, exchange.engine.markets)
    tick, digits = exchange.engine.tick, market.instrument.price_digits
    return {
        "symbol": market.instrument.symbol,
        "buyLmt": f"{market.highest_buy(tick):.{digits}f}",
        "sellLmt": f"{market.lowest_sell(tick):.{digits}f}",
        "ts": str(now_ms),
    }


def recent_trade(exchange: Exchange, params: Params, now_ms: int) -> Json:
    """Made-up public trades: one per tick, newest first, at that tick's price."""
    category = read_category(params)
    market = read_market(params, category, exchange.engine.markets)
    limit = read_limit(params, default=60 if category == SPOT else 500, most=60 if category == SPOT else 1000)
    tick, digits = exchange.engine.tick, market.instrument.price_digits
    interval = exchange.settings.price_interval_ms
    rows = []
    for back in range(min(limit, tick + 1)):
        at = tick - back
        side = "Buy" if at % 2 else "Sell"
        rows.append(
            {
                "execId": f"{market.instrument.symbol}-{at}",
                "symbol": market.instrument.symbol,
                "price": f"{market.trade_price(at, tick):.{digits}f}",
                "size": plain(next(market.book_side(side, tick)).qty),
                "side": side,
                "time": str(now_ms - back * interval),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(at),
            }
        )
    return {"category": category, "list": rows}


def instrument_to_wire(one: Instrument) -> Json:
    row: Json = {
        "symbol": one.symbol,
        "symbolId": one.symbol_id,
        "status": one.status,
        "baseCoin": one.base_coin,
        "quoteCoin": one.quote_coin,
        "symbolType": "",
        "riskParameters": {
            "priceLimitRatioX": plain(one.price_limit_x),
            "priceLimitRatioY": plain(one.price_limit_y),
        },
    }
    if one.category == SPOT:
        lots = {
            "basePrecision": format(one.lot_size, "f"),
            "quotePrecision": format(one.quote_precision, "f"),
            "minOrderQty": format(one.min_qty, "f"),
            "maxOrderQty": format(one.max_qty, "f"),
            "minOrderAmt": plain(one.min_notional),
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": format(one.max_qty, "f"),
            "maxMarketOrderQty": format(one.max_market_qty, "f"),
            "postOnlyMaxLimitOrderSize": format(one.max_qty * 5, "f"),
        }
        prices = {"tickSize": format(one.tick_size, "f")}
        return row | {
            "innovation": "0",
            "marginTrading": "none",
            "stTag": "0",
            "xstockMultiplier": "",
            "lotSizeFilter": lots,
            "priceFilter": prices,
        }
    return row | {
        "contractType": "LinearPerpetual",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(one.price_digits),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{one.max_leverage:.2f}",
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": format(one.min_price, "f"),
            "maxPrice": format(one.max_price, "f"),
            "tickSize": format(one.tick_size, "f"),
        },
        "lotSizeFilter": {
            "maxOrderQty": format(one.max_qty, "f"),
            "minOrderQty": format(one.min_qty, "f"),
            "qtyStep": format(one.lot_size, "f"),
            "postOnlyMaxOrderQty": format(one.max_qty, "f"),
            "maxMktOrderQty": format(one.max_market_qty, "f"),
            "minNotionalValue": plain(one.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": "USDT",
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "displayName": "",
        "forbidUplWithdrawal": False,
        "isPreListing": False,
        "preListingInfo": None,
    }


def _quotes(market: Market, tick: int) -> Json:
    digits = market.instrument.price_digits
    bid, ask = next(market.book_side("Sell", tick)), next(market.book_side("Buy", tick))
    last = f"{market.price(tick):.{digits}f}"
    start = market.instrument.start_price
    return {
        "symbol": market.instrument.symbol,
        "lastPrice": last,
        "bid1Price": f"{bid.price:.{digits}f}",
        "bid1Size": plain(bid.qty),
        "ask1Price": f"{ask.price:.{digits}f}",
        "ask1Size": plain(ask.qty),
        "prevPrice24h": f"{start:.{digits}f}",
        "price24hPcnt": f"{market.price(tick) / start - 1:.6f}",
        "highPrice24h": f"{max(start, market.price(tick)):.{digits}f}",
        "lowPrice24h": f"{min(start, market.price(tick)):.{digits}f}",
        "turnover24h": "250000000",
        "volume24h": plain(round(250_000_000 / start, 4)),
    }


def _spot_ticker(market: Market, tick: int, now_ms: int) -> Json:
    quotes = _quotes(market, tick)
    return quotes | {"usdIndexPrice": quotes["lastPrice"]}


def _linear_ticker(market: Market, tick: int, now_ms: int) -> Json:
    quotes = _quotes(market, tick)
    eight_hours = 8 * 3600 * 1000
    return quotes | {
        "indexPrice": quotes["lastPrice"],
        "markPrice": quotes["lastPrice"],
        "prevPrice1h": quotes["prevPrice24h"],
        "openInterest": "0",
        "openInterestValue": "0",
        "singleOpenInterest": "0",
        "singleOpenInterestValue": "0",
        "fundingRate": "0.0001",  # shown only: funding is never charged
        "nextFundingTime": str((now_ms // eight_hours + 1) * eight_hours),
        "fundingIntervalHour": "8",
        "fundingCap": "0.00375",
        "predictedDeliveryPrice": "",
        "basis": "",
        "basisRate": "",
        "basisRateYear": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


PUBLIC: dict[str, PublicCall] = {
    "/v5/market/time": server_time,
    "/v5/market/instruments-info": instruments_info,
    "/v5/market/tickers": tickers,
    "/v5/market/orderbook": orderbook,
    "/v5/market/price-limit": price_limit,
    "/v5/market/recent-trade": recent_trade,
}
