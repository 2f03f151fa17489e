"""Applying what the exchange told: late, twice and out of order, it ends in the same rows."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_manager.database.updates import UpdateStore
from order_manager.domain.identity import client_order_id
from order_manager.domain.orders import OrderStatus
from order_manager.domain.positions import Fill, PositionMode
from order_manager.errors import LaneLost, OutcomeUnknown
from order_manager.services import apply_updates as applying
from order_manager.services.apply_updates import apply_updates
from tests.builders import a_limit_signal, a_position_report, a_report, an_execution, at
from tests.domain.test_reconciling_properties import histories

OURS = "om-test-1-0"


def tell(room, *updates):
    return UpdateStore(room.ledger.engine).store(updates, source="stream", received_at=room.clock())


def applied(room):
    with room.lane() as lane:
        return apply_updates(lane, room.desk)


def wants_comparison(room):
    return room.ledger.row("SELECT reconcile_requested_at FROM lanes")["reconcile_requested_at"] is not None


def filled(quantity="0.01", **changes):
    is_done = D(quantity) == D("0.01")
    status = OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
    return a_report(**{"status": status, "filled_quantity": quantity, "average_price": 49000, **changes})


# However they arrive


def executions_of(history):
    """One execution for each growth of the filled quantity."""
    told, before = [], None
    for number, report in enumerate(history):
        known, value = (before.filled_quantity, before.average_price or 0) if before else (D(0), 0)
        growth = report.filled_quantity - known
        if growth > 0:
            price = (report.filled_quantity * report.average_price - known * value) / growth
            fill = Fill(side=report.side, quantity=growth, price=round(price, 12))
            told.append(
                replace(an_execution(exec_id=f"exec-{number}", executed_at=report.updated_at), fill=fill)
            )
        before = report
    return told


def outcome(room, chunks, *, quantity):
    """What the tables say after an order in flight heard these updates."""
    room.ledger.empty()
    room.ledger.open()
    room.ledger.add_order(exchange_order_id=None, quantity=quantity)
    for chunk in chunks:
        if chunk:
            tell(room, *chunk)
            applied(room)
    assert room.exchange.calls == []
    own = {"id", "created_at", "updated_at", "event_sequence"}
    order = {name: value for name, value in room.ledger.order(OURS).items() if name not in own}
    positions = room.ledger.rows("SELECT size, round(average_price, 9), realized_pnl, fees FROM positions")
    executions = room.ledger.rows("SELECT exec_id, quantity, price FROM executions ORDER BY exec_id")
    if room.ledger.rows("SELECT 1 FROM executions WHERE order_id IS NULL"):
        assert wants_comparison(room), "which finds the order of a fill that was told before it"
    order["announced"] = set(order["announced"])
    sequences = [row["sequence"] for row in room.ledger.rows("SELECT sequence FROM order_events ORDER BY id")]
    assert sequences == list(range(1, len(sequences) + 1))
    assert room.ledger.rows("SELECT 1 FROM exchange_updates") == []
    return order, positions, executions, set(room.ledger.events())


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories() | histories(race=True), st.integers(0, 2**32))
def test_any_shuffle_with_repeats_of_an_orders_updates_ends_in_the_same_rows(room, history, seed):
    chance = random.Random(seed)
    told = [*history, *executions_of(history)]
    arrival = [*told, *chance.choices(told, k=4)]
    chance.shuffle(arrival)
    cuts = sorted(chance.choices(range(len(arrival) + 1), k=2))
    chunks = [arrival[: cuts[0]], arrival[cuts[0] : cuts[1]], arrival[cuts[1] :]]
    room.exchange.calls.clear()
    wanted, found = (outcome(room, way, quantity=history[0].quantity) for way in ([told], chunks))
    if history[-1].status is OrderStatus.FILLED:  # whether a cancel is told that lost its race
        for row, *_, events in (wanted, found):
            row["announced"].discard("cancelled")
            events.discard("cancelled")
    assert found == wanted


# One kind after another


def test_a_report_moves_the_order_and_its_position_and_tells_of_it(room):
    room.resting()
    tell(room, filled("0.004"), filled())
    assert applied(room) == 2
    assert room.ledger.events() == ["partially_filled", "filled"]
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")
    assert room.exchange.calls == []
    assert not wants_comparison(room)


def test_the_report_before_the_answer_to_the_create_is_the_orders_own(room):
    """A holder died between the request and its answer; the stream knew first."""
    signal = a_limit_signal()
    room.ledger.inbox.receive(signal, "{}")
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    name = client_order_id(signal.signal_id, attempt=1, slice_number=0)
    room.exchange.hide(name)
    room.work()
    room.clock.advance(2)
    tell(room, room.exchange.reports[name])
    assert room.work() == 1
    assert room.exchange.count("place_order") == 1
    assert room.publisher.types == ["created"]
    assert room.state(signal)[0] == "executed"
    assert not room.ledger.order(name)["is_external"]


def test_a_late_report_after_the_end_changes_nothing(room):
    room.resting()
    tell(room, filled(updated_at=at(5)))
    applied(room)
    before = room.ledger.order(OURS)
    tell(room, a_report(), a_report(status=OrderStatus.CANCELLED, updated_at=at(9), filled_quantity="0.004"))
    applied(room)
    after = room.ledger.order(OURS)
    assert (after["status"], after["filled_quantity"]) == ("filled", D("0.01"))
    assert before["fees"] == after["fees"]
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")


def test_an_order_that_we_did_not_place_is_recorded_as_external(room):
    tell(room, filled(client_order_id="", exchange_order_id="x-9"), filled(exchange_order_id="x-9"))
    applied(room)
    row = room.ledger.row("SELECT * FROM orders")
    assert (row["client_order_id"], row["signal_id"], row["is_external"]) == ("ext-x-9", None, True)
    assert room.ledger.events() == ["created", "filled"]
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")


def test_another_order_under_a_name_of_ours_is_another_order(room):
    room.resting()
    tell(room, filled(exchange_order_id="x-9"))
    applied(room)
    assert room.ledger.order(OURS)["status"] == "pending"
    assert room.ledger.order("ext-x-9")["status"] == "filled"


def test_a_conditional_order_without_a_quantity_is_no_order_before_it_fills(room):
    """It closes whatever is held by then; the exchange shows zero until that moment."""
    conditional = a_report(exchange_order_id="x-9", client_order_id="", quantity=0, price=None)
    tell(room, conditional, a_position_report(size=0))
    assert applied(room) == 2
    assert room.ledger.rows("SELECT 1 FROM orders") == []
    tell(room, replace(conditional, status=OrderStatus.FILLED, filled_quantity=D("0.01"), average_price=D(9)))
    applied(room)
    assert room.ledger.row("SELECT quantity FROM orders")["quantity"] == D("0.01")
    assert room.ledger.rows("SELECT 1 FROM dead_letters") == []


def test_executions_that_tell_of_more_than_the_order_ask_for_a_comparison(room):
    room.resting()
    tell(room, an_execution(quantity="0.004"))
    applied(room)
    assert wants_comparison(room)
    assert room.ledger.order(OURS)["filled_quantity"] == 0, "a fill moves the order by its report alone"


def test_executions_beside_their_report_ask_for_nothing(room):
    room.resting()
    tell(room, an_execution(), an_execution(), filled())
    applied(room)
    assert not wants_comparison(room)
    assert room.ledger.row("SELECT count(*) AS n FROM executions WHERE order_id IS NOT NULL")["n"] == 1


@pytest.mark.parametrize(
    ("reports", "is_asked"),
    [
        ([a_position_report()], False),
        ([a_position_report(size="0.02")], True),
        ([a_position_report(size="0.02"), a_position_report()], False),  # the last word counts
        ([a_position_report(), a_position_report(position_idx=1, size=0)], False),
        ([a_position_report(size=0), a_position_report(position_idx=1)], True),
    ],
)
def test_a_position_that_is_not_ours_asks_for_a_comparison(room, reports, is_asked):
    room.resting()
    tell(room, filled(), *reports)
    applied(room)
    assert wants_comparison(room) is is_asked


def test_a_position_brings_its_mark_price(room):
    room.resting()
    tell(room, filled(), a_position_report(mark_price=50001), a_position_report(mark_price=None))
    applied(room)
    assert room.ledger.row("SELECT mark_price FROM positions")["mark_price"] == 50001


def test_a_hedged_fill_moves_its_own_leg(room):
    room.ledger.inbox.save_position_mode("BTCUSDT", PositionMode.HEDGE)
    room.resting(position_idx=2)
    tell(room, filled(position_idx=2))
    applied(room)
    assert room.ledger.row("SELECT short_size, mode FROM positions") == {
        "short_size": D("0.01"),
        "mode": "hedge",
    }


# The lane


def test_updates_are_applied_and_told_while_the_lane_is_blocked(room):
    room.resting()
    with room.lane() as lane:
        lane.block(until=room.clock() + timedelta(minutes=5), reason="x", now=room.clock())
    tell(room, filled())
    assert room.work() == 0
    assert room.publisher.types == ["filled"]
    assert room.exchange.calls == []


def test_more_updates_than_a_page_are_all_applied(room, monkeypatch):
    monkeypatch.setattr(applying, "PAGE", 2)
    room.resting()
    tell(room, *(filled(f"0.00{number}", updated_at=at(number)) for number in (1, 2, 3, 4, 5)))
    assert applied(room) == 5
    assert room.ledger.order(OURS)["filled_quantity"] == D("0.005")
    assert room.ledger.rows("SELECT 1 FROM exchange_updates") == []


def test_one_that_cannot_be_applied_is_set_aside_and_the_others_are_not(room):
    room.resting()
    bad = a_report(exchange_order_id="x" * 65, client_order_id="bad")
    tell(room, filled("0.004"), bad, filled())
    assert applied(room) == 3
    letter = room.ledger.row("SELECT code, reason FROM dead_letters")
    assert letter["code"] == "update_not_applied"
    assert "too long" in letter["reason"]
    assert room.ledger.order(OURS)["status"] == "filled"
    assert room.ledger.rows("SELECT 1 FROM exchange_updates") == []


def test_one_that_was_stored_in_a_shape_we_do_not_know_is_set_aside_and_the_symbol_compared(room):
    room.resting()
    tell(room, filled("0.004"))
    room.ledger.execute("UPDATE exchange_updates SET body = '{}'::jsonb")
    tell(room, filled())
    assert applied(room) == 1
    assert room.ledger.row("SELECT code FROM dead_letters")["code"] == "update_not_applied"
    assert room.ledger.order(OURS)["status"] == "filled"
    assert room.ledger.row("SELECT reconcile_requested_at IS NOT NULL AS is_due FROM lanes")["is_due"]


def test_a_lane_that_is_lost_half_way_sets_nothing_aside(room):
    """Its successor finds every update, and applies them again."""
    room.resting()
    tell(room, filled("0.004"), filled())
    with pytest.raises(LaneLost), room.lane() as lane:  # noqa: PT012 - told on leaving
        room.desk = replace(room.desk, last_market=lambda symbol: room.ledger.end_session(lane))
        apply_updates(lane, room.desk)
    assert room.ledger.rows("SELECT 1 FROM dead_letters") == []
    assert len(room.ledger.rows("SELECT 1 FROM exchange_updates")) == 2
    room.desk = replace(room.desk, last_market=lambda symbol: None)
    assert applied(room) == 2
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")


def test_a_database_that_does_not_answer_in_time_is_no_updates_fault(room):
    room.resting()
    tell(room, filled())
    with room.ledger.engine.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql("SELECT 1 FROM orders FOR UPDATE")
        with pytest.raises(LaneLost), room.lane() as lane:  # noqa: PT012 - told on leaving
            lane._connection.exec_driver_sql("SET lock_timeout = 50")
            apply_updates(lane, room.desk)
        other.exec_driver_sql("ROLLBACK")
    room.ledger.engine.dispose()  # and with it the short patience
    assert room.ledger.rows("SELECT 1 FROM dead_letters") == []
    assert len(room.ledger.rows("SELECT 1 FROM exchange_updates")) == 1
