"""Reading the bodies of create and amend: every field checked as the exchange checks it.

Only what depends on the request and the instrument is decided here; what depends on the account or on
the market's state is the engine's business. Numbers must be strings, as the API has it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from order_manager.paper.instruments import CATEGORIES, SPOT, Instrument
from order_manager.paper.markets import Market
from order_manager.paper.numbers import ZERO, is_multiple, parse_decimal, plain
from order_manager.paper.refusals import ApiRefusal, refusal

Params = Mapping[str, Any]
Markets = Mapping[tuple[str, str], Market]

SIDES = ("Buy", "Sell")
ORDER_TYPES = ("Market", "Limit")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "PostOnly")
SMP_TYPES = ("None", "CancelMaker", "CancelTaker", "CancelBoth")

_LINK_ID = re.compile(r"[0-9A-Za-z_-]{1,36}")
# Left out of this exchange. Refused rather than ignored: an order without its stop is another order.
_UNSUPPORTED = ("triggerPrice", "takeProfit", "stopLoss", "bboSideType", "orderIv", "tpLimitPrice")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A well-formed wish for an order. `price` is zero for Market."""

    market: Market
    side: str
    order_type: str
    time_in_force: str
    qty: Decimal
    price: Decimal
    link_id: str
    in_quote: bool
    market_unit: str
    position_idx: int
    reduce_only: bool
    close_on_trigger: bool
    is_leverage: str
    slippage_type: str
    slippage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A well-formed wish to change an order; None leaves a value as it is. `qty` is the new total."""

    qty: Decimal | None
    price: Decimal | None


def read_category(params: Params) -> str:
    category = params.get("category")
    if category not in CATEGORIES:
        raise ApiRefusal(10001, f"params error: category invalid: {category!r}")
    return str(category)


def read_market(params: Params, category: str, markets: Markets) -> Market:
    symbol = params.get("symbol")
    if not symbol:
        raise refusal("missing", category, "params error: symbol is required")
    market = markets.get((category, symbol)) if isinstance(symbol, str) else None
    if market is None:
        raise refusal("symbol", category, f"params error: symbol invalid {symbol}")
    return market


def read_link_id(params: Params) -> str:
    """The orderLinkId, "" when there is none."""
    link_id = params.get("orderLinkId") or ""
    if link_id and not (isinstance(link_id, str) and _LINK_ID.fullmatch(link_id)):
        raise ApiRefusal(10001, "params error: orderLinkId invalid, at most 36 letters, digits, '-' and '_'")
    return str(link_id)


def read_create(params: Params, markets: Markets) -> NewOrder:
    category = read_category(params)
    market = read_market(params, category, markets)
    instrument = market.instrument
    side = _one_of(params, "side", SIDES, "side", category)
    order_type = _one_of(params, "orderType", ORDER_TYPES, "order_type", category)
    is_market = order_type == "Market"
    time_in_force = "IOC"
    if not is_market:
        time_in_force = params.get("timeInForce") or "GTC"
        if time_in_force not in TIMES_IN_FORCE:
            raise refusal("time_in_force", category, f"params error: timeInForce invalid {time_in_force!r}")
    for name in _UNSUPPORTED:
        if params.get(name) not in (None, "", "0"):
            raise refusal("value", category, f"params error: {name} is not supported by the paper exchange")
    if category == SPOT and params.get("orderFilter") not in (None, "", "Order"):
        raise refusal("order_filter", category, "params error: orderFilter must be Order here")
    if category == SPOT and params.get("isLeverage") not in (None, "", 0, "0"):
        raise refusal("no_leverage", category, "margin trading is off for this account: isLeverage")
    if params.get("smpType") not in (None, "", *SMP_TYPES):
        raise refusal("value", category, f"params error: smpType invalid {params['smpType']!r}")

    market_unit, in_quote = _read_market_unit(params, category, side=side, is_market=is_market)
    reduce_only = category != SPOT and _read_flag(params, "reduceOnly", category)
    close_on_trigger = category != SPOT and _read_flag(params, "closeOnTrigger", category)
    closes_all = reduce_only and close_on_trigger and params.get("qty") == "0"
    price = ZERO if is_market else read_price(params, instrument)
    qty = ZERO if closes_all else read_qty(params, instrument, is_market=is_market, in_quote=in_quote)
    slippage_type, slippage = _read_slippage(params, category, is_market=is_market)
    return NewOrder(
        market=market,
        side=side,
        order_type=order_type,
        time_in_force=str(time_in_force),
        qty=qty,
        price=price,
        link_id=read_link_id(params),
        in_quote=in_quote,
        market_unit=market_unit,
        position_idx=_read_position_idx(params, category),
        reduce_only=reduce_only,
        close_on_trigger=close_on_trigger,
        is_leverage="0" if category == SPOT else "",
        slippage_type=slippage_type,
        slippage=slippage,
    )


def read_amend(params: Params, instrument: Instrument) -> Amendment:
    category = instrument.category
    for name in _UNSUPPORTED:
        if params.get(name) not in (None, "", "0"):
            raise refusal("value", category, f"params error: {name} is not supported by the paper exchange")
    has_qty, has_price = params.get("qty") not in (None, ""), params.get("price") not in (None, "")
    if not (has_qty or has_price):
        raise ApiRefusal(10001, "params error: qty or price is required")
    return Amendment(
        qty=read_qty(params, instrument, is_market=False, in_quote=False) if has_qty else None,
        price=read_price(params, instrument) if has_price else None,
    )


def read_price(params: Params, instrument: Instrument) -> Decimal:
    category = instrument.category
    if params.get("price") in (None, ""):
        raise refusal("missing", category, "params error: price is required for Limit orders")
    price = parse_decimal(params["price"])
    if not price:
        raise refusal("value", category, f"params error: price invalid {params['price']!r}")
    if category != SPOT and not instrument.min_price <= price <= instrument.max_price:
        raise refusal("price_range", category, "Order price exceeds the allowable range: price")
    if not is_multiple(price, instrument.tick_size):
        text = "Order price has too many decimals." if category == SPOT else "params error: price invalid,"
        raise refusal("price_step", category, f"{text} price is off the tick size {instrument.tick_size}")
    return price


def read_qty(params: Params, instrument: Instrument, *, is_market: bool, in_quote: bool) -> Decimal:
    category = instrument.category
    if params.get("qty") in (None, ""):
        raise refusal("missing", category, "params error: qty is required")
    qty = parse_decimal(params["qty"])
    if not qty:
        raise refusal("value", category, f"params error: qty invalid {params['qty']!r}")
    if in_quote:
        if not is_multiple(qty, instrument.quote_precision):
            raise refusal("quote_step", category, "Market order amount decimal too long: qty")
        return qty
    if not is_multiple(qty, instrument.lot_size):
        text = "Order quantity has too many decimals." if category == SPOT else "params error: qty invalid,"
        raise refusal("qty_step", category, f"{text} qty is off the step {instrument.lot_size}")
    # The spot minimum quantity is published but no longer enforced; the minimum value is.
    if category != SPOT and qty < instrument.min_qty:
        text = f"params error: qty {plain(qty)} below the minimum {instrument.min_qty}"
        raise refusal("qty_min", category, text)
    most = instrument.max_market_qty if is_market else instrument.max_qty
    if qty > most:
        raise refusal("qty_max", category, f"params error: qty {plain(qty)} exceeds the maximum {most}")
    return qty


def _one_of(params: Params, name: str, allowed: tuple[str, ...], reason: str, category: str) -> str:
    value = params.get(name)
    if value in (None, ""):
        raise refusal("missing", category, f"params error: {name} is required")
    if value not in allowed:
        raise refusal(reason, category, f"params error: {name} invalid {value!r}")
    return str(value)


def _read_flag(params: Params, name: str, category: str) -> bool:
    value = params.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise refusal("value", category, f"params error: {name} must be a boolean")


def _read_position_idx(params: Params, category: str) -> int:
    value = params.get("positionIdx")
    if category == SPOT or value is None:
        return 0
    if type(value) is not int or value not in (0, 1, 2):
        raise ApiRefusal(10001, f"params error: positionIdx invalid {value!r}")
    return value


def _read_market_unit(params: Params, category: str, *, side: str, is_market: bool) -> tuple[str, bool]:
    """(marketUnit, whether qty is in quote); by default a spot market buy spends quote."""
    if category != SPOT or not is_market:
        return "", False
    unit = params.get("marketUnit") or ("quoteCoin" if side == "Buy" else "baseCoin")
    if unit not in ("baseCoin", "quoteCoin"):
        raise refusal("value", category, f"params error: marketUnit invalid {unit!r}")
    if side == "Sell" and unit == "quoteCoin":
        raise refusal("value", category, "params error: marketUnit quoteCoin is for buys only here")
    return unit, unit == "quoteCoin"


def _read_slippage(params: Params, category: str, *, is_market: bool) -> tuple[str, str]:
    kind, text = params.get("slippageToleranceType"), params.get("slippageTolerance")
    if not is_market or not (kind or text):
        return "UNKNOWN", ""
    amount = parse_decimal(text)
    if kind == "TickSize":
        if amount is None or amount % 1 or not 1 <= amount <= 10_000:
            raise ApiRefusal(110108, "slippageTolerance must be 1 to 10000 ticks")
    elif kind == "Percent":
        if amount is None or not is_multiple(amount, Decimal("0.01")) or not Decimal("0.01") <= amount <= 10:
            raise ApiRefusal(110109, "slippageTolerance must be 0.01 to 10 percent")
    else:
        raise refusal("value", category, f"params error: slippageToleranceType invalid {kind!r}")
    return str(kind), str(text)
