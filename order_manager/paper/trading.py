"""Private endpoints that place, change and cancel orders."""

import asyncio
from collections.abc import Callable

from order_manager.paper.accounts import Account
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import Json
from order_manager.paper.order_entry import Params, read_amend, read_category, read_create, read_market
from order_manager.paper.orders import Order
from order_manager.paper.refusals import ApiRefusal, refusal

PrivateCall = Callable[[Exchange, Account, Params, int], Json]

_CANCEL_ALL_MOST = 500  # futures orders per call


def create(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    engine = exchange.engine
    delay_ms = exchange.settings.ack_delay_ms
    order = engine.create(account, read_create(params, engine.markets), now_ms, visible=not delay_ms)
    if delay_ms:
        loop = asyncio.get_running_loop()
        loop.call_later(delay_ms / 1000, exchange.activate, order, now_ms + delay_ms)
    return _ids(order)


def amend(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    order = _open_order(exchange, account, params)
    wish = read_amend(params, exchange.engine.market_of(order).instrument)
    exchange.engine.amend(account, order, wish, now_ms)
    return _ids(order)


def cancel(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    order = _open_order(exchange, account, params)
    exchange.engine.cancel(order, now_ms)
    return _ids(order)


def cancel_too_late(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """A cancel that loses the race: accepted, but the order fills before it is carried out."""
    order = _named_order(exchange, account, params)
    if order is None or not (order.is_open or order.status == "Filled"):
        return cancel(exchange, account, params, now_ms)
    exchange.engine.fill_before_cancel(order, now_ms)
    return _ids(order)


def cancel_all(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    category = read_category(params)
    symbol, base, settle = params.get("symbol"), params.get("baseCoin"), params.get("settleCoin")
    if symbol:
        read_market(params, category, exchange.engine.markets)
    elif category == LINEAR and not (base or settle):
        raise ApiRefusal(10001, "params error: symbol, baseCoin or settleCoin is required")
    orders = []
    if params.get("orderFilter") in (None, "", "Order", "OpenOrder"):  # there are no other kinds here
        for order in account.open_orders[category].values():
            instrument = exchange.engine.market_of(order).instrument
            if symbol:
                fits = order.symbol == symbol
            elif base:
                fits = instrument.base_coin == base
            else:
                fits = not settle or settle == instrument.quote_coin
            if fits and order.is_visible:
                orders.append(order)
    if category == LINEAR:
        orders = orders[:_CANCEL_ALL_MOST]
    for order in orders:
        if order.is_open:
            exchange.engine.cancel(order, now_ms)
    return {"list": [_ids(order) for order in orders], "success": "1"}


def _open_order(exchange: Exchange, account: Account, params: Params) -> Order:
    """The open order that orderId, else orderLinkId, names."""
    order = _named_order(exchange, account, params)
    if order is None or not order.is_open:
        category = read_category(params)
        raise refusal("unknown_order", category, "order not exists or too late: orderId, orderLinkId")
    return order


def _named_order(exchange: Exchange, account: Account, params: Params) -> Order | None:
    category = read_category(params)
    symbol = read_market(params, category, exchange.engine.markets).instrument.symbol
    order_id, link_id = params.get("orderId"), params.get("orderLinkId")
    if not (order_id or link_id):
        raise ApiRefusal(10001, "params error: orderId or orderLinkId is required")
    order = account.by_id.get(str(order_id)) if order_id else account.by_link.get(str(link_id))
    # Filters for conditional orders find nothing: there are none.
    if order is None or params.get("orderFilter") not in (None, "", "Order"):
        return None
    return order if (order.category, order.symbol) == (category, symbol) and order.is_visible else None


def _ids(order: Order) -> Json:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}
