"""Snapshots of a position over time, for the REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, exists, or_, select

from order_manager.database.queries import Page, directed, matching, page_of, within
from order_manager.database.tables import position_snapshots, positions
from order_manager.domain.positions import PositionMode


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSnapshot:
    """As it was taken: in the words of the interface, with the losses that were told of."""

    taken_at: datetime
    values: Mapping[str, Any]


def list_snapshots(
    engine: Engine,
    symbol: str,
    *,
    mode: PositionMode | None,
    taken_from: datetime | None,
    taken_to: datetime | None,
    is_descending: bool,
    page: Page,
) -> tuple[list[StoredSnapshot], int]:
    """One page of the symbol's snapshots by their moment, and how many there are on all pages."""
    snapshots = position_snapshots.c
    conditions = matching(position_snapshots, asset=symbol, mode=mode)
    conditions += within(snapshots.taken_at, taken_from, taken_to)
    order = [directed(column, is_descending=is_descending) for column in (snapshots.taken_at, snapshots.id)]
    query = select(snapshots.taken_at, snapshots.snapshot).where(*conditions).order_by(*order)
    rows, total = page_of(engine, query, position_snapshots, conditions, page)
    return [StoredSnapshot(taken_at=row["taken_at"], values=row["snapshot"]) for row in rows], total


def has_history(engine: Engine, symbol: str) -> bool:
    """Whether we keep a position of the symbol, flat or not, or a snapshot of one."""
    known = or_(
        exists().where(positions.c.asset == symbol), exists().where(position_snapshots.c.asset == symbol)
    )
    with engine.connect() as connection:
        return bool(connection.execute(select(known)).scalar())
