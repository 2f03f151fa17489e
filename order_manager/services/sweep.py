"""Sweep: wake what was forgotten. Wake-ups may be lost; the inbox and the outbox are the truth."""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from order_manager.domain.events import Event
from order_manager.services.ports import Publisher

log = structlog.get_logger(__name__)


class SweepStore(Protocol):
    def forgotten(self, *, older_than_s: float) -> list[tuple[str, bool]]: ...

    def unpublished_without_lane(self) -> list[tuple[int, Event]]: ...

    def mark_published(self, ids: Sequence[int]) -> None: ...


def sweep(
    *,
    store: SweepStore,
    publisher: Publisher,
    wake: Callable[[str], None],
    open_symbol: Callable[[str], None],
    older_than_s: float,
) -> int:
    """Wake each symbol with something that waits too long; returns how many."""
    forgotten = [
        (symbol, has_lane) for symbol, has_lane in store.forgotten(older_than_s=older_than_s) if symbol
    ]
    for symbol, has_lane in forgotten:
        (wake if has_lane else open_symbol)(symbol)
    publish_without_lane(store=store, publisher=publisher)
    return len(forgotten)


def publish_without_lane(*, store: SweepStore, publisher: Publisher) -> int:
    """Publish events of signals that never had a lane: rejected at the door. Returns how many."""
    rows = store.unpublished_without_lane()
    if not rows:
        return 0
    try:
        publisher.publish(event for _, event in rows)
    except Exception as error:  # noqa: BLE001 - whatever the broker's library raises, the outbox keeps them
        log.warning("events_kept_back", count=len(rows), error=repr(error))
        return 0
    store.mark_published([number for number, _ in rows])
    return len(rows)
