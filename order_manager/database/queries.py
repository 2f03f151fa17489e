"""Reads for the REST API: bounded, and answered with domain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    RowMapping,
    Select,
    Table,
    func,
    nulls_last,
    or_,
    select,
    true,
)

from order_manager.database.rows import order_from, plain, position_from
from order_manager.database.tables import lanes, orders, positions
from order_manager.domain.orders import Order, OrderStatus, Side
from order_manager.domain.positions import PositionMode, StoredPosition


class OrderSort(StrEnum):
    """What a list of orders can be sorted by; the words of the interface."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    EXECUTED_AT = "executed_at"
    ASSET = "asset"
    STATUS = "status"
    QUANTITY = "quantity"
    PRICE = "price"


_SORT_COLUMNS = {sort: orders.c["symbol" if sort is OrderSort.ASSET else sort.value] for sort in OrderSort}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders; None asks for nothing."""

    symbol: str | None = None
    status: OrderStatus | None = None
    side: Side | None = None
    signal_id: str | None = None
    order_id: str | None = None  # the exchange's, ours or the client order id
    created_from: datetime | None = None  # inclusive
    created_to: datetime | None = None  # inclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list."""

    limit: int
    offset: int


def ping(engine: Engine) -> None:
    """Raises if the database does not answer."""
    with engine.connect() as connection:
        connection.execute(select(1))


def list_orders(
    engine: Engine, wanted: OrderFilter, *, sort: OrderSort, is_descending: bool, page: Page
) -> tuple[list[Order], int]:
    """One page of the orders, and how many there are on all pages."""
    conditions = matching(
        orders,
        symbol=wanted.symbol,
        status=wanted.status,
        side=wanted.side,
        signal_id=wanted.signal_id,
    )
    conditions += within(orders.c.created_at, wanted.created_from, wanted.created_to)
    if wanted.order_id is not None:
        conditions.append(_has_id(wanted.order_id))
    # The id settles ties, in the same direction, so that (created_at, id) can be walked either way.
    by = [directed(column, is_descending=is_descending) for column in (_SORT_COLUMNS[sort], orders.c.id)]
    query = select(orders).where(*conditions).order_by(*by)
    rows, total = page_of(engine, query, orders, conditions, page)
    return [order_from(row) for row in rows], total


def find_order(engine: Engine, order_id: str) -> Order | None:
    """The order with this id of the exchange, of ours, or of the client, looked for in this order."""
    # No ORDER BY ... LIMIT 1: it would tempt the planner to walk another index in the hope of an early hit.
    with engine.connect() as connection:
        rows = connection.execute(select(orders).where(_has_id(order_id))).mappings().all()
    found = [order_from(row) for row in rows]
    found.sort(key=lambda order: (order.exchange_order_id != order_id, order.client_order_id == order_id))
    return found[0] if found else None


def list_positions(
    engine: Engine, *, symbol: str | None, mode: PositionMode | None, page: Page
) -> tuple[list[StoredPosition], int]:
    """One page of the positions by symbol and mode, flat ones too, and how many there are on all pages."""
    conditions = matching(positions, asset=symbol, mode=mode)
    query = select(positions).where(*conditions).order_by(positions.c.asset, positions.c.mode)
    rows, total = page_of(engine, query, positions, conditions, page)
    return [stored_position(row) for row in rows], total


def find_position(engine: Engine, symbol: str, mode: PositionMode | None = None) -> StoredPosition | None:
    """The symbol's position; where both modes have one and none is asked for, the account's mode counts."""
    query = select(positions).where(positions.c.asset == symbol)
    if mode is not None:
        query = query.where(positions.c.mode == mode.value)
    current_mode = select(lanes.c.position_mode).where(lanes.c.symbol == symbol).scalar_subquery()
    query = query.order_by(nulls_last((positions.c.mode == current_mode).desc()), positions.c.mode.desc())
    with engine.connect() as connection:
        row = connection.execute(query.limit(1)).mappings().first()
    return stored_position(row) if row is not None else None


def matching(table: Table, **values: Any) -> list[ColumnElement[bool]]:
    """Conditions that columns of `table` equal their values; None asks for nothing."""
    return [
        table.c[name] == (value.value if isinstance(value, Enum) else value)
        for name, value in values.items()
        if value is not None
    ]


def within(
    column: Column[datetime], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    """Conditions that `column` lies between these, both inclusive; None asks for nothing."""
    bounds = []
    if since is not None:
        bounds.append(column >= since)
    if until is not None:
        bounds.append(column <= until)
    return bounds


def directed(column: Column[Any], *, is_descending: bool) -> ColumnElement[Any]:
    """A sort by `column`, nulls last where it has any: else its index would not serve."""
    order = column.desc() if is_descending else column.asc()
    return nulls_last(order) if column.nullable else order


def _has_id(order_id: str) -> ColumnElement[bool]:
    known = [orders.c.exchange_order_id == order_id, orders.c.client_order_id == order_id]
    if is_uuid(order_id):
        known.append(orders.c.id == order_id)
    return or_(*known)


def is_uuid(value: str) -> bool:
    """Only the plain spelling; PostgreSQL would refuse the statement for anything that is no UUID."""
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def page_of(
    engine: Engine,
    query: Select[Any],
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    page: Page,
) -> tuple[Sequence[RowMapping], int]:
    """The rows of one page of `query`, and how many rows of `table` meet `conditions`."""
    with engine.connect() as connection:
        rows = connection.execute(query.limit(page.limit).offset(page.offset)).mappings().all()
        if len(rows) < page.limit and (rows or page.offset == 0):
            return rows, page.offset + len(rows)  # the list ends on this page: nothing to count
        count = select(func.count()).select_from(table).where(true(), *conditions)
        return rows, connection.execute(count).scalar_one()


def stored_position(row: RowMapping) -> StoredPosition:
    return StoredPosition(
        position=position_from(row, symbol=row["asset"], mode=PositionMode(row["mode"])),
        mark_price=plain(row["mark_price"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
