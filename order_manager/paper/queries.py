"""Private endpoints that only read."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from order_manager.paper.accounts import HEDGE, Account, Position
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import EMPTY_CATEGORIES, Json
from order_manager.paper.order_entry import Params, read_category, read_market
from order_manager.paper.orders import CLOSED_STATUSES, Fill, Order
from order_manager.paper.paging import DAY_MS, encode_cursor, page, read_cursor, read_limit, read_window
from order_manager.paper.refusals import ApiRefusal
from order_manager.paper.wire import fill_to_wire, order_to_wire, position_to_wire

_CLOCK_SLACK_MS = 60_000


def realtime(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Open orders, or with openOnly=1 the recently closed, newest first."""
    if params.get("category") in EMPTY_CATEGORIES:
        return _nothing(params)
    category = read_category(params)
    if category == LINEAR and not (
        params.get("symbol") or params.get("baseCoin") or params.get("settleCoin")
    ):
        raise ApiRefusal(10001, "params error: symbol, baseCoin or settleCoin is required")
    if params.get("openOnly") not in (None, "", "0", "1"):
        raise ApiRefusal(10001, f"params error: openOnly invalid {params.get('openOnly')}")
    limit = read_limit(params, default=20, most=50)
    before = read_cursor(params)
    if params.get("orderId") or params.get("orderLinkId"):
        orders = _named(account, params, category)
        found = (o for o in orders if o.is_visible and (o.is_open or account.is_recently_closed(o)))
    elif params.get("openOnly") == "1":
        orders = newest_first(account, before)
        found = (o for o in orders if not o.is_open and account.is_recently_closed(o))
    else:
        open_orders = reversed(list(account.open_orders[category].values()))
        found = (o for o in open_orders if o.is_visible and (before is None or o.number < before))
    return _orders_page(exchange, params, category, found, limit)


