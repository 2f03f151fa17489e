"""The outbox: events are written with the change they tell of, published after, marked last."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from order_manager.database.prepared import Prepared
from order_manager.database.tables import order_events
from order_manager.domain.events import Event

_UNPUBLISHED = (
    select(order_events.c.id, order_events.c.body)
    .where(order_events.c.symbol == bindparam("symbol"), order_events.c.published_at.is_(None))
    .order_by(order_events.c.id)
    .limit(bindparam("limit"))
)
# Not synced to disk before it answers: a mark that a power cut takes along only repeats an event.
_MARK = Prepared(
    "outbox_mark",
    """
    WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE order_events SET published_at = clock_timestamp() FROM relaxed WHERE id = ANY(:ids)
""",
    ids="bigint[]",
)


def add(connection: Connection, events: Sequence[Event]) -> None:
    """Inside the caller's transaction."""
    if events:
        connection.execute(insert(order_events), [event_values(event) for event in events])


def unpublished(connection: Connection, symbol: str, *, limit: int = 200) -> list[tuple[int, Event]]:
    """The oldest events of a symbol that nobody marked as published, in order, with their row ids."""
    rows = connection.execute(_UNPUBLISHED, {"symbol": symbol, "limit": limit})
    return [(row.id, _event(row.body)) for row in rows]


def mark_published(connection: Connection, ids: Sequence[int]) -> None:
    if ids:
        _MARK(connection, {"ids": list(ids)})


def event_values(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "order_id": event.order_id,
        "signal_id": event.signal_id,
        "symbol": event.symbol,
        "sequence": event.sequence,
        "trace_id": event.trace_id,
        "body": event.body,
    }


def _event(body: dict[str, Any]) -> Event:
    order, signal, position = (body.get(part) or {} for part in ("order", "signal", "position"))
    return Event(
        event_id=body["event_id"],
        event_type=body["event_type"],
        order_id=order.get("id"),
        signal_id=signal.get("signal_id"),
        symbol=order.get("asset") or signal.get("asset") or position.get("asset") or "",
        sequence=body["sequence"],
        trace_id=body["trace_id"],
        body=body,
    )
