"""Rebuilding the exchange from its journal at start."""

from decimal import Decimal
from typing import Any

from order_manager.paper.accounts import Account
from order_manager.paper.engine import Engine
from order_manager.paper.journal import FILLS, INSTRUMENTS, ORDERS, POSITIONS, Line
from order_manager.paper.ledger import Ledger
from order_manager.paper.orders import Fill, Order


def restore(lines: list[Line], engine: Engine, ledger: Ledger) -> None:
    """Bring `engine` and `ledger`, both new, to the state that `lines` tell."""
    orders: dict[str, Order] = {}
    fills: list[Fill] = []
    for line in lines:
        engine.tick = line["tick"]
        for row in line.get("accounts", ()):
            _restore_account(engine, row)
        for row in line.get("markets", ()):
            _restore_market(engine, row)
        for row in line.get("orders", ()):
            order = ORDERS.decode(row)
            order.fees = {coin: Decimal(amount) for coin, amount in order.fees.items()}
            orders[order.order_id] = order
        fills += [FILLS.decode(row) for row in line.get("fills", ())]
        for row in line.get("positions", ()):
            leg = POSITIONS.decode(row)
            engine.accounts[leg.uid].positions[leg.symbol, leg.idx] = leg
        for uid, coin, balance in line.get("coins", ()):
            engine.accounts[uid].coins[coin].balance = Decimal(balance)
        for entry in line.get("ledger", ()):
            ledger.restore(entry)
    for order in sorted(orders.values(), key=lambda order: order.number):
        _restore_order(engine, order)
    for fill in fills:
        orders[fill.order_id].fills.append(fill)
        engine.accounts[fill.uid].fills.append(fill)
        engine.seq = max(engine.seq, fill.seq)
        engine.fill_count = max(engine.fill_count, fill.number)
    for account in engine.accounts.values():
        # The exchange forgets recently closed orders in its realtime query when its service restarts.
        account.wipe_recently_closed()


def _restore_account(engine: Engine, row: dict[str, Any]) -> None:
    account = engine.accounts.get(row["uid"])
    if account is None:
        account = engine.accounts[row["uid"]] = Account(
            uid=row["uid"],
            api_key=row["api_key"],
            api_secret=row["api_secret"],
            created_ms=row["created_ms"],
        )
    account.api_secret = row["api_secret"]
    account.default_mode = row["default_mode"]
    account.modes = row["modes"]
    account.leverages = {symbol: Decimal(text) for symbol, text in row["leverages"].items()}


def _restore_market(engine: Engine, row: dict[str, Any]) -> None:
    market = engine.list_instrument(INSTRUMENTS.decode(row["instrument"]))
    market.factor = Decimal(row["factor"])
    market.pinned = None if row["pinned"] is None else Decimal(row["pinned"])
    market.level_qty = None if row["level_qty"] is None else Decimal(row["level_qty"])


def _restore_order(engine: Engine, order: Order) -> None:
    account = engine.accounts[order.uid]
    account.register(order)
    engine.order_count = max(engine.order_count, order.number)
    if not order.is_open:
        account.closed_count[order.category] = max(account.closed_count[order.category], order.closed_rank)
        return
    account.reserve(order, engine.reserve_coin(order))
    if order.is_visible:
        engine.market_of(order).resting[order.order_id] = order
