"""A migrated database and the parts that remember in it; every table is emptied before each test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text

from order_manager.database.engine import connect
from order_manager.database.inbox import Inbox
from order_manager.database.lane import Lane, LaneStore
from order_manager.database.locks import LANE_LOCK
from order_manager.database.rows import order_values
from order_manager.database.tables import metadata, orders
from order_manager.domain.orders import Order
from order_manager.domain.positions import PositionMode
from order_manager.domain.signals import Signal
from tests.builders import a_signal, an_instrument, an_order


@dataclass(frozen=True)
class Ledger:
    """What a test asks the database, in few words."""

    url: str
    engine: Engine
    inbox: Inbox
    lanes: LaneStore

    def open(self, *symbols: str, mode: PositionMode = PositionMode.ONE_WAY) -> None:
        for symbol in symbols or ("BTCUSDT",):
            self.inbox.open_lane(an_instrument(symbol=symbol), mode)

    def receive(self, **changes: Any) -> Signal:
        """A signal that is in the inbox now."""
        signal = a_signal(**changes)
        self.inbox.receive(signal, "{}")
        return signal

    def add_order(self, **changes: Any) -> Order:
        """An order that is stored now; `columns` are of the table alone."""
        columns = changes.pop("columns", {})
        order = an_order(**changes)
        with self.engine.connect() as connection:
            connection.execute(insert(orders).values({**order_values(order), **columns}))
        return order

    def rows(self, query: str, **values: Any) -> list[Mapping[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def row(self, query: str, **values: Any) -> Mapping[str, Any]:
        [only] = self.rows(query, **values)
        return only

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.connect() as connection:
            connection.execute(text(statement), values)

    def signal(self, signal_id: str) -> Mapping[str, Any]:
        return self.row("SELECT * FROM trading_signals WHERE signal_id = :id", id=signal_id)

    def order(self, client_order_id: str) -> Mapping[str, Any]:
        return self.row("SELECT * FROM orders WHERE client_order_id = :id", id=client_order_id)

    def events(self) -> list[str]:
        return [row["event_type"] for row in self.rows("SELECT event_type FROM order_events ORDER BY id")]

    def lane(self, symbol: str = "BTCUSDT") -> Any:
        """The lane, whether or not something waits."""
        return self.lanes.take_for_upkeep(symbol)

    def end_session(self, lane: Lane) -> None:
        """As if the server had ended the session that holds the lane."""
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = :class AND objid = :id"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            **{"class": LANE_LOCK, "id": lane.lane_id},
        )

    def empty(self) -> None:
        # Not TRUNCATE: it makes a new file per table and index, ten times slower than deleting a few rows.
        statements = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
        statements.append("INSERT INTO account_state (id) VALUES (1)")
        with self.engine.connect() as connection:
            connection.exec_driver_sql("; ".join(statements))


@pytest.fixture(scope="module")
def module_ledger(database_url: str) -> Iterator[Ledger]:
    engine = connect(database_url, pool_size=10)
    yield Ledger(url=database_url, engine=engine, inbox=Inbox(engine), lanes=LaneStore(engine))
    engine.dispose()


@pytest.fixture
def ledger(module_ledger: Ledger) -> Ledger:
    module_ledger.empty()
    return module_ledger
