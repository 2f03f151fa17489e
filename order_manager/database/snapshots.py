"""Snapshots of positions: taken under the row's lock, so that each is of one moment."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, text, update

from order_manager.database import outbox
from order_manager.database.engine import transaction
from order_manager.database.queries import stored_position
from order_manager.database.tables import MONEY, position_snapshots, positions
from order_manager.domain.events import Event
from order_manager.domain.positions import PositionMode, StoredPosition

CHUNK = 1000  # rows per statement that deletes

# A snapshot tells of which change it was taken; a comparison of clocks would miss one that commits late.
_DUE = text("""
    SELECT p.asset, p.mode FROM positions p LEFT JOIN LATERAL (
        SELECT s.snapshot->>'updated_at' AS updated_at FROM position_snapshots s
        WHERE s.asset = p.asset AND s.mode = p.mode ORDER BY s.taken_at DESC, s.id DESC LIMIT 1
    ) last ON true
    WHERE p.size <> 0 OR p.long_size <> 0 OR p.short_size <> 0
        OR CAST(last.updated_at AS timestamptz) IS DISTINCT FROM p.updated_at
    ORDER BY p.asset, p.mode
""")
_LOCK = (
    update(positions)
    .where(positions.c.asset == bindparam("symbol"), positions.c.mode == bindparam("its_mode"))
    .values(mark_price=func.coalesce(bindparam("mark", type_=MONEY), positions.c.mark_price))
    .returning(positions)
)
_LAST = (
    select(position_snapshots.c.snapshot)
    .where(
        position_snapshots.c.asset == bindparam("symbol"), position_snapshots.c.mode == bindparam("its_mode")
    )
    .order_by(position_snapshots.c.taken_at.desc(), position_snapshots.c.id.desc())
    .limit(1)
)


class Snapshot:
    """One position, locked: nobody moves it and nobody else takes its snapshot meanwhile."""

    def __init__(
        self, connection: Connection, stored: StoredPosition, last: Mapping[str, Any] | None
    ) -> None:
        self._connection = connection
        self.stored = stored
        self.last = last  # the snapshot before

    def record(self, snapshot: Mapping[str, Any], events: Sequence[Event], *, taken_at: datetime) -> None:
        position = self.stored.position
        self._connection.execute(
            insert(position_snapshots).values(
                asset=position.symbol, mode=position.mode.value, snapshot=snapshot, taken_at=taken_at
            )
        )
        outbox.add(self._connection, events)


class PositionSnapshots:
    """Which positions are due, their snapshots, and the end of old ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self) -> list[tuple[str, PositionMode]]:
        """Positions that are held, and those that changed since their last snapshot."""
        with self._engine.connect() as connection:
            return [(row.asset, PositionMode(row.mode)) for row in connection.execute(_DUE)]

    @contextmanager
    def taking(
        self, symbol: str, mode: PositionMode, *, mark_price: Decimal | None
    ) -> Iterator[Snapshot | None]:
        """The position, with its mark price brought up to date where there is one; one transaction."""
        keys = {"symbol": symbol, "its_mode": mode.value}
        with self._engine.connect() as connection, transaction(connection):
            row = connection.execute(_LOCK, {**keys, "mark": mark_price}).mappings().first()
            if row is None:
                yield None
                return
            last = connection.execute(_LAST, keys).scalar()  # after the lock: whoever was first has written
            yield Snapshot(connection, stored_position(row), last)

    def delete_before(self, moment: datetime, *, at_most: int) -> int:
        """Delete the oldest, a chunk at a time so that nobody waits long; returns how many went."""
        oldest = (
            select(position_snapshots.c.id)
            .where(position_snapshots.c.taken_at < moment)
            .order_by(position_snapshots.c.taken_at)
        )
        deleted = 0
        while deleted < at_most:
            limit = min(CHUNK, at_most - deleted)
            with self._engine.connect() as connection:
                gone = connection.execute(
                    delete(position_snapshots).where(position_snapshots.c.id.in_(oldest.limit(limit)))
                ).rowcount
            deleted += gone
            if gone < limit:
                break
        return deleted
