"""Rebuilding the exchange from its journal at start, and writing down what that came to."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from order_manager.paper.accounts import Account, Transfer
from order_manager.paper.engine import Engine
from order_manager.paper.journal import (
    FILLS,
    INSTRUMENTS,
    ORDERS,
    POSITIONS,
    Line,
    account_row,
    market_row,
)
from order_manager.paper.ledger import Ledger
from order_manager.paper.markets import Market
from order_manager.paper.orders import Fill, Order

T = TypeVar("T")
_CHUNK = 500  # rows per line of a snapshot


def restore(lines: Iterable[Line], engine: Engine, ledger: Ledger) -> list[Market]:
    """Bring `engine` and `ledger`, both new, to the state that `lines` tell; the markets they changed."""
    changed: dict[tuple[str, str], Market] = {}
    orders: dict[str, Order] = {}
    fills: list[Fill] = []
    for line in lines:
        engine.tick = line["tick"]
        for row in line.get("accounts", ()):
            _restore_account(engine, row)
        for row in line.get("markets", ()):
            market = _restore_market(engine, row)
            changed[market.key] = market
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
    ledger.trim()
    return list(changed.values())


def snapshot(engine: Engine, ledger: Ledger, changed: Iterable[Market]) -> Iterator[Line]:
    """The lines that `restore` makes the state of now from; of the markets, only the `changed`."""
    tick = {"tick": engine.tick}
    accounts = list(engine.accounts.values())
    yield tick | {
        "accounts": [account_row(account) for account in accounts],
        "markets": [market_row(market) for market in changed],
        "coins": [(a.uid, name, coin.balance) for a in accounts for name, coin in a.coins.items()],
        "positions": [POSITIONS.encode(leg) for a in accounts for leg in a.positions.values()],
    }
    for orders in _chunks(order for account in accounts for order in account.orders):
        yield tick | {"orders": [ORDERS.encode(order) for order in orders]}
    for fills in _chunks(fill for account in accounts for fill in account.fills):
        yield tick | {"fills": [FILLS.encode(fill) for fill in fills]}
    for entries in _chunks(ledger.entries):
        yield tick | {"ledger": entries}


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


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
    account.moves_spot_price = row.get("moves_spot_price", False)
    account.moves_linear_price = row.get("moves_linear_price", True)
    account.transfers = [Transfer(at, coin, Decimal(text)) for at, coin, text in row.get("transfers", ())]


def _restore_market(engine: Engine, row: dict[str, Any]) -> Market:
    market = engine.list_instrument(INSTRUMENTS.decode(row["instrument"]))
    market.factor = Decimal(row["factor"])
    market.pinned = None if row["pinned"] is None else Decimal(row["pinned"])
    market.level_qty = None if row["level_qty"] is None else Decimal(row["level_qty"])
    return market


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
