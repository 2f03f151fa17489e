"""Leases in PostgreSQL: session advisory locks that end with their holder."""

import os
import random
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from order_manager.database.locks import BOUND_LOCK, LEASE_LOCK, WORKER_LOCK
from order_manager.domain.leases import lease_change

log = structlog.get_logger(__name__)

_VIEW = text("""
    WITH held AS MATERIALIZED (
        SELECT CAST(classid AS bigint) AS class, CAST(objid AS bigint) AS id, pid
        FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND CAST(classid AS bigint) IN (:lease, :bound, :worker)
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT 'lane' AS kind, l.id, l.symbol,
        (SELECT min(pid) FROM held WHERE class = :lease AND id = l.id) AS pid,
        EXISTS (SELECT 1 FROM held WHERE class = :bound AND id = l.id) AS is_bound
    FROM lanes l
    UNION ALL
    SELECT 'worker', 0, '', pid, false FROM held WHERE class = :worker
    ORDER BY 1, 2
""")
_TRY = text("SELECT pg_try_advisory_lock(:class, :id)")
_TRY_SHARED = text("SELECT pg_try_advisory_lock_shared(:class, :id)")
_RECONCILE = text(
    "UPDATE lanes SET reconcile_requested_at = clock_timestamp(), must_reconcile = true"
    " WHERE id = ANY(CAST(:ids AS integer[]))"
)
_RELEASE = text("SELECT pg_advisory_unlock(:class, :id)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnover:
    """Symbols whose queues to stop and to start consuming."""

    lost: tuple[str, ...]
    gained: tuple[str, ...]


class WorkerLeases:
    """One worker's leases. When its session ends, all of them are free at once."""

    def __init__(
        self, engine: Engine, *, bound_symbols: tuple[str, ...] = (), reconcile: bool = True
    ) -> None:
        """With `reconcile` each lane that is gained is to be compared with the exchange first."""
        self._engine = engine
        self._reconcile = reconcile
        self._bound_symbols = bound_symbols
        self._connection: Connection | None = None
        self._mine: dict[int, str] = {}
        self._announced: set[int] = set()
        os.register_at_fork(after_in_child=self._let_go_in_child)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._mine.values())

    def turn(self) -> Turnover:
        """Look around and adjust by what is fair; call it twice a second. Survives a lost database."""
        try:
            return self._turn()
        except DBAPIError as error:
            log.warning("leases_lost", symbols=self.symbols, error=str(error.orig))
            return Turnover(lost=self.release_all(), gained=())

    def release_all(self) -> tuple[str, ...]:
        """Give up everything; returns the symbols that were leased."""
        lost = self.symbols
        self._mine.clear()
        self._announced.clear()
        if self._connection is not None:
            self._connection.invalidate()  # closing the session is what frees the locks
            self._connection.close()
            self._connection = None
        return lost

    def _turn(self) -> Turnover:
        connection = self._connected()
        rows = connection.execute(
            _VIEW, {"lease": LEASE_LOCK, "bound": BOUND_LOCK, "worker": WORKER_LOCK}
        ).all()
        lanes = {row.id: row.symbol for row in rows if row.kind == "lane"}
        me = int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        bound_to_me: set[int] | None = None
        if self._bound_symbols:
            bound_to_me = {number for number, symbol in lanes.items() if symbol in self._bound_symbols}
            for number in bound_to_me - self._announced:
                connection.execute(_TRY_SHARED, {"class": BOUND_LOCK, "id": number})
                self._announced.add(number)
        change = lease_change(
            mine=self._mine,
            lanes=list(lanes),
            holders={row.id: row.pid for row in rows if row.kind == "lane" and row.pid is not None},
            workers={row.pid for row in rows if row.kind == "worker"} | {me},
            me=me,
            bound_to_me=bound_to_me,
            bound={row.id for row in rows if row.is_bound},
        )
        lost = []
        for number in change.release:
            connection.execute(_RELEASE, {"class": LEASE_LOCK, "id": number})
            lost.append(self._mine.pop(number))
        gained = [
            number
            for number in change.take
            if connection.execute(_TRY, {"class": LEASE_LOCK, "id": number}).scalar()
        ]
        self._mine |= {number: lanes[number] for number in gained}
        if gained and self._reconcile:
            # Nobody may have followed the exchange meanwhile: compare before the first signal.
            connection.execute(_RECONCILE, {"ids": gained})
        return Turnover(lost=tuple(lost), gained=tuple(lanes[number] for number in gained))

    def _let_go_in_child(self) -> None:
        """A child that outlives us must not keep our session, and with it our leases, alive."""
        if self._connection is not None and not self._connection.invalidated:
            dbapi: Any = self._connection.connection.dbapi_connection
            with open(os.devnull, "r+b") as nowhere:
                os.dup2(nowhere.fileno(), dbapi.fileno())

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if not self._bound_symbols:
                number = random.randrange(1, 2**31)
                self._connection.execute(_TRY, {"class": WORKER_LOCK, "id": number})
        return self._connection
