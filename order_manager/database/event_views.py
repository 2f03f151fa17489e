"""Events, published or not, for the REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, select

from order_manager.database.queries import Page, directed, matching, page_of, within
from order_manager.database.tables import order_events


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events; None asks for nothing."""

    order_id: str | None = None  # ours
    signal_id: str | None = None
    symbol: str | None = None
    event_type: str | None = None
    created_from: datetime | None = None  # inclusive
    created_to: datetime | None = None  # inclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event and when the broker took it; `body` is the message."""

    event_id: str
    event_type: str
    order_id: str | None
    signal_id: str | None
    symbol: str  # empty where the message named none
    sequence: int
    trace_id: str
    created_at: datetime
    published_at: datetime | None
    body: Mapping[str, Any]


def list_events(
    engine: Engine, wanted: EventFilter, *, is_descending: bool, page: Page
) -> tuple[list[StoredEvent], int]:
    """One page of the events in the order in which they were written, and how many there are."""
    conditions = matching(
        order_events,
        order_id=wanted.order_id,
        signal_id=wanted.signal_id,
        symbol=wanted.symbol,
        event_type=wanted.event_type,
    )
    conditions += within(order_events.c.created_at, wanted.created_from, wanted.created_to)
    by = directed(order_events.c.id, is_descending=is_descending)
    query = select(order_events).where(*conditions).order_by(by)
    rows, total = page_of(engine, query, order_events, conditions, page)
    return [_event(row) for row in rows], total


def _event(row: RowMapping) -> StoredEvent:
    return StoredEvent(
        event_id=str(row["event_id"]),
        event_type=row["event_type"],
        order_id=row["order_id"],
        signal_id=row["signal_id"],
        symbol=row["symbol"],
        sequence=row["sequence"],
        trace_id=row["trace_id"],
        created_at=row["created_at"],
        published_at=row["published_at"],
        body=row["body"],
    )
