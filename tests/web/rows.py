"""Rows with good defaults, so that a test names only what it is about."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from order_manager.database.tables import orders, positions
from order_manager.wiring import Runtime
from tests.builders import at

numbers = itertools.count(1)


def an_order_id(number: int) -> str:
    """A UUID that sorts by its number."""
    return str(UUID(int=number))


def add_order(runtime: Runtime, **columns: Any) -> str:
    """Store an order to buy 0.01 BTCUSDT at 50000, still open; its id."""
    number = next(numbers)
    values = {
        "id": an_order_id(number),
        "client_order_id": f"om-{number}",
        "exchange_order_id": f"ex-{number}",
        "signal_id": f"signal-{number}",
        "symbol": "BTCUSDT",
        "category": "linear",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "quantity": Decimal("0.01"),
        "price": Decimal(50000),
        "status": "pending",
        "created_at": at(0),
        "updated_at": at(0),
        **columns,
    }
    with runtime.engine.connect() as connection:
        connection.execute(insert(orders).values(values))
    return str(values["id"])


def add_position(runtime: Runtime, **columns: Any) -> None:
    """Store a flat one-way position in BTCUSDT."""
    values = {"asset": "BTCUSDT", "mode": "one_way", "created_at": at(0), "updated_at": at(0), **columns}
    with runtime.engine.connect() as connection:
        connection.execute(insert(positions).values(values))
