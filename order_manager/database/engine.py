"""Connections to PostgreSQL. Statements commit by themselves; `transaction` brackets several."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, create_engine


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
        # Plans are made once a session, perhaps while the tables are empty: never for that case.
        options += ["-c", "enable_seqscan=off"]
        options += ["-c", f"idle_session_timeout={limit_ms}"]
        options += ["-c", f"idle_in_transaction_session_timeout={limit_ms}"]
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=5,
        pool_pre_ping=True,
        json_serializer=dumps,
        json_deserializer=loads,
        connect_args={
            "options": " ".join(options),
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "application_name": "order-manager",
        },
    )


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
