"""Publish events: what a lane committed goes out, oldest first; what the broker refuses stays for later."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from order_manager import metrics
from order_manager.domain.events import Event
from order_manager.errors import is_bug
from order_manager.services.ports import Lane, Publisher

log = structlog.get_logger(__name__)

PAGE = 200  # events


class Outbox(Protocol):
    def mark_published(self, ids: Sequence[int]) -> None: ...


def publish_events(lane: Lane, publisher: Publisher) -> int:
    """Publish the symbol's unpublished events in order; returns how many. A lost broker only delays."""
    published = 0
    while rows := lane.unpublished(limit=PAGE):
        if not publish_rows(rows, publisher=publisher, outbox=lane):
            break
        published += len(rows)
        if len(rows) < PAGE:
            break
    return published


def publish_rows(rows: Sequence[tuple[int, Event]], *, publisher: Publisher, outbox: Outbox) -> bool:
    """Publish and mark; False, with the rows kept for later, when the broker does not take them."""
    try:
        publisher.publish(event for _, event in rows)
    except Exception as error:  # whatever the broker's library raises, the outbox keeps them
        metrics.EVENTS_KEPT_BACK.inc()
        log.warning(
            "events_kept_back",
            symbol=rows[0][1].symbol,
            count=len(rows),
            error=repr(error),
            exc_info=is_bug(error),
        )
        return False
    for _, event in rows:
        metrics.EVENTS_PUBLISHED.labels(event.event_type).inc()
    outbox.mark_published([number for number, _ in rows])
    return True
