"""/v5/position/closed-pnl: what closing orders earned."""

from collections.abc import Iterable
from decimal import Decimal

from order_manager.paper.accounts import Account
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import EMPTY_CATEGORIES, Json
from order_manager.paper.numbers import ZERO, plain, rounded
from order_manager.paper.order_entry import Params, read_market
from order_manager.paper.orders import Fill, Order
from order_manager.paper.paging import encode_cursor, page, read_cursor, read_limit, read_window
from order_manager.paper.position_calls import linear_only
from order_manager.paper.queries import newest_first


def closed_pnl(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """One row for each order that closed something in the asked window, newest order first."""
    category = params.get("category")
    if category in EMPTY_CATEGORIES:
        return {"category": category, "list": [], "nextPageCursor": ""}
    linear_only(params)
    symbol = None
    if params.get("symbol"):
        symbol = read_market(params, LINEAR, exchange.engine.markets).instrument.symbol
    start, end = read_window(params, now_ms)
    limit = read_limit(params, default=50, most=100)
    found = (
        (order, fills)
        for order in newest_first(account, read_cursor(params))
        if order.category == LINEAR
        and symbol in (None, order.symbol)
        and start <= order.updated_ms <= end
        and (fills := [fill for fill in order.fills if fill.closed_qty])
    )
    rows, has_more = page(found, limit)
    return {
        "category": LINEAR,
        "list": [_row(order, fills, account) for order, fills in rows],
        "nextPageCursor": encode_cursor(rows[-1][0].number) if has_more else "",
    }


def _row(order: Order, fills: list[Fill], account: Account) -> Json:
    closed = _sum(fill.closed_qty for fill in fills)
    exit_value = _sum(fill.price * fill.closed_qty for fill in fills)
    pnl = _sum(fill.pnl for fill in fills)
    entry_value = exit_value - pnl if order.side == "Sell" else exit_value + pnl
    open_fee = _sum(fill.open_fee for fill in fills)
    close_fee = _sum(fill.fee * fill.closed_qty / fill.qty for fill in fills)
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "side": order.side,
        "qty": plain(order.qty),
        "orderPrice": plain(order.price),
        "orderType": order.order_type,
        "execType": "Trade",
        "closedSize": plain(closed),
        "cumEntryValue": rounded(entry_value),
        "avgEntryPrice": rounded(entry_value / closed),
        "cumExitValue": rounded(exit_value),
        "avgExitPrice": rounded(exit_value / closed),
        "closedPnl": rounded(pnl - open_fee - close_fee),
        "openFee": rounded(open_fee),
        "closeFee": rounded(close_fee),
        "fillCount": str(len(fills)),
        "leverage": plain(account.leverage_for(order.symbol)),
        "createdTime": str(order.created_ms),
        "updatedTime": str(fills[-1].time_ms),
    }


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, ZERO)
