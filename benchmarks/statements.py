"""Counting SQL statements: in this process by SQLAlchemy's events, in the real ones by the server's log."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event


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
