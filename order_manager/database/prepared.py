"""Statements that the server parses and plans once per session, for the path that every signal takes.

psycopg2 sends text, and for a statement with a few CTEs PostgreSQL spends more on reading and planning it
than on running it: PREPARE takes that off every call but a session's first.
"""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult

from order_manager.database.engine import dumps

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class Prepared:
    """`sql` with :name parameters, each with its PostgreSQL type. Call it like a function."""

    def __init__(self, name: str, sql: str, **types: str) -> None:
        self._name = name
        order = list(types)
        unknown = set(_PARAMETER.findall(sql)) ^ set(order)
        if unknown:
            raise ValueError(f"{name}: parameters and types differ in {sorted(unknown)}")
        body = _PARAMETER.sub(lambda match: f"${order.index(match[1]) + 1}", sql)
        self._prepare = f"PREPARE {name} ({', '.join(types.values())}) AS {body}"
        self._execute = f"EXECUTE {name} ({', '.join(f'%({key})s' for key in order)})" if order else name
        self._json = [key for key, kind in types.items() if kind == "jsonb"]
        self._names = order

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Values that the statement does not name are ignored."""
        known = connection.info.setdefault("prepared", set())  # belongs to the session, and ends with it
        if self._name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self._name)
        bound = {key: values[key] for key in self._names}
        for key in self._json:
            bound[key] = dumps(bound[key])
        return connection.exec_driver_sql(self._execute, bound)
