"""What a lane keeps beside signals: others' orders, fills, corrections, and requests to compare."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from sqlalchemy.exc import DBAPIError

from order_manager.database.updates import UpdateStore
from order_manager.domain.events import position_event, position_json
from order_manager.domain.orders import OrderStatus, Side
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.domain.validating import LegDifference
from tests.builders import NOW, a_position, an_execution, an_order, at, holding

NUMBERS = "11111111-2222-4333-8444-00000000000"


@pytest.fixture
def lane(ledger):
    ledger.open()
    with ledger.lane() as lane:
        yield lane


def add(ledger, number, **changes):
    """One more order: order-<number>, exchange-<number>."""
    names = {"client_order_id": f"order-{number}", "exchange_order_id": f"exchange-{number}"}
    return ledger.add_order(id=f"{NUMBERS}{number}", **{**names, **changes})


def filled(ledger, number, quantity="0.01", **changes):
    return add(ledger, number, status=OrderStatus.FILLED, filled_quantity=quantity, **changes)


def fill(number, quantity="0.01", *, exec_id=None, **changes):
    name = exec_id or f"exec-{number}-{quantity}"
    return an_execution(exec_id=name, exchange_order_id=f"exchange-{number}", quantity=quantity, **changes)


# Orders


def test_orders_are_found_by_either_name_ended_ones_too_and_of_this_symbol_alone(ledger, lane):
    first = add(ledger, 1, status=OrderStatus.CANCELLED)
    second = add(ledger, 2, exchange_order_id=None)
    add(ledger, 3)
    add(ledger, 4, symbol="ETHUSDT")
    found = lane.find_orders(
        exchange_order_ids=["exchange-1", "exchange-4"], client_order_ids=["order-1", "order-2", "order-4"]
    )
    assert sorted(found, key=lambda order: order.id) == [first, second]
    assert lane.find_orders() == []


def test_an_adopted_order_is_external_and_keeps_its_name(ledger, lane):
    order = an_order(signal_id=None, client_order_id="theirs")
    assert lane.adopt(order, spare_id="ext-1") == order
    assert ledger.order("theirs")["is_external"]
    assert lane.open_orders() == [order]


def test_an_adopted_order_whose_name_is_taken_goes_by_another(ledger, lane):
    add(ledger, 1, client_order_id="taken", symbol="ETHUSDT")
    order = an_order(signal_id=None, client_order_id="taken")
    adopted = lane.adopt(order, spare_id="ext-exchange-1")
    assert adopted.client_order_id == "ext-exchange-1"
    assert replace(adopted, request=order.request) == order


# Executions


def booked(ledger):
    return ledger.rows("SELECT exec_id, order_id, quantity, fee FROM executions ORDER BY exec_id")


def test_an_execution_is_kept_once_however_often_it_is_told(ledger, lane):
    order = filled(ledger, 1)
    execution = fill(1, fee="-0.000000000000000001")
    assert lane.book_executions([execution, execution]) == []
    assert lane.book_executions([execution]) == []
    [row] = booked(ledger)
    assert (str(row["order_id"]), row["quantity"], row["fee"]) == (order.id, D("0.01"), D("-1e-18"))
    assert lane.book_executions([]) == []


def test_an_execution_gets_its_order_when_that_becomes_known(ledger, lane):
    execution = fill(1)
    assert lane.book_executions([execution]) == ["exchange-1"]
    assert lane.executions_without_order(9) == []  # long ago by the exchange's clock
    assert booked(ledger)[0]["order_id"] is None
    order = filled(ledger, 1)
    assert lane.book_executions([execution]) == []
    assert str(booked(ledger)[0]["order_id"]) == order.id


def test_only_an_order_that_traded_more_than_we_know_is_behind(ledger, lane):
    add(ledger, 1, status=OrderStatus.PARTIALLY_FILLED, filled_quantity="0.004")
    filled(ledger, 2)
    told = [fill(1, "0.003"), fill(1, "0.001"), fill(2, "0.004")]
    assert lane.book_executions(told) == []
    assert lane.book_executions([fill(1, "0.002"), fill(2, "0.006")]) == ["exchange-1"]


def test_what_only_books_money_is_kept_and_fills_nothing(ledger, lane):
    assert lane.book_executions([fill(1, exec_type="Funding")]) == []
    assert len(booked(ledger)) == 1


def test_recent_fills_without_an_order_are_told_once_each(ledger, lane):
    now = ledger.row("SELECT now() AS now")["now"]
    filled(ledger, 1)
    executions = [fill(1), fill(2), fill(2, "0.02"), fill(3, exec_type="Funding"), fill(4, symbol="ETHUSDT")]
    lane.book_executions([replace(one, executed_at=now) for one in executions])
    lane.book_executions([replace(fill(5), executed_at=now - timedelta(days=3))])
    assert lane.executions_without_order(9) == ["exchange-2"]


# Positions


def differs(idx, before, size, price=None):
    return LegDifference(
        position_idx=idx, stored=before, size=D(size), average_price=None if price is None else D(price)
    )


def correct(lane, position, difference, *, source="exchange", events=()):
    lane.correct_leg(position, difference, source=source, reason="because", events=events)


def test_a_correction_is_one_step_position_reason_and_event(ledger, lane):
    after = holding(3, 110)
    event = position_event(
        "position_discrepancy", position_json(after, mark_price=None), details={}, trace_id="", now=NOW
    )
    correct(lane, after, differs(0, Leg(size=D(2), average_price=D(100)), 3, 110), events=[event])
    assert lane.stored_positions() == [after]
    row = ledger.row("SELECT * FROM position_adjustments")
    assert (row["asset"], row["mode"], row["position_idx"]) == ("BTCUSDT", "one_way", 0)
    assert (row["size_before"], row["size_after"]) == (2, 3)
    assert (row["average_price_before"], row["average_price_after"]) == (100, 110)
    assert (row["source"], row["reason"]) == ("exchange", "because")
    assert [told for _, told in lane.unpublished(limit=9)] == [event]
    with pytest.raises(DBAPIError):  # an event twice: all or nothing
        correct(lane, holding(4, 120), differs(0, after.net, 4, 120), events=[event])
    assert lane.stored_positions() == [after]
    assert len(ledger.rows("SELECT 1 FROM position_adjustments")) == 1


def test_positions_of_both_modes_are_told_and_marked(ledger, lane):
    hedged = Position(symbol="BTCUSDT", mode=PositionMode.HEDGE, short=Leg(size=D(-1), average_price=D(90)))
    correct(lane, holding(2, 100), differs(0, Leg(), 2, 100))
    correct(lane, hedged, differs(2, Leg(), -1, 90))
    for mark, stored in [(D(95), 95), (None, 95)]:
        found = lane.marked_positions(mark)
        assert {position.mode: position for position in found} == {
            PositionMode.ONE_WAY: holding(2, 100),
            PositionMode.HEDGE: hedged,
        }
        assert {row["mark_price"] for row in ledger.rows("SELECT mark_price FROM positions")} == {stored}


def test_the_accounts_position_mode_is_followed(ledger, lane):
    lane.save_position_mode(PositionMode.HEDGE)
    assert ledger.row("SELECT position_mode FROM lanes")["position_mode"] == "hedge"


# Recounting


def sizes(lane, base_coin=""):
    recount = lane.recount(base_coin)
    return dict(recount.sizes), recount.incomplete


def test_a_recount_adds_up_the_fills_of_each_leg(ledger, lane):
    filled(ledger, 1)
    filled(ledger, 2, "0.004", side=Side.SELL)
    filled(ledger, 3, position_idx=2, side=Side.SELL)
    filled(ledger, 4, symbol="ETHUSDT")
    add(ledger, 5)
    lane.book_executions([fill(1, "0.006"), fill(1, "0.004"), fill(2, "0.004"), fill(3), fill(4)])
    lane.book_executions([fill(1, "9", exec_type="Funding")])
    assert sizes(lane) == ({0: D("0.006"), 2: D("-0.01")}, 0)


def test_fees_in_the_coin_itself_are_not_held_on_spot(ledger, lane):
    filled(ledger, 1)
    lane.book_executions([fill(1, fee="0.00001", fee_currency="BTC")])
    assert sizes(lane, "BTC") == ({0: D("0.00999")}, 0)
    assert sizes(lane) == ({0: D("0.01")}, 0)


def test_what_the_exchange_showed_counts_and_what_the_fills_came_to_does_not(ledger, lane):
    filled(ledger, 1)
    lane.book_executions([fill(1)])
    correct(lane, holding(3), differs(0, Leg(size=D(1)), 3))
    correct(lane, holding(9), differs(0, Leg(size=D(3)), 9), source="fills")
    assert sizes(lane) == ({0: D("2.01")}, 0)


def test_an_order_whose_executions_do_not_add_up_makes_the_recount_incomplete(ledger, lane):
    missing = [filled(ledger, 1, updated_at=at(1)), filled(ledger, 2, updated_at=at(2))]
    filled(ledger, 3)
    lane.book_executions([fill(1, "0.004"), fill(3)])
    assert sizes(lane)[1] == 2
    assert {order.id for order in lane.orders_without_all_executions(9)} == {order.id for order in missing}
    assert len(lane.orders_without_all_executions(1)) == 1
    lane.book_executions([fill(1, "0.006"), fill(2)])
    assert (sizes(lane)[1], lane.orders_without_all_executions(9)) == (0, [])


# Requests


def test_cancels_are_remembered_with_their_reason(ledger, lane):
    order = add(ledger, 1)
    add(ledger, 2)
    lane.request_cancels([order], reason="stale", now=at(9))
    row = ledger.order("order-1")
    assert (row["cancel_requested_at"], row["reason"], row["updated_at"]) == (at(9), "stale", at(9))
    assert ledger.order("order-2")["cancel_requested_at"] is None


def state(ledger):
    return ledger.row(
        "SELECT reconcile_requested_at, validate_requested_at, reconciled_orders, corrected_orders,"
        " discrepancies, reconcile_error FROM lanes"
    )


def finish(lane):
    lane.finish_reconciliation(seen=5, corrected=2, discrepancies=1)


def test_a_finished_comparison_answers_the_requests_that_its_holder_knew(ledger):
    ledger.open()
    UpdateStore(ledger.engine).request_reconciliation(validate=True, must=True)
    with ledger.lane() as lane:
        lane.fail_reconciliation("away" * 200)
        assert state(ledger)["reconcile_error"] == ("away" * 200)[:500]
        assert state(ledger)["reconcile_requested_at"] is not None
        finish(lane)
        assert (lane.reconcile_requested_at, lane.validate_requested_at) == (None, None)
    assert state(ledger) == {
        "reconcile_requested_at": None,
        "validate_requested_at": None,
        "reconciled_orders": 5,
        "corrected_orders": 2,
        "discrepancies": 1,
        "reconcile_error": None,
    }


@pytest.mark.parametrize("was_requested", [True, False])
def test_a_request_that_came_during_a_comparison_asks_for_the_next(ledger, was_requested):
    ledger.open()
    store = UpdateStore(ledger.engine)
    if was_requested:
        store.request_reconciliation()
    with ledger.lane() as lane:
        store.request_reconciliation(validate=True)
        finish(lane)
    assert lane.is_work_left
    row = state(ledger)
    assert row["reconcile_requested_at"] is not None
    assert row["validate_requested_at"] is not None


def test_executions_are_known_until_the_last_complete_comparison(ledger, lane):
    assert lane.executions_known_until() == ledger.row("SELECT opened_at FROM lanes")["opened_at"]
    lane.request_reconciliation()
    asked_at = lane.reconcile_requested_at
    lane.book_executions([replace(fill(1), executed_at=asked_at + timedelta(hours=1))])
    finish(lane)
    assert lane.executions_known_until() == asked_at
    lane.request_reconciliation()
    lane.fail_reconciliation("away")
    assert lane.executions_known_until() == asked_at


def test_a_holder_can_ask_itself(ledger, lane):
    lane.request_reconciliation()
    assert lane.reconcile_requested_at == state(ledger)["reconcile_requested_at"] is not None
    finish(lane)
    assert state(ledger)["reconcile_requested_at"] is None


def test_a_flat_symbol_has_no_position(lane):
    assert lane.stored_positions() == lane.marked_positions(D(1)) == []
    assert sizes(lane) == ({}, 0)
    assert a_position().legs == {0: Leg()}
