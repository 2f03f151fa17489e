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
from order_manager.paper.control_views import BadRequest, Json, accounts, at_least, integer
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import CATEGORIES, STATUSES, Instrument, synthetic_instrument
from order_manager.paper.ledger import CONTROL
from order_manager.paper.markets import Market
from order_manager.paper.numbers import is_multiple, parse_decimal, plain

_MOST_OFFSET_MS = 10 * 365 * 24 * 3600 * 1000
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


def _change_balance(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Set an account's balance of a coin, or change it by so much: money appears, or is gone."""
    api_key, coin = str(params.get("account") or ""), params.get("coin", MARGIN_COIN)
    account = exchange.by_key.get(api_key)
    if account is None or not isinstance(coin, str) or not coin:
        raise BadRequest("account must be a known API key, coin a name")
    before = account.coins[coin].balance
    if ("balance" in params) == ("change" in params):
        raise BadRequest("either balance or change is required")
    if "balance" in params:
        change = _decimal(params, "balance") - before
    else:
        text = str(params["change"])
        size = parse_decimal(text.removeprefix("-"))
        if size is None or isinstance(params["change"], float):
            raise BadRequest("change must be a decimal number as a string, negative to take away")
        change = -size if text.startswith("-") else size
    exchange.change_balance(account, coin, change, now_ms)
    balance = f"{before + change:f}"
    exchange.ledger.add(
        CONTROL, now_ms, api_key, action="balance", coin=coin, change=f"{change:f}", balance=balance
    )
    return {"account": api_key, "coin": coin, "balance": balance}


def _set_clock(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Set the exchange's clock wrong by so many ms; 0 sets it right."""
    offset_ms = integer(params, "offset_ms", 0)
    if abs(offset_ms) > _MOST_OFFSET_MS:
        raise BadRequest(f"offset_ms must be within {_MOST_OFFSET_MS}")
    exchange.set_clock(offset_ms)
    exchange.ledger.add(CONTROL, now_ms, "", action="clock", offset_ms=offset_ms)
    return {"offset_ms": offset_ms, "time_ms": exchange.clock.now_ms()}


def _skip_ticks(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Let price steps pass at once; the only way prices move while they are frozen."""
    ticks = at_least(params, "ticks", 1, 1)
    exchange.skip_ticks(ticks, now_ms)
    return {"tick": exchange.engine.tick}


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
    changes = {name: str(value) for name, value in patch.items()}
    exchange.ledger.add(
        CONTROL, now_ms, "", action="instrument", category=category, symbol=symbol, changes=changes
    )
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
    ("POST", "balance"): _change_balance,
    ("POST", "clock"): _set_clock,
    ("POST", "advance"): _skip_ticks,
    ("POST", "price"): _set_price,
    ("POST", "instruments"): _set_instrument,
    ("POST", "wipe-recent"): _wipe_recent,
    ("POST", "reset"): _reset,
}
