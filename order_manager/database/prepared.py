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
        self._json = [key for key, kind in types.items() if kind == "jsonb"]
        self._names = order

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Values that the statement does not name are ignored."""
        return in_one_trip(connection, (self, values))

    def prepare(self, connection: Connection) -> None:
        known = connection.info.setdefault("prepared", set())  # belongs to the session, and ends with it
        if self._name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self._name)

    def call(self, values: Mapping[str, Any], *, number: int = 0) -> tuple[str, dict[str, Any]]:
        """The text that calls it, and its parameters: the `number`th of one round trip."""
        bound = {f"{key}_{number}": values[key] for key in self._names}
        for key in self._json:
            bound[f"{key}_{number}"] = dumps(values[key])
        arguments = ", ".join(f"%({key})s" for key in bound)
        return f"EXECUTE {self._name}" + (f" ({arguments})" if bound else ""), bound


Step = str | tuple[Prepared, Mapping[str, Any]]


def in_one_trip(connection: Connection, *steps: Step) -> CursorResult[Any]:
    """Several statements, each of which sees what was committed before it began; the last one's result.

    On an autocommit connection they are one transaction, unless they say BEGIN or COMMIT themselves.
    """
    texts, bound = [], dict[str, Any]()
    for number, step in enumerate(steps):
        if isinstance(step, str):
            texts.append(step)
            continue
        statement, values = step
        statement.prepare(connection)
        text, parameters = statement.call(values, number=number)
        texts.append(text)
        bound |= parameters
    return connection.exec_driver_sql("; ".join(texts), bound)
