"""Sweep: wake what was forgotten. Wake-ups may be lost; the inbox and the outbox are the truth."""

from collections.abc import Callable
from typing import Protocol

from order_manager.domain.events import Event
from order_manager.services.ports import Publisher
from order_manager.services.publish_events import Outbox, publish_rows


class SweepStore(Outbox, Protocol):
    def forgotten(self, *, older_than_s: float) -> list[tuple[str, bool]]: ...

    def unpublished_without_lane(self) -> list[tuple[int, Event]]: ...


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
    is_taken = bool(rows) and publish_rows(rows, publisher=publisher, outbox=store)
    return len(rows) if is_taken else 0
