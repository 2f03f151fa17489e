"""The control path: what tests and operators may see and do that no client of an exchange could."""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from decimal import Decimal
from urllib.parse import parse_qsl

from aiohttp import web

from order_manager.paper import control_faults, control_streams, control_views
from order_manager.paper.accounts import HEDGE, MARGIN_COIN, ONE_WAY
from order_manager.paper.control_views import BadRequest, Json, accounts
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import CATEGORIES, STATUSES, Instrument, synthetic_instrument
from order_manager.paper.markets import Market
from order_manager.paper.numbers import is_multiple, parse_decimal, plain

Action = Callable[[Exchange, Json, int], Json]


def add_control_routes(app: web.Application, exchange: Exchange, clock: Callable[[], int]) -> None:
    """Serve /control/... behind the header X-Control-Token."""
    for (method, path), action in _ACTIONS.items():
        app.router.add_route(method, f"/control/{path}", _guarded(exchange, action, clock))


def _guarded(
    exchange: Exchange, action: Action, clock: Callable[[], int]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    token = exchange.settings.control_token.encode()

    async def handle(request: web.Request) -> web.Response:
        if not hmac.compare_digest(token, request.headers.get("X-Control-Token", "").encode()):
            return web.json_response({"error": "X-Control-Token is missing or wrong"}, status=401)
        body = await request.read()
        try:
            params = json.loads(body) if body else dict(parse_qsl(request.query_string))
            if not isinstance(params, dict):
                raise BadRequest("the body must be a JSON object")
            answer = action(exchange, params, clock())
        except (BadRequest, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        exchange.commit()
        return web.json_response(answer)

    return handle


def _add_account(exchange: Exchange, params: Json, now_ms: int) -> Json:
    api_key, api_secret = params.get("api_key"), params.get("api_secret")
    if not (isinstance(api_key, str) and api_key and isinstance(api_secret, str) and api_secret):
        raise BadRequest("api_key and api_secret must be strings")
    modes = {"one_way": ONE_WAY, "hedge": HEDGE, None: ONE_WAY, ONE_WAY: ONE_WAY, HEDGE: HEDGE}
    if params.get("position_mode") not in modes:
        raise BadRequest("position_mode must be one_way or hedge")
    balance = params.get("balance", str(exchange.settings.balance))
    coins = balance if isinstance(balance, dict) else {MARGIN_COIN: balance}
    balances = {coin: _decimal(coins, coin) for coin in coins}
    mode = modes[params.get("position_mode")]
    account = exchange.add_account(api_key, api_secret, balances, mode, now_ms)
    return {"api_key": api_key, "uid": account.uid}


def _set_price(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Set, pin or release a price, and set the book's depth. A pinned price is frozen until released."""
    market = _market(exchange, params)
    engine, instrument = exchange.engine, market.instrument
    if "level_qty" in params:
        market.level_qty = None if params["level_qty"] is None else _decimal(params, "level_qty")
        if market.level_qty is not None and not is_multiple(market.level_qty, instrument.lot_size):
            raise BadRequest(f"level_qty must be a multiple of {instrument.lot_size}")
    pin = params.get("pin")
    if "price" in params:
        price = _decimal(params, "price")
        if not is_multiple(price, instrument.tick_size) or price < 3 * instrument.tick_size:
            raise BadRequest(f"price must be a multiple of {instrument.tick_size}, three of them at least")
        ratio = _decimal(params, "fill_ratio") if "fill_ratio" in params else None
        engine.set_price(market, price, now_ms, pin=bool(pin), fill_ratio=ratio)
    elif pin is not None:
        engine.set_price(market, market.price(engine.tick), now_ms, pin=bool(pin))
    exchange.journal.market_changed(market)
    return {"symbol": instrument.symbol, "price": plain(market.price(engine.tick)), "tick": engine.tick}


def _reset(exchange: Exchange, params: Json, now_ms: int) -> Json:
    exchange.reset(now_ms)
    return {"ledger_seq": exchange.ledger.last_seq}


def _set_instrument(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Change a listed instrument's rules, or list a new one."""
    category, symbol = params.get("category"), params.get("symbol")
    if category not in CATEGORIES or not isinstance(symbol, str) or not symbol:
        raise BadRequest("category must be linear or spot, symbol a name")
    market = exchange.engine.markets.get((str(category), symbol))
    if market is None:
        instrument = synthetic_instrument(str(category), symbol, 5000 + len(exchange.engine.markets))
    else:
        instrument = market.instrument
    decimals = {f.name for f in fields(Instrument) if f.type is Decimal}
    patch: Json = {}
    for name in params.keys() - {"category", "symbol"}:
        if name == "status":
            if params[name] not in STATUSES:
                raise BadRequest(f"status must be one of {', '.join(STATUSES)}")
            patch[name] = params[name]
        elif name in decimals:
            patch[name] = _decimal(params, name)
        else:
            raise BadRequest(f"{name} is not something to change; these are: {', '.join(sorted(decimals))}")
    market = exchange.engine.list_instrument(replace(instrument, **patch))
    exchange.journal.market_changed(market)
    return {"category": category, "symbol": symbol, "status": market.instrument.status}


def _wipe_recent(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Empty the realtime query's memory of closed orders, as a release of the exchange's service does."""
    for account in accounts(exchange, params):
        account.wipe_recently_closed()
    return {}


def _market(exchange: Exchange, params: Json) -> Market:
    market = exchange.engine.markets.get((str(params.get("category", "linear")), str(params.get("symbol"))))
    if market is None:
        raise BadRequest("category and symbol name no listed instrument")
    return market


def _decimal(params: Json, name: str) -> Decimal:
    """A number given as text, or as a JSON integer; a JSON float would not be exact."""
    value = params.get(name)
    number = parse_decimal(str(value) if type(value) is int else value)
    if number is None:
        raise BadRequest(f"{name} must be a decimal number as a string")
    return number


_ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "ledger"): control_views.ledger,
    ("GET", "orders"): control_views.orders,
    ("GET", "fills"): control_views.fills,
    ("GET", "positions"): control_views.positions,
    ("GET", "state"): control_views.state,
    ("GET", "faults"): control_faults.show_faults,
    ("POST", "faults"): control_faults.add_fault,
    ("DELETE", "faults"): control_faults.clear_faults,
    ("GET", "streams"): control_streams.streams,
    ("GET", "stream-faults"): control_streams.show_stream_faults,
    ("POST", "stream-faults"): control_streams.add_stream_fault,
    ("DELETE", "stream-faults"): control_streams.clear_stream_faults,
    ("POST", "accounts"): _add_account,
    ("POST", "price"): _set_price,
    ("POST", "instruments"): _set_instrument,
    ("POST", "wipe-recent"): _wipe_recent,
    ("POST", "reset"): _reset,
}
