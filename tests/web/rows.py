"""Rows with good defaults, so that a test names only what it is about."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert

from order_manager.database.tables import (
    dead_letters,
    exchange_updates,
    lanes,
    order_events,
    orders,
    position_adjustments,
    position_snapshots,
    positions,
    signal_order_relationships,
    trading_signals,
)
from order_manager.domain.events import position_json
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.queues import SIGNALS
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


def add(runtime: Runtime, table: Table, values: dict[str, Any]) -> Any:
    """Store a row; its primary key's first column."""
    key = next(iter(table.primary_key.columns))
    with runtime.engine.connect() as connection:
        return connection.execute(insert(table).values(values).returning(key)).scalar_one()


def add_lane(runtime: Runtime, symbol: str = "BTCUSDT", **columns: Any) -> None:
    """Store an active lane that was opened long ago."""
    add(runtime, lanes, {"symbol": symbol, "opened_at": at(-3600), **columns})


def add_signal(runtime: Runtime, **columns: Any) -> str:
    """Store a signal to buy BTCUSDT for 1000 USDT, still waiting; its signal_id."""
    values = {
        "signal_id": f"signal-{next(numbers)}",
        "symbol": "BTCUSDT",
        "side": "buy",
        "notional": Decimal(1000),
        "confidence": Decimal("0.85"),
        "snapshot_price": Decimal(50000),
        "snapshot_spread": Decimal("1.5"),
        "sent_at": at(-1),
        "strategy_id": "momentum",
        "trace_id": "trace-1",
        "body": '{"amount": 1000.0}',
        "received_at": at(0),
        **columns,
    }
    add(runtime, trading_signals, values)
    return str(values["signal_id"])


def add_event(runtime: Runtime, **columns: Any) -> str:
    """Store a published event of no order; its event_id."""
    values = {
        "event_id": str(UUID(int=next(numbers))),
        "event_type": "created",
        "symbol": "BTCUSDT",
        "sequence": 1,
        "trace_id": "trace-1",
        "body": {"order": None, "quantity": "0.5"},
        "created_at": at(0),
        "published_at": at(1),
        **columns,
    }
    add(runtime, order_events, values)
    return str(values["event_id"])


def add_adjustment(runtime: Runtime, **columns: Any) -> None:
    """SOLUSDT was 1, and the exchange had 6.9."""
    values = {"asset": "SOLUSDT", "mode": "one_way", "position_idx": 0, "size_before": 1}
    values |= {"size_after": Decimal("6.9"), "source": "exchange", "reason": "unseen"}
    add(runtime, position_adjustments, {**values, **columns})


def relate(runtime: Runtime, signal_id: str, order_id: str, relation: str = "placed") -> None:
    add(
        runtime,
        signal_order_relationships,
        {"signal_id": signal_id, "order_id": order_id, "relation": relation},
    )


def add_snapshot(runtime: Runtime, **columns: Any) -> None:
    """Store a snapshot of a long position in BTCUSDT."""
    symbol = columns.get("asset", "BTCUSDT")
    mode = PositionMode(columns.get("mode", "one_way"))
    position = Position(symbol=symbol, mode=mode, net=Leg(size=Decimal("0.5"), average_price=Decimal(50000)))
    snapshot = position_json(position, mark_price=Decimal(45000), created_at=at(0), updated_at=at(1))
    losses = {"long": {"percent": "10", "at": at(0).isoformat()}}
    values = {
        "asset": symbol,
        "mode": mode.value,
        "snapshot": {**snapshot, "is_mark_price_fresh": True, "losses": losses},
        "taken_at": at(0),
        **columns,
    }
    add(runtime, position_snapshots, values)


def add_update(runtime: Runtime, **columns: Any) -> None:
    """Store an update of BTCUSDT that no lane has applied."""
    values = {"symbol": "BTCUSDT", "kind": "order", "body": {}, "source": "stream", "received_at": at(0)}
    add(runtime, exchange_updates, {**values, **columns})


def add_dead_letter(runtime: Runtime, **columns: Any) -> int:
    """Store a message that was no signal; its number."""
    values = {
        "queue": SIGNALS,
        "code": "missing_field",
        "field": "amount",
        "reason": "amount is missing",
        "body": b'{"signal_id": "s-1"}',
        "headers": {"trace_id": "trace-1"},
        "received_at": at(0),
        **columns,
    }
    return int(add(runtime, dead_letters, values))
