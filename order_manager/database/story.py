"""The whole story of one signal: its decision, its orders with their fills, every event and dead letter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, select

from order_manager.database.dead_letters import LetterFilter, list_letters
from order_manager.database.event_views import EventFilter, StoredEvent, list_events
from order_manager.database.queries import Page, find_order
from order_manager.database.rows import plain, some
from order_manager.database.signal_views import SignalStory, find_signal
from order_manager.database.tables import executions
from order_manager.database.trading_states import Changed, TradingStateStore
from order_manager.domain.dead_letters import LetterSummary
from order_manager.domain.orders import Order
from order_manager.domain.state import TradingMode

STOPPED = {"trading_halted": TradingMode.HALTED, "trading_reducing": TradingMode.REDUCING}
MOST = 1000  # events and fills that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFill:
    """One execution of part of an order, as the exchange told it."""

    exec_id: str
    order_id: str  # ours
    side: str
    quantity: Decimal  # base
    price: Decimal | None
    fee: Decimal
    fee_currency: str
    is_maker: bool
    exec_type: str
    executed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Of a signal; of a single order where no signal of ours placed it; of messages that were no signal."""

    signal: SignalStory | None
    orders: tuple[tuple[str, Order], ...]  # (relation to the signal, order)
    fills: tuple[StoredFill, ...]
    events: tuple[StoredEvent, ...]
    letters: tuple[LetterSummary, ...]  # messages with the signal's id that could not be used
    stopped_by: tuple[tuple[str, Changed], ...]  # (of what, change): of a rejection by the trading state


def find_story(engine: Engine, name: str) -> Story | None:
    """By a signal's id, or by any id of an order: ours, the exchange's, the client order id.

    By the signal_id of a dead letter, too, which is none of a signal as a rule.
    """
    signal = find_signal(engine, name)
    order = None if signal else find_order(engine, name)
    if order is not None and order.signal_id is not None:
        signal = find_signal(engine, order.signal_id)
    signal_id = signal.stored.signal.signal_id if signal else name
    page = Page(limit=MOST, offset=0)
    letters, _ = list_letters(engine, LetterFilter(signal_id=signal_id), is_descending=False, page=page)
    orders: tuple[tuple[str, Order], ...] = ()
    if signal is not None:
        wanted, orders = EventFilter(signal_id=signal_id), signal.orders
    elif order is not None:
        wanted, orders = EventFilter(order_id=order.id), (("external" if order.is_external else "", order),)
    elif letters:
        wanted = EventFilter(signal_id=signal_id)
    else:
        return None
    events, _ = list_events(engine, wanted, is_descending=False, page=page)
    fills = _fills(engine, [one.id for _, one in orders])
    return Story(
        signal=signal,
        orders=orders,
        fills=fills,
        events=tuple(events),
        letters=tuple(letters),
        stopped_by=tuple(_stopped_by(engine, signal)),
    )


def _stopped_by(engine: Engine, signal: SignalStory | None) -> Iterator[tuple[str, Changed]]:
    """What was changed before the rejection, and is as it was: an earlier change is not remembered."""
    stored = signal.stored if signal else None
    if stored is None or stored.code not in STOPPED or stored.decided_at is None:
        return
    modes, symbol = TradingStateStore(engine).modes(), stored.signal.symbol
    holders = [("the account", modes.account, modes.account_changed)]
    holders += [(one.symbol, one.mode, one.changed) for one in modes.lanes if one.symbol == symbol]
    for of, mode, changed in holders:
        if mode is STOPPED[stored.code] and changed.at is not None and changed.at <= stored.decided_at:
            yield of, changed


def _fills(engine: Engine, order_ids: Sequence[str]) -> tuple[StoredFill, ...]:
    query = (
        select(executions)
        .where(executions.c.order_id.in_(order_ids))
        .order_by(executions.c.executed_at, executions.c.exec_id)
        .limit(MOST)
    )
    with engine.connect() as connection:
        return tuple(
            StoredFill(
                exec_id=row["exec_id"],
                order_id=str(row["order_id"]),
                side=row["side"],
                quantity=some(row["quantity"]),
                price=plain(row["price"]),
                fee=some(row["fee"]),
                fee_currency=row["fee_currency"],
                is_maker=row["is_maker"],
                exec_type=row["exec_type"],
                executed_at=row["executed_at"],
            )
            for row in connection.execute(query).mappings()
        )
