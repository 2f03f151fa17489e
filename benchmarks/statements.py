"""Counting SQL statements: in this process by SQLAlchemy's events, in the real ones by the server's log."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Engine, event

from order_manager.embedded import PostgresServer


@dataclass
class StatementCounter:
    """Every statement that SQLAlchemy sends in this process, with the time until its answer."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def counting(self) -> Iterator[None]:
        listeners: list[tuple[str, Callable[..., None]]] = [
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
        ]
        for name, listener in listeners:
            event.listen(Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(Engine, name, listener)

    def _before(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        connection.info["benchmark_started"] = time.perf_counter()

    def _after(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        text = re.sub(r"\s+", " ", statement).strip()
        self.counts[text] += 1
        self.seconds[text] += time.perf_counter() - connection.info["benchmark_started"]


class StatementLog:
    """Counts what reaches the server, by its own log; switched on for a short pass only, as it costs time.

    `pg_stat_statements` would be gentler, but the embedded server comes without it.
    """

    def __init__(self, postgres: PostgresServer, log_path: Path) -> None:
        self._postgres = postgres
        self._path = log_path

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        self._configure(
            "ALTER SYSTEM SET log_line_prefix = 'stmt %a|'", "ALTER SYSTEM SET log_statement = 'all'"
        )
        try:
            yield
        finally:
            self._configure("ALTER SYSTEM RESET log_statement", "ALTER SYSTEM RESET log_line_prefix")

    def _configure(self, *statements: str) -> None:
        connection = psycopg2.connect(self._postgres.url("postgres").replace("+psycopg2", ""))
        connection.autocommit = True
        try:
            for statement in (*statements, "SELECT pg_reload_conf()"):
                connection.cursor().execute(statement)
        finally:
            connection.close()
        time.sleep(0.5)  # every backend reads the change before its next statement

    def position(self) -> int:
        return self._path.stat().st_size

    def count_since(self, position: int) -> int:
        """Round trips with a statement, those of the measurer left out."""
        with self._path.open("rb") as file:
            file.seek(position)
            return sum(
                line.startswith(b"stmt ") and b"|LOG:  statement:" in line and b"benchmark|" not in line[:20]
                for line in file
            )
