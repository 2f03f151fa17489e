"""The lane at its edges, on a real PostgreSQL: what two processes can do to each other between statements."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from order_manager.database.engine import connect
from order_manager.database.inbox import Inbox
from order_manager.database.lane import LaneStore
from order_manager.domain.events import Event, order_event
from order_manager.domain.orders import Order
from order_manager.domain.positions import PositionMode
from order_manager.errors import LaneLost
from order_manager.services.publish_events import publish_events
from tests.builders import an_instrument, an_order

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Broker:
    """Takes events, or does not."""

    def __init__(self) -> None:
        self.is_up = True
        self.taken: list[Event] = []

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self.is_up:
                raise ConnectionError("the broker is away")
            self.taken.append(event)

    def told(self, order: Order) -> list[int]:
        return [event.sequence for event in self.taken if event.order_id == order.id]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url, session_timeout_s=5)
    yield engine
    engine.dispose()


@pytest.fixture
def order(engine: Engine) -> Order:
    """An accepted, resting order of a symbol that has a lane."""
    symbol = f"S{uuid.uuid4().hex[:10].upper()}"
    Inbox(engine).open_lane(replace(an_instrument(), symbol=symbol), PositionMode.ONE_WAY)
    order = an_order(
        id=str(uuid.uuid4()),
        symbol=symbol,
        client_order_id=f"om-{symbol}-1-0",
        exchange_order_id=f"x-{symbol}",
        signal_id=None,
    )
    with engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO orders (id, client_order_id, exchange_order_id, symbol, category, side,"
                " order_type, time_in_force, quantity, price, status) VALUES (:id, :link, :exchange, :symbol,"
                " 'linear', 'buy', 'limit', 'post_only', 1, 100, 'pending')"
            ),
            {
                "id": order.id,
                "link": order.client_order_id,
                "exchange": order.exchange_order_id,
                "symbol": symbol,
            },
        )
    return order


def event_of(order: Order, sequence: int) -> Event:
    return order_event("modified", order, sequence=sequence, trace_id="t", now=NOW)


def test_events_of_an_order_stay_in_order_when_the_broker_comes_back_in_the_middle_of_a_batch(
    engine: Engine, order: Order
) -> None:
    store, broker = LaneStore(engine), Broker()
    broker.is_up = False
    with store.take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        lane.record_order(order, events=[event_of(order, 1)])
        publish_events(lane, broker)
    with store.take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        publish_events(lane, broker)  # as work_lane does first; the broker is still away
        broker.is_up = True
        lane.record_order(order, events=[event_of(order, 2)])
        publish_events(lane, broker)
    with store.take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        publish_events(lane, broker)

    assert broker.told(order) == [1, 2]


def test_events_left_by_a_predecessor_that_died_right_before_our_lock_go_first(
    engine: Engine, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, broker = LaneStore(engine), Broker()
    ours, successor = LaneStore._locked, ExitStack()

    def meanwhile(connection, symbol, lock):  # type: ignore[no-untyped-def]
        """Right before the successor asks for the lock."""
        monkeypatch.setattr(LaneStore, "_locked", staticmethod(ours))
        with store.take_for_upkeep(symbol) as lane:
            assert lane is not None
            lane.record_order(order, events=[event_of(order, 1)])  # and dies before it publishes
        return ours(connection, symbol, lock)

    monkeypatch.setattr(LaneStore, "_locked", staticmethod(meanwhile))
    with successor:
        lane = successor.enter_context(store.take_for_upkeep(order.request.symbol))
        assert lane is not None
        lane.record_order(order, events=[event_of(order, 2)])
        publish_events(lane, broker)
    with store.take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        publish_events(lane, broker)

    assert broker.told(order) == [1, 2]


def decide(store: LaneStore, symbol: str) -> None:
    """A decision by somebody with little patience."""
    with store.take_for_upkeep(symbol) as lane:
        assert lane is not None
        lane._connection.exec_driver_sql("SET lock_timeout = '100ms'")
        with lane.deciding():
            pass


def test_a_lane_is_free_and_its_session_usable_after_the_account_row_could_not_be_locked(
    engine: Engine, order: Order
) -> None:
    store = LaneStore(engine)
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("SELECT * FROM account_state FOR UPDATE")
        with pytest.raises(LaneLost, match="lock timeout"):
            decide(store, order.request.symbol)
        other.exec_driver_sql("ROLLBACK")

    with engine.connect() as outsider, store.take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        held = outsider.execute(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = :id"),
            {"id": lane.lane_id},
        ).scalar_one()
    assert held == 1  # by this very lane, and by no session left over


def test_an_applied_amendment_leaves_nothing_behind_that_counts_against_limits(
    engine: Engine, order: Order
) -> None:
    with LaneStore(engine).take_for_upkeep(order.request.symbol) as lane:
        assert lane is not None
        lane._connection.execute(
            text("UPDATE orders SET amend_quantity = 2, amend_price = 120 WHERE id = :id"), {"id": order.id}
        )
        amended = replace(order.request, quantity=Decimal(2), price=Decimal(120))
        lane.record_order(replace(order, request=amended))
        row = lane._connection.execute(
            text("SELECT amend_quantity, amend_price FROM orders WHERE id = :id"), {"id": order.id}
        ).one()
    assert tuple(row) == (None, None)
