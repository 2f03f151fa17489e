"""Publish events: what a lane committed goes out, oldest first; what the broker refuses stays for later."""

import structlog

from order_manager.services.ports import Lane, Publisher

log = structlog.get_logger(__name__)

PAGE = 200  # events


def publish_events(lane: Lane, publisher: Publisher) -> int:
    """Publish the symbol's unpublished events in order; returns how many. A lost broker only delays."""
    published = 0
    while rows := lane.unpublished(limit=PAGE):
        try:
            publisher.publish(event for _, event in rows)
        except Exception as error:  # noqa: BLE001 - whatever the broker's library raises, the outbox keeps them
            log.warning("events_kept_back", symbol=lane.symbol, count=len(rows), error=repr(error))
            return published
        lane.mark_published([number for number, _ in rows])
        published += len(rows)
        if len(rows) < PAGE:
            break
    return published
