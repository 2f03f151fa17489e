"""The whole story of one signal: its decision, its orders with their fills, and every event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, select

from order_manager.database.event_views import EventFilter, StoredEvent, list_events
from order_manager.database.queries import Page, find_order
from order_manager.database.rows import plain, some
from order_manager.database.signal_views import SignalStory, find_signal
from order_manager.database.tables import executions
from order_manager.domain.orders import Order

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
    """Of a signal; of a single order where no signal of ours placed it."""

    signal: SignalStory | None
    orders: tuple[tuple[str, Order], ...]  # (relation to the signal, order)
    fills: tuple[StoredFill, ...]
    events: tuple[StoredEvent, ...]


def find_story(engine: Engine, name: str) -> Story | None:
    """By a signal's id, or by any id of an order: ours, the exchange's, the client order id."""
    signal = find_signal(engine, name)
    order = None if signal else find_order(engine, name)
    if order is not None and order.signal_id is not None:
        signal = find_signal(engine, order.signal_id)
    if signal is not None:
        wanted, orders = EventFilter(signal_id=signal.stored.signal.signal_id), signal.orders
    elif order is not None:
        wanted, orders = EventFilter(order_id=order.id), (("external" if order.is_external else "", order),)
    else:
        return None
    events, _ = list_events(engine, wanted, is_descending=False, page=Page(limit=MOST, offset=0))
    fills = _fills(engine, [one.id for _, one in orders])
    return Story(signal=signal, orders=orders, fills=fills, events=tuple(events))


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
