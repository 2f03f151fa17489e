"""Public endpoints that clients ask for along the way; what they tell here is constant or empty."""

from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import EMPTY_CATEGORIES, Json, PublicCall
from order_manager.paper.numbers import plain
from order_manager.paper.order_entry import Params, read_market
from order_manager.paper.paging import read_limit
from order_manager.paper.refusals import ApiRefusal

FUNDING_RATE = "0.0001"  # shown only: funding is never charged
FUNDING_MS = 8 * 3600 * 1000
_PERIODS_MS = {"5min": 300_000, "15min": 900_000, "30min": 1_800_000}
_PERIODS_MS |= {"1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}


def risk_limit(exchange: Exchange, params: Params, now_ms: int) -> Json:
    """One tier for each contract."""
    category = params.get("category")
    if category in EMPTY_CATEGORIES:
        return {"category": category, "list": [], "nextPageCursor": ""}
    _linear_only(params)
    if params.get("symbol"):
        instruments = [read_market(params, LINEAR, exchange.engine.markets).instrument]
    else:
        instruments = [
            m.instrument for m in exchange.engine.markets.values() if m.instrument.category == LINEAR
        ]
    rows = [
        {
            "id": 1,
            "symbol": one.symbol,
            "riskLimitValue": "2000000",
            "maintenanceMargin": "0.005",
            "initialMargin": plain(round(1 / one.max_leverage, 6)),
            "isLowestRisk": 1,
            "maxLeverage": f"{one.max_leverage:.2f}",
            "mmDeduction": "",
        }
        for one in instruments
    ]
    return {"category": LINEAR, "list": rows, "nextPageCursor": ""}


def funding_history(exchange: Exchange, params: Params, now_ms: int) -> Json:
    _linear_only(params)
    symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    limit = read_limit(params, default=200, most=200)
    newest = now_ms // FUNDING_MS * FUNDING_MS
    rows = [
        {"symbol": symbol, "fundingRate": FUNDING_RATE, "fundingRateTimestamp": str(newest - n * FUNDING_MS)}
        for n in range(limit)
    ]
    return {"category": LINEAR, "list": rows}


def open_interest(exchange: Exchange, params: Params, now_ms: int) -> Json:
    _linear_only(params)
    symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    rows = [{"openInterest": "0", "timestamp": at} for at in _moments(params, "intervalTime", now_ms)]
    return {"symbol": symbol, "category": LINEAR, "list": rows, "nextPageCursor": ""}


def account_ratio(exchange: Exchange, params: Params, now_ms: int) -> Json:
    _linear_only(params)
    symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    rows = [
        {"symbol": symbol, "buyRatio": "0.5", "sellRatio": "0.5", "timestamp": at}
        for at in _moments(params, "period", now_ms)
    ]
    return {"list": rows, "nextPageCursor": ""}


def insurance(exchange: Exchange, params: Params, now_ms: int) -> Json:
    return {"updatedTime": str(now_ms), "list": []}


def delivery_price(exchange: Exchange, params: Params, now_ms: int) -> Json:
    return {"category": params.get("category") or LINEAR, "list": [], "nextPageCursor": ""}


def system_status(exchange: Exchange, params: Params, now_ms: int) -> Json:
    """No maintenance, ever."""
    return {"list": []}


def _moments(params: Params, name: str, now_ms: int) -> list[str]:
    """The last moments of a series, newest first."""
    period_ms = _PERIODS_MS.get(str(params.get(name)))
    if period_ms is None:
        raise ApiRefusal(10001, f"params error: {name} invalid {params.get(name)!r}")
    newest = now_ms // period_ms * period_ms
    return [str(newest - n * period_ms) for n in range(read_limit(params, default=50, most=500))]


def _linear_only(params: Params) -> None:
    if params.get("category") != LINEAR:
        raise ApiRefusal(10001, f"params error: category invalid {params.get('category')!r}")


EXTRA_CALLS: dict[str, PublicCall] = {
    "/v5/market/risk-limit": risk_limit,
    "/v5/market/funding/history": funding_history,
    "/v5/market/open-interest": open_interest,
    "/v5/market/account-ratio": account_ratio,
    "/v5/market/insurance": insurance,
    "/v5/market/delivery-price": delivery_price,
    "/v5/system/status": system_status,
}
