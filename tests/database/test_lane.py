"""A symbol's lane: one holder, and everything it writes."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from order_manager.database.engine import connect
from order_manager.database.lane import LaneStore
from order_manager.domain.events import order_event
from order_manager.domain.orders import OrderStatus
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.errors import LaneLost
from tests.builders import NOW, a_position, a_signal, an_order, at

OTHER = "11111111-2222-4333-8444-000000000001"


@pytest.fixture
def other_store(ledger):
    engine = connect(ledger.url)
    yield LaneStore(engine)
    engine.dispose()


def event(order, sequence=1, kind="created"):
    return order_event(kind, order, sequence=sequence, trace_id="trace-1", now=NOW)


# The lock


def test_only_one_of_two_stores_holds_a_lane(ledger, other_store):
    ledger.open()
    ledger.receive()
    with ledger.lanes.take("BTCUSDT") as mine:
        assert mine is not None
        with other_store.take("BTCUSDT") as theirs:
            assert theirs is None
        with other_store.take_for_upkeep("BTCUSDT") as theirs:
            assert theirs is None
    with other_store.take("BTCUSDT") as theirs:
        assert theirs is not None


def test_two_symbols_have_two_lanes(ledger, other_store):
    ledger.open("BTCUSDT", "ETHUSDT")
    with ledger.lane("BTCUSDT") as mine, other_store.take_for_upkeep("ETHUSDT") as theirs:
        assert mine is not None
        assert theirs is not None


def test_a_session_that_dies_frees_its_lane_at_once_and_can_write_no_more(ledger, other_store):
    ledger.open()
    with pytest.raises(LaneLost), ledger.lane() as mine:  # noqa: PT012 - told on leaving
        ledger.end_session(mine)
        with other_store.take_for_upkeep("BTCUSDT") as theirs:
            assert theirs is not None
            theirs.block(until=at(60), reason="theirs", now=NOW)
        mine.block(until=at(1), reason="mine", now=NOW)
    assert ledger.row("SELECT blocked_reason FROM lanes")["blocked_reason"] == "theirs"


@pytest.mark.parametrize(
    "use",
    [
        lambda lane: lane.touch(),
        lambda lane: lane.waiting(1),
        lambda lane: lane.open_orders(),
        lambda lane: lane.renew([], NOW),
        lambda lane: lane.save_balance(D(1), asked_at=NOW),
        lambda lane: lane.deciding().__enter__(),
        lambda lane: lane.record_order(an_order()),
        lambda lane: lane.mark_published([1]),
        lambda lane: lane.unblock(),
    ],
)
def test_every_use_of_a_dead_session_is_told_as_a_lost_lane(ledger, use):
    ledger.open()
    with pytest.raises(LaneLost), ledger.lane() as lane:  # noqa: PT012 - told on leaving
        ledger.end_session(lane)
        use(lane)


def test_an_error_that_is_not_the_session_s_end_is_told_as_it_is_and_frees_the_lane(ledger, other_store):
    ledger.open()
    with pytest.raises(ZeroDivisionError), ledger.lane():
        _ = 1 / 0
    with other_store.take_for_upkeep("BTCUSDT") as lane:
        assert lane is not None


def test_a_symbol_that_has_no_lane_is_none(ledger):
    with ledger.lanes.take("NOPE") as lane:
        assert lane is None
    with ledger.lanes.take_for_upkeep("NOPE") as lane:
        assert lane is None


@pytest.mark.parametrize(
    ("make", "is_taken"),
    [
        (lambda ledger: None, False),
        (lambda ledger: ledger.receive(), True),
        (lambda ledger: ledger.add_order(), False),
        (lambda ledger: ledger.add_order(exchange_order_id=None), True),
        (lambda ledger: ledger.add_order(cancel_requested_at=NOW), True),
        (lambda ledger: ledger.add_order(status=OrderStatus.FILLED), False),
    ],
)
def test_a_lane_is_taken_only_where_there_is_something_to_do(ledger, make, is_taken):
    ledger.open()
    make(ledger)
    with ledger.lanes.take("BTCUSDT") as lane:
        assert (lane is not None) is is_taken


def test_a_lane_with_events_to_publish_is_taken_and_says_so(ledger):
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        assert not lane.has_events
        lane.record_order(order, events=[event(order)])
    with ledger.lanes.take("BTCUSDT") as lane:
        assert lane.has_events


@pytest.mark.parametrize(("minutes", "is_left"), [(None, True), (-1, True), (1, False)])
def test_on_leaving_a_lane_tells_whether_signals_are_left_that_are_due(ledger, minutes, is_left):
    ledger.open()
    with ledger.lane() as lane:
        ledger.receive()
        if minutes is not None:
            lane.block(until=datetime.now(UTC) + timedelta(minutes=minutes), reason="x", now=NOW)
    assert lane.is_work_left is is_left


# What waits


def test_waiting_signals_come_in_the_order_of_their_arrival_planned_ones_too(ledger):
    ledger.open()
    signals = [ledger.receive(signal_id=name) for name in ("z", "a", "m", "b")]
    ledger.execute(
        "UPDATE trading_signals SET state = 'planned', decided_at = :now WHERE signal_id = 'z'", now=NOW
    )
    ledger.execute("UPDATE trading_signals SET state = 'executed' WHERE signal_id = 'a'")
    with ledger.lane() as lane:
        waiting = lane.waiting(10)
        assert [one.signal for one in waiting] == [signals[0], signals[2], signals[3]]
        assert [(one.is_planned, one.decided_at) for one in waiting[:2]] == [(True, NOW), (False, None)]
        assert len(lane.waiting(1)) == 1


def test_open_orders_are_the_symbol_s_alone_oldest_first(ledger):
    ledger.open()
    late = ledger.add_order(id=OTHER, client_order_id="late", created_at=at(5))
    early = ledger.add_order()
    ledger.add_order(id=OTHER[:-1] + "2", client_order_id="eth", symbol="ETHUSDT")
    ledger.add_order(id=OTHER[:-1] + "3", client_order_id="done", status=OrderStatus.CANCELLED)
    with ledger.lane() as lane:
        assert lane.open_orders() == [early, late]


def test_the_origin_of_an_order_is_its_signal_its_trace_and_the_position_it_moves(ledger):
    ledger.open()
    signal = ledger.receive()
    order = ledger.add_order(signal_id=signal.signal_id, columns={"trace_id": "trace-9", "event_sequence": 4})
    with ledger.lane() as lane:
        origin = lane.origin_of(order)
        assert (origin.signal, origin.trace_id, origin.event_sequence) == (signal, "trace-9", 4)
        assert origin.received_at == ledger.signal(signal.signal_id)["received_at"]
        assert origin.position == Position(symbol="BTCUSDT")


# Fencing


def test_renewing_moves_the_moment_of_orders_in_flight_alone(ledger):
    ledger.open()
    flying = ledger.add_order(exchange_order_id=None)
    resting = ledger.add_order(id=OTHER, client_order_id="b")
    with ledger.lane() as lane:
        lane.renew([flying.id, resting.id], at(9))
    assert ledger.order(flying.client_order_id)["intended_at"] == at(9)
    assert ledger.order("b")["intended_at"] == NOW


# Outcomes


@pytest.mark.parametrize(("is_last", "state"), [(True, "executed"), (False, "waiting")])
def test_an_acceptance_is_one_step_order_event_and_signal(ledger, is_last, state):
    ledger.open()
    signal = ledger.receive()
    order = ledger.add_order(exchange_order_id=None, signal_id=signal.signal_id)
    with ledger.lane() as lane:
        lane.record_accepted(order, exchange_order_id="x-1", event=event(order), is_last=is_last, now=at(3))
    row = ledger.order(order.client_order_id)
    assert (row["exchange_order_id"], row["accepted_at"], row["event_sequence"]) == ("x-1", at(3), 1)
    assert ledger.signal(signal.signal_id)["state"] == state
    stored = ledger.row("SELECT * FROM order_events")
    assert (stored["event_type"], stored["sequence"], str(stored["order_id"])) == ("created", 1, order.id)
    assert stored["body"] == event(order).body | {"event_id": stored["body"]["event_id"]}


def test_a_change_is_one_step_order_events_and_position(ledger):
    ledger.open()
    order = ledger.add_order()
    after = replace(
        order,
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=D("0.004"),
        average_price=D("49000.5"),
        fees=D("0.1"),
        executed_at=at(2),
    )
    position = a_position(net=Leg(size=D("0.004"), average_price=D("49000.5"), fees=D("0.1")))
    events = [event(after, 1, "modified"), event(after, 2, "partially_filled")]
    with ledger.lane() as lane:
        lane.record_order(after, events=events, position=position, mark_price=D(50000))
        assert lane.open_orders() == [after]
        assert lane.origin_of(after).position == position
        assert lane.origin_of(after).event_sequence == 2
    row = ledger.row("SELECT * FROM positions")
    assert (row["size"], row["average_price"], row["mark_price"]) == (D("0.004"), D("49000.5"), 50000)
    assert ledger.events() == ["modified", "partially_filled"]


def test_a_change_that_cannot_be_stored_stores_nothing_of_itself(ledger):
    ledger.open()
    order = ledger.add_order()
    twice = event(order)
    with ledger.lane() as lane:
        with pytest.raises(DBAPIError):
            lane.record_order(
                replace(order, filled_quantity=D("0.01")),
                events=[twice, twice],  # the same event_id
                position=a_position(net=Leg(size=D("0.01"))),
            )
        assert lane.open_orders() == [order]
    assert ledger.rows("SELECT 1 FROM positions") == []
    assert ledger.events() == []


def test_a_position_without_a_new_mark_price_keeps_the_old_one(ledger):
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        lane.record_order(order, position=a_position(net=Leg(size=D(1))), mark_price=D(5))
        lane.record_order(order, position=a_position(net=Leg(size=D(2))))
    row = ledger.row("SELECT size, mark_price FROM positions")
    assert (row["size"], row["mark_price"]) == (2, 5)


def test_hedge_and_one_way_positions_of_a_symbol_are_apart(ledger):
    ledger.open()
    order = ledger.add_order(position_idx=1)
    hedged = Position(
        symbol="BTCUSDT",
        mode=PositionMode.HEDGE,
        long=Leg(size=D(2), average_price=D(5)),
        short=Leg(size=D(-1), average_price=D(6)),
    )
    with ledger.lane() as lane:
        lane.record_order(order, position=a_position(net=Leg(size=D(1), average_price=D(7))))
        lane.record_order(order, position=hedged)
        assert lane.origin_of(order).position == hedged
    assert len(ledger.rows("SELECT 1 FROM positions")) == 2


def test_an_amendment_that_shows_is_over_and_one_that_does_not_goes_on_counting(ledger):
    ledger.open()
    order = ledger.add_order(columns={"amend_quantity": D(2), "amend_price": D(50)})
    with ledger.lane() as lane:
        lane.record_order(order)
        assert ledger.order(order.client_order_id)["amend_quantity"] == 2
        request = replace(order.request, quantity=D(2), price=D(50))
        lane.record_order(replace(order, request=request))
    row = ledger.order(order.client_order_id)
    assert (row["amend_quantity"], row["amend_price"]) == (None, None)


def test_an_amendment_that_did_not_come_no_longer_counts(ledger):
    ledger.open()
    order = ledger.add_order(columns={"amend_quantity": D(2), "amend_price": D(50)})
    with ledger.lane() as lane:
        lane.end_amendment(a_signal(), order, is_applied=False)
    row = ledger.order(order.client_order_id)
    assert (row["amend_quantity"], row["amend_price"]) == (None, None)


def test_a_signal_ends_together_with_its_event(ledger):
    ledger.open()
    signal = ledger.receive()
    order = an_order()
    with ledger.lane() as lane:
        lane.finish_signal(signal, "failed", code="c", reason="r", events=[event(order)], now=at(4))
        assert lane.has_events
    row = ledger.signal(signal.signal_id)
    assert [row[name] for name in ("state", "code", "reason", "finished_at")] == ["failed", "c", "r", at(4)]
    assert ledger.events() == ["created"]


# Events


def test_events_are_told_oldest_first_until_they_are_marked(ledger):
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        for number in range(1, 4):
            lane.record_order(order, events=[event(order, number)])
        rows = lane.unpublished(limit=10)
        assert [one.sequence for _, one in rows] == [1, 2, 3]
        lane.mark_published([rows[0][0]])
        assert [one.sequence for _, one in lane.unpublished(limit=10)] == [2, 3]
        assert len(lane.unpublished(limit=1)) == 1
    with ledger.lane() as successor:
        rows = successor.unpublished(limit=10)
        assert [one.sequence for _, one in rows] == [2, 3]
        assert rows[0][1] == event(order, 2) or rows[0][1].body["order"] == event(order, 2).body["order"]


def test_events_that_could_not_be_published_are_told_again(ledger):
    """Asked, and not marked: the broker was away. They still come before newer ones."""
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        lane.record_order(order, events=[event(order, 1)])
    with ledger.lane() as lane:
        assert [one.sequence for _, one in lane.unpublished(limit=10)] == [1]
        lane.record_order(order, events=[event(order, 2)])
        assert [one.sequence for _, one in lane.unpublished(limit=10)] == [1, 2]


def test_a_page_that_was_full_is_not_the_end(ledger):
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        for number in range(1, 6):
            lane.record_order(order, events=[event(order, number)])
    seen = []
    with ledger.lane() as lane:
        while rows := lane.unpublished(limit=2):
            seen += [one.sequence for _, one in rows]
            lane.mark_published([number for number, _ in rows])
    assert seen == [1, 2, 3, 4, 5]


# Waiting for the exchange


def test_a_block_remembers_since_when_and_an_unblock_forgets(ledger):
    ledger.open()
    with ledger.lane() as lane:
        lane.block(until=at(1), reason="first", now=at(0))
        lane.block(until=at(5), reason="second", now=at(4))
    row = ledger.row("SELECT retry_at, blocked_since, blocked_reason FROM lanes")
    assert row == {"retry_at": at(5), "blocked_since": at(0), "blocked_reason": "second"}
    with ledger.lane() as lane:
        assert lane.retry_at == at(5)
        lane.unblock()
    with ledger.lane() as lane:
        assert lane.retry_at is None


# The balance


def balance(ledger):
    return ledger.row("SELECT available_balance, balance_at, reserved FROM account_state")


def test_a_balance_reserves_what_it_cannot_know_of(ledger):
    """Planned after the question, or not yet seen by the exchange; not what only reduces, not dry runs."""
    ledger.open()
    old, new = NOW - timedelta(minutes=1), at(1)
    orders = [
        {"created_at": old},  # the exchange's answer has it
        {"created_at": old, "exchange_order_id": None},  # in flight: 0.01 * 49000
        {"created_at": new},  # 490
        {"created_at": new, "reduce_only": True},
        {"created_at": new, "is_dry_run": True, "status": OrderStatus.DRY_RUN},
        {"created_at": new, "price": None, "reference_price": 50000},  # 500
    ]
    for number, changes in enumerate(orders):
        ledger.add_order(id=OTHER[:-1] + str(number), client_order_id=f"o-{number}", **changes)
    with ledger.lane() as lane:
        lane.save_balance(D(1000), asked_at=NOW)
        assert lane.balance_at == NOW
    assert balance(ledger) == {"available_balance": 1000, "balance_at": NOW, "reserved": 1480}


def test_an_older_answer_never_replaces_a_newer_one(ledger):
    ledger.open()
    with ledger.lane() as lane:
        lane.save_balance(D(1000), asked_at=at(5))
        lane.save_balance(D(9), asked_at=at(4))
    assert balance(ledger)["available_balance"] == 1000


def test_a_lane_knows_how_old_the_balance_is_when_it_is_taken(ledger):
    ledger.open()
    with ledger.lane() as lane:
        assert lane.balance_at is None
        lane.save_balance(D(1), asked_at=at(5))
    with ledger.lane() as lane:
        assert lane.balance_at == at(5)


def test_the_lock_is_held_while_the_holder_only_waits(ledger, other_store):
    ledger.open()
    with ledger.lane():
        time.sleep(0.1)
        with other_store.take_for_upkeep("BTCUSDT") as theirs:
            assert theirs is None


money = st.decimals(min_value="1e-18", max_value="99999999999999999999", places=18)


@settings(settings.get_profile("database"))
@given(money, money | st.none(), st.text("abc-é☃", max_size=9) | st.none())
def test_any_order_comes_back_as_it_went(ledger, quantity, price, reason):
    ledger.execute("DELETE FROM orders")
    ledger.open()
    order = ledger.add_order(
        quantity=quantity, price=price, average_price=price, fees=-quantity, reason=reason, created_at=at(0.5)
    )
    with ledger.lane() as lane:
        assert lane.open_orders() == [order]
        lane.record_order(order)
        assert lane.open_orders() == [order]
