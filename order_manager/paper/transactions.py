"""/v5/account/transaction-log: every change of a balance, with the balance after it."""

from collections.abc import Iterator
from decimal import Decimal
from heapq import merge
from typing import Any

from order_manager.paper.accounts import Account, Transfer
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import LINEAR
from order_manager.paper.market_data import Json
from order_manager.paper.numbers import ZERO, plain
from order_manager.paper.order_entry import Params
from order_manager.paper.orders import Fill, Order
from order_manager.paper.paging import DAY_MS, encode_cursor, page, read_cursor, read_limit, read_window
from order_manager.paper.refusals import ApiRefusal


def transaction_log(exchange: Exchange, account: Account, params: Params, now_ms: int) -> Json:
    """Newest first; by default of the last day."""
    if params.get("accountType") not in (None, "", "UNIFIED"):
        raise ApiRefusal(10001, f"params error: accountType invalid {params['accountType']!r}")
    start, end = read_window(params, now_ms, usual_ms=DAY_MS)
    limit = read_limit(params, default=20, most=50)
    before = read_cursor(params)
    wanted = {
        "category": params.get("category"),
        "currency": params.get("currency"),
        "type": params.get("type"),
    }
    found = (
        (number, row)
        for number, row in _rows(exchange, account)
        if (before is None or number < before)
        and start <= int(row["transactionTime"]) <= end
        and all(value in (None, "", row[name]) for name, value in wanted.items())
    )
    rows, has_more = page(found, limit)
    return {
        "list": [row for _, row in rows],
        "nextPageCursor": encode_cursor(rows[-1][0]) if has_more else "",
    }


def _rows(exchange: Exchange, account: Account) -> Iterator[tuple[int, Json]]:
    """All changes, newest first, each with a number that stays its own as more are added."""
    balances = {name: coin.balance for name, coin in account.coins.items()}
    number = 2 * len(account.fills) + len(account.transfers)
    events: Iterator[Fill | Transfer] = merge(
        reversed(account.fills), reversed(account.transfers), key=lambda one: one.time_ms, reverse=True
    )
    for event in events:
        if isinstance(event, Transfer):
            kind = "TRANSFER_IN" if event.change >= 0 else "TRANSFER_OUT"
            row = _row(f"{account.uid}-{number}", kind, event.time_ms, event.coin)
            yield number, _with_change(row, balances, event.change, ZERO)
            number -= 1
            continue
        order = account.by_id[event.order_id]
        for coin, cash, fee in _changes(exchange, order, event):
            row = _row(f"{event.exec_id}-{coin}", "TRADE", event.time_ms, coin) | {
                "symbol": order.symbol,
                "category": order.category,
                "side": order.side,
                "qty": plain(event.qty),
                "tradePrice": plain(event.price),
                "feeRate": plain(event.fee_rate) if fee else "",
                "tradeId": event.exec_id,
                "orderId": order.order_id,
                "orderLinkId": order.link_id,
            }
            yield number, _with_change(row, balances, cash, fee)
            number -= 1
        if order.category == LINEAR:
            number -= 1  # every fill counts for two


def _changes(exchange: Exchange, order: Order, fill: Fill) -> list[tuple[str, Decimal, Decimal]]:
    """(coin, cash flow, fee) of a fill."""
    if order.category == LINEAR:
        return [(fill.fee_coin, fill.pnl, fill.fee)]
    instrument = exchange.engine.market_of(order).instrument
    sign = 1 if order.side == "Buy" else -1
    flows = ((instrument.base_coin, sign * fill.qty), (instrument.quote_coin, -sign * fill.value))
    return [(coin, cash, fill.fee if coin == fill.fee_coin else ZERO) for coin, cash in flows]


def _with_change(row: Json, balances: dict[str, Decimal], cash: Decimal, fee: Decimal) -> Json:
    """Complete a row, and take its change out of `balances`, which is then as it was before."""
    coin, change = row["currency"], cash - fee
    after = balances.get(coin, ZERO)
    balances[coin] = after - change
    money: dict[str, Any] = {
        "fee": _signed(fee),
        "cashFlow": _signed(cash),
        "change": _signed(change),
        "cashBalance": _signed(after),
    }
    return row | money


def _signed(value: Decimal) -> str:
    return f"-{plain(-value)}" if value < 0 else plain(value)


def _row(name: str, kind: str, time_ms: int, coin: str) -> Json:
    return {
        "id": name,
        "symbol": "",
        "category": "",
        "side": "None",
        "transactionTime": str(time_ms),
        "type": kind,
        "transSubType": "",
        "qty": "",
        "size": "",
        "currency": coin,
        "tradePrice": "",
        "funding": "",
        "feeRate": "",
        "bonusChange": "",
        "tradeId": "",
        "orderId": "",
        "orderLinkId": "",
        "extraFees": "",
    }