def history(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Closed orders of the asked window, newest first. Cancelled ones without fills stay one day."""
    if params.get("category") in EMPTY_CATEGORIES:
        return _nothing(params)
    category = read_category(params)
    status = params.get("orderStatus")
    if status and status not in CLOSED_STATUSES:
        raise ApiRefusal(181017, "OrderStatus must be final status")
    start, end = read_window(params, now_ms)
    limit = read_limit(params, default=20, most=50)
    before = read_cursor(params)
    if params.get("orderId") or params.get("orderLinkId"):
        orders = _named(account, params, category)
    else:
        orders = newest_first(account, before)
    found = (
        order
        for order in orders
        if not order.is_open
        and start <= order.created_ms <= end
        and (order.cum_qty or now_ms - order.updated_ms <= DAY_MS)
        and (not status or order.status == status)
    )
    return _orders_page(exchange, params, category, found, limit)


def executions(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Fills of the asked window, newest first; an order id overrides every other filter."""
    if params.get("category") in EMPTY_CATEGORIES:
        return _nothing(params)
    category = read_category(params)
    limit = read_limit(params, default=50, most=100)
    before = read_cursor(params)
    symbol = None
    fills: Iterator[Fill]
    if params.get("orderId") or params.get("orderLinkId"):
        fills = (fill for order in _named(account, params, category) for fill in reversed(order.fills))
    else:
        start, end = read_window(params, now_ms)
        if params.get("symbol"):
            symbol = read_market(params, category, exchange.engine.markets).instrument.symbol
        fills = (fill for fill in _latest_fills(account, before, start) if start <= fill.time_ms <= end)
        if params.get("execType") not in (None, "", "Trade"):
            fills = iter(())
    owned = ((fill, account.by_id[fill.order_id]) for fill in fills)
    found = (
        (fill, order)
        for fill, order in owned
        if order.category == category
        and symbol in (None, order.symbol)
        and (before is None or fill.number < before)
    )
    rows, has_more = page(found, limit)
    return {
        "category": category,
        "list": [fill_to_wire(fill, order, exchange.engine.market_of(order)) for fill, order in rows],
        "nextPageCursor": encode_cursor(rows[-1][0].number) if has_more else "",
    }


def positions(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """With a symbol its legs, flat ones too; with settleCoin only what is held."""
    if params.get("category") in EMPTY_CATEGORIES:
        return _nothing(params)
    if params.get("category") != LINEAR:
        raise ApiRefusal(10001, f"params error: category invalid {params.get('category')}")
    limit = read_limit(params, default=20, most=200)
    first = read_cursor(params) or 0
    markets, tick = exchange.engine.markets, exchange.engine.tick
    found: Iterable[tuple[int, Position]]
    if params.get("symbol"):
        symbol = read_market(params, LINEAR, markets).instrument.symbol
        indexes = (1, 2) if account.mode_for(symbol) == HEDGE else (0,)
        flat = (Position(uid=account.uid, symbol=symbol, idx=idx) for idx in indexes)
        legs = [account.positions.get((symbol, leg.idx), leg) for leg in flat]
        found = enumerate(legs)
    elif params.get("settleCoin"):
        # Numbered among all legs ever held, so that one which closes between two pages shifts nothing.
        found = (
            (number, leg)
            for number, leg in enumerate(account.positions.values())
            if leg.size and markets[LINEAR, leg.symbol].instrument.quote_coin == params["settleCoin"]
        )
    else:
        raise ApiRefusal(10001, "params error: symbol or settleCoin is required")
    rows, has_more = page((row for row in found if row[0] >= first), limit)
    return {
        "category": LINEAR,
        "list": [position_to_wire(leg, account, markets[LINEAR, leg.symbol], tick) for _, leg in rows],
        "nextPageCursor": encode_cursor(rows[-1][0] + 1) if has_more else "",
    }


def _nothing(params: Params) -> Json:
    """What there is in categories that exist, but hold nothing here."""
    return {"category": params["category"], "list": [], "nextPageCursor": ""}


def _named(account: Account, params: Params, category: str) -> Iterator[Order]:
    """The order that orderId, else orderLinkId, names: one or none."""
    if params.get("orderId"):
        order = account.by_id.get(params["orderId"])
    else:
        order = account.by_link.get(params["orderLinkId"])
    return iter([order] if order is not None and order.category == category else [])


def newest_first(account: Account, before: int | None) -> Iterator[Order]:
    """All orders of the account created before order number `before`."""
    orders = account.orders
    end = len(orders) if before is None else bisect_left(orders, before, key=lambda order: order.number)
    return (orders[index] for index in range(end - 1, -1, -1))


def _latest_fills(account: Account, before: int | None, start_ms: int) -> Iterator[Fill]:
    """Fills numbered below `before`, newest first, as far back as `start_ms` may need."""
    fills = account.fills
    end = len(fills) if before is None else bisect_left(fills, before, key=lambda fill: fill.number)
    for index in range(end - 1, -1, -1):
        # A delayed order's fills are stamped with the time that was planned, a little beside the clock.
        if fills[index].time_ms < start_ms - _CLOCK_SLACK_MS:
            return
        yield fills[index]


def _orders_page(
    exchange: Exchange, params: Params, category: str, orders: Iterator[Order], limit: int
) -> Json:
    symbol, base, settle = params.get("symbol"), params.get("baseCoin"), params.get("settleCoin")
    is_named = bool(params.get("orderId") or params.get("orderLinkId"))
    if symbol and not is_named:
        read_market(params, category, exchange.engine.markets)

    def fits(order: Order) -> bool:
        if order.category != category or params.get("orderFilter") not in (None, "", "Order"):
            return False
        if is_named:
            return True
        if symbol:
            return bool(order.symbol == symbol)
        instrument = exchange.engine.market_of(order).instrument
        if base:
            return bool(instrument.base_coin == base)
        return bool(not settle or category != LINEAR or instrument.quote_coin == settle)

    found, has_more = page((order for order in orders if fits(order)), limit)
    return {
        "category": category,
        "list": [order_to_wire(order, exchange.engine.market_of(order)) for order in found],
        "nextPageCursor": encode_cursor(found[-1].number) if has_more else "",
    }
