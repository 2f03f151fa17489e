"""Private endpoints of positions other than reading them: leverage, modes, and what is refused here."""

from decimal import Decimal

from order_manager.paper.accounts import HEDGE, Account
from order_manager.paper.engine import MODES
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import Json
from order_manager.paper.numbers import is_multiple, parse_decimal, plain
from order_manager.paper.order_entry import Params, read_market
from order_manager.paper.refusals import ApiRefusal

_LEVERAGE_STEP = Decimal("0.01")
_STOPS = ("takeProfit", "stopLoss", "trailingStop")


def set_leverage(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    linear_only(params)
    instrument = read_market(params, LINEAR, exchange.engine.markets).instrument
    buy, sell = parse_decimal(params.get("buyLeverage")), parse_decimal(params.get("sellLeverage"))
    if buy is None or sell is None or buy != sell:
        raise ApiRefusal(10001, "params error: buyLeverage and sellLeverage must be equal number strings")
    if not 1 <= buy <= instrument.max_leverage or not is_multiple(buy, _LEVERAGE_STEP):
        raise ApiRefusal(10001, f"params error: buyLeverage invalid, 1 to {instrument.max_leverage}")
    exchange.engine.set_leverage(account, instrument.symbol, buy, now_ms)
    return {}


def switch_mode(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    linear_only(params)
    mode = params.get("mode")
    if type(mode) is not int or mode not in MODES:
        raise ApiRefusal(10001, f"params error: mode invalid {mode!r}, 0 or 3")
    symbol = None
    if params.get("symbol"):
        symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    elif params.get("coin") != "USDT":
        raise ApiRefusal(10001, "params error: symbol, or coin USDT, is required")
    exchange.engine.switch_mode(account, symbol, mode, now_ms)
    return {}


def symbol_info(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Leverage and mode of one symbol, or of all, without any position."""
    linear_only(params)
    if params.get("symbol"):
        symbols = [read_market(params, LINEAR, exchange.engine.markets).instrument.symbol]
    else:
        symbols = [symbol for category, symbol in exchange.engine.markets if category == LINEAR]
    rows = [
        {"symbol": symbol, "leverage": plain(account.leverage_for(symbol)), "positionIdx": idx}
        for symbol in symbols
        for idx in ((1, 2) if account.mode_for(symbol) == HEDGE else (0,))
    ]
    return {"category": LINEAR, "list": rows, "nextPageCursor": ""}


def trading_stop(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Take-profit and stop-loss are left out: refused, as a position without its stop is another one."""
    linear_only(params)
    symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    if params.get("tpslMode") not in (None, "", "Full", "Partial"):
        raise ApiRefusal(10001, f"params error: tpslMode invalid {params['tpslMode']!r}")
    idx = params.get("positionIdx", 0)
    if type(idx) is not int or (account.mode_for(symbol) == HEDGE) != (idx in (1, 2)):
        raise ApiRefusal(10001, "position idx not match position mode: positionIdx")
    asked = [name for name in _STOPS if params.get(name) not in (None, "", "0")]
    if not asked:
        raise ApiRefusal(34040, "not modified")
    for name in asked:
        if parse_decimal(params[name]) is None:
            raise ApiRefusal(10001, f"params error: {name} invalid {params[name]!r}")
    leg = account.positions.get((symbol, idx))
    if leg is None or not leg.size:
        raise ApiRefusal(10001, "can not set tp/sl/ts for zero position")
    raise ApiRefusal(10001, f"params error: {asked[0]} is not supported by the paper exchange")


def set_auto_add_margin(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    linear_only(params)
    read_market(params, LINEAR, exchange.engine.markets)
    raise ApiRefusal(110076, "Only isolated mode can set auto-add-margin")


def add_margin(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    linear_only(params)
    read_market(params, LINEAR, exchange.engine.markets)
    raise ApiRefusal(110015, "The position is in cross margin mode")


def not_for_unified(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    raise ApiRefusal(100028, "The API cannot be accessed by unified account users.")


def linear_only(params: Params) -> None:
    if params.get("category") != LINEAR:
        raise ApiRefusal(10001, f"params error: category invalid {params.get('category')!r}")
