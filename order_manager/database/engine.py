"""Connections to PostgreSQL. Statements commit by themselves; `transaction` brackets several."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from order_manager.process_name import process_name

IDLE_S = 0.2  # a connection that rested for so long is tried before it is used; no server restarts faster


def dumps(value: Any) -> str:
    """JSON for a JSONB column: Decimals as strings, so that nothing passes through a float."""
    return json.dumps(value, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def loads(value: str) -> Any:
    return json.loads(value, parse_float=Decimal)


def connect(url: str, *, pool_size: int = 5, session_timeout_s: float | None = None) -> Engine:
    """An engine in autocommit: one statement, one round trip.

    With `session_timeout_s` the server ends a session that is silent for so long, which is how a frozen
    process loses its advisory locks.
    """
    # A frozen process may hold a lock until its session ends: who waits for it must outlast that.
    patience_ms = int((session_timeout_s or 20) * 1000) + 5000
    options = ["-c", "timezone=UTC", "-c", f"lock_timeout={patience_ms}"]
    options += ["-c", f"statement_timeout={patience_ms + 5000}"]
    if session_timeout_s is not None:
        limit_ms = int(session_timeout_s * 1000)
        # Plans are made once a session, perhaps while the tables are empty: never for that case. They look
        # costly then, and a server with LLVM would compile each, for a second and more.
        options += ["-c", "enable_seqscan=off", "-c", "jit=off"]
        options += ["-c", f"idle_session_timeout={limit_ms}"]
        options += ["-c", f"idle_in_transaction_session_timeout={limit_ms}"]
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=5,
        json_serializer=dumps,
        json_deserializer=loads,
        connect_args={
            "options": " ".join(options),
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # Whose session it is: as `order-manager up` and Flower call the process.
            "application_name": f"order-manager {process_name()}".strip()[:63],
        },
    )
    _ping_rested(engine)
    return engine


def _ping_rested(engine: Engine) -> None:
    """As pool_pre_ping, which would add a round trip to every use of a busy connection."""

    @event.listens_for(engine, "checkin")
    def rest(connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object) -> None:
        since = entry.info.get("rests_since")
        if since is None or time.monotonic() - since < IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise InvalidatePoolError from error  # the pool then opens a new one


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """BEGIN ... COMMIT on an autocommit connection; rolled back when the block raises."""
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    except BaseException:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
