"""Settling: what we recorded of open orders follows the exchange's evidence, and only that."""

from decimal import Decimal as D

import pytest

from order_manager.domain.orders import OrderStatus
from order_manager.domain.positions import PositionMode
from order_manager.errors import OutcomeUnknown, Refused, Unavailable
from order_manager.services.settle_orders import confirm_cancel
from tests.builders import an_order


def in_flight(room, **changes):
    """An order that may have been sent: nobody has heard of it yet."""
    return room.ledger.add_order(
        **{"exchange_order_id": None, "intended_at": room.clock(), "signal_id": "earlier", **changes}
    )


def test_nothing_open_means_nothing_is_asked(room):
    room.ledger.add_order(status=OrderStatus.FILLED, filled_quantity=D("0.01"))
    assert room.settle() == 0
    assert room.exchange.calls == []


def test_an_order_in_flight_that_the_exchange_has_is_adopted(room):
    order = in_flight(room)
    room.exchange.take(order.request)
    assert room.settle() == 1
    stored = room.ledger.order(order.client_order_id)
    assert stored["exchange_order_id"] == room.exchange.reports[order.client_order_id].exchange_order_id
    assert room.ledger.events() == ["created"]


def test_an_order_that_did_not_change_is_left_alone(room):
    room.resting()
    room.settle()
    before = room.ledger.order("om-test-1-0")
    assert room.settle() == 0
    assert room.ledger.order("om-test-1-0") == before


def test_absence_too_early_is_no_evidence(room):
    order = in_flight(room)
    room.clock.advance(6.9)
    with pytest.raises(OutcomeUnknown):
        room.settle()
    assert room.ledger.order(order.client_order_id)["intended_at"] is not None


def test_absence_after_the_receive_window_and_the_margin_proves_that_it_was_never_accepted(room):
    order = in_flight(room)
    room.clock.advance(7.1)
    assert room.settle() == 1
    stored = room.ledger.order(order.client_order_id)
    assert (stored["intended_at"], stored["status"]) == (None, "pending")
    assert room.settle() == 0
    assert room.exchange.count("evidence") == 1


def test_an_acknowledged_order_that_does_not_show_stays_as_it_is(room):
    order = room.ledger.add_order()
    room.clock.advance(3600)
    assert room.settle() == 0
    assert room.ledger.order(order.client_order_id)["status"] == "pending"


def test_an_unknown_fate_stops_everything_behind_it(room):
    in_flight(room, created_at=room.clock())
    later = room.resting(
        id="11111111-2222-4333-8444-000000000001", client_order_id="later", created_at=room.clock()
    )
    room.exchange.fill(later.client_order_id, D("0.01"))
    with pytest.raises(OutcomeUnknown):
        room.settle()


def test_an_exchange_that_is_away_is_no_evidence(room):
    order = in_flight(room)
    room.clock.advance(3600)
    room.exchange.trouble("evidence", Unavailable("away"))
    with pytest.raises(Unavailable):
        room.settle()
    assert room.ledger.order(order.client_order_id)["intended_at"] is not None


def test_a_fill_moves_the_order_the_position_and_one_event_together(room):
    room.resting()
    room.exchange.fill("om-test-1-0", D("0.004"))
    assert room.settle() == 1
    stored = room.ledger.order("om-test-1-0")
    assert (stored["status"], stored["filled_quantity"]) == ("partially_filled", D("0.004"))
    position = room.ledger.row("SELECT * FROM positions")
    assert (position["size"], position["average_price"], position["mode"]) == (D("0.004"), 49000, "one_way")
    assert position["mark_price"] == 49000
    assert position["fees"] == D("0.004") * 49000 * D("0.00055")
    event = room.ledger.row("SELECT * FROM order_events")
    assert event["event_type"] == "partially_filled"
    assert event["body"]["execution_details"]["last_fill"]["quantity"] == "0.004"
    assert event["body"]["execution_details"]["remaining_quantity"] == "0.006"
    assert event["body"]["execution_details"]["fill_percentage"] == "40"


def test_the_same_report_again_counts_no_fill_twice(room):
    room.resting()
    room.exchange.fill("om-test-1-0", D("0.004"))
    for _ in range(3):
        room.settle()
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.004")
    assert room.ledger.events() == ["partially_filled"]


@pytest.mark.parametrize(("idx", "column"), [(1, "long_size"), (2, "short_size")])
def test_a_hedge_order_s_fill_moves_its_own_leg(room, idx, column):
    room.ledger.inbox.save_position_mode("BTCUSDT", PositionMode.HEDGE)
    room.resting(position_idx=idx)
    room.exchange.fill("om-test-1-0", D("0.01"))
    room.settle()
    position = room.ledger.row("SELECT * FROM positions")
    assert position["mode"] == "hedge"
    assert (position[column], position["size"]) == (D("0.01"), 0)


def test_fills_of_several_orders_add_up_in_one_position(room):
    room.resting()
    room.resting(id="11111111-2222-4333-8444-000000000001", client_order_id="b", exchange_order_id="x-b")
    room.exchange.fill("om-test-1-0", D("0.01"), price=D(49000))
    room.exchange.fill("b", D("0.01"), price=D(48000))
    assert room.settle() == 2
    position = room.ledger.row("SELECT * FROM positions")
    assert (position["size"], position["average_price"]) == (D("0.02"), 48500)


def test_a_change_of_terms_is_told_with_before_and_after(room):
    room.resting()
    room.exchange.amend_order("BTCUSDT", "om-test-1-0", quantity=D("0.02"), price=D(48000))
    room.settle()
    event = room.ledger.row("SELECT * FROM order_events")
    assert event["event_type"] == "modified"
    assert event["body"]["modification"] == {
        "before": {"quantity": "0.01", "price": "49000"},
        "after": {"quantity": "0.02", "price": "48000"},
    }


def test_an_order_that_the_exchange_ended_says_why(room):
    room.resting()
    room.exchange.end("om-test-1-0", reason="CancelByAdmin")
    room.settle()
    event = room.ledger.row("SELECT * FROM order_events")
    assert (event["event_type"], event["body"]["rejection_reason"]) == ("cancelled", "CancelByAdmin")


def wanted_cancelled(room, **changes):
    return room.resting(**{"cancel_requested_at": room.clock(), "reason": "superseded", **changes})


def test_a_cancel_that_a_dead_holder_began_is_gone_on_with(room):
    order = wanted_cancelled(room)
    assert room.settle() == 1
    assert room.exchange.count("cancel_order") == 1
    stored = room.ledger.order(order.client_order_id)
    assert (stored["status"], stored["reason"]) == ("cancelled", "superseded")


def test_a_begun_cancel_that_the_exchange_refuses_is_given_up(room):
    order = wanted_cancelled(room)
    room.exchange.trouble("cancel_order", Refused("not now", ret_code=110999))
    room.settle()
    stored = room.ledger.order(order.client_order_id)
    assert (stored["status"], stored["cancel_requested_at"]) == ("pending", None)
    room.settle()
    assert room.exchange.count("cancel_order") == 1


def cancel(room, order):
    with room.lane() as lane:
        return confirm_cancel(lane, order, room.desk)


def test_a_cancel_ends_when_the_exchange_shows_the_end(room):
    order = room.resting()
    assert cancel(room, order).status is OrderStatus.CANCELLED


def test_an_order_that_filled_before_its_cancel_arrived_is_filled(room):
    order = room.resting()
    room.exchange.before("cancel_order", lambda: room.exchange.fill(order.client_order_id, D("0.01")))
    assert cancel(room, order).status is OrderStatus.FILLED
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")


def test_a_cancel_whose_answer_was_lost_is_looked_for(room):
    order = room.resting()
    room.exchange.trouble("cancel_order", OutcomeUnknown("lost"), applied=True)
    assert cancel(room, order).status is OrderStatus.CANCELLED


def test_a_cancel_that_does_not_show_in_time_is_unknown_and_can_be_repeated(room):
    order = room.resting()
    room.exchange.trouble("cancel_order", OutcomeUnknown("lost"))
    started = room.clock()
    with pytest.raises(OutcomeUnknown):
        cancel(room, order)
    assert room.exchange.count("evidence") == 20
    assert 2 < (room.clock() - started).total_seconds() < 10
    assert cancel(room, order).status is OrderStatus.CANCELLED


def test_a_cancel_waits_for_lag(room):
    order = room.resting()
    room.exchange.hide(order.client_order_id)
    room.exchange.before(
        "evidence",
        lambda: room.exchange.before("evidence", lambda: room.exchange.show(order.client_order_id)),
    )
    assert cancel(room, order).status is OrderStatus.CANCELLED
    assert room.exchange.count("evidence") == 2


def test_a_cancel_of_an_order_that_is_proven_absent_is_done(room):
    order = in_flight(room)
    room.clock.advance(8)
    ended = cancel(room, order)
    assert ended.is_in_flight
    assert ended.intended_at is None


def test_a_refused_cancel_is_told(room):
    order = room.resting()
    room.exchange.trouble("cancel_order", Refused("no"))
    with pytest.raises(Refused):
        cancel(room, order)


def test_an_order_of_nobody_s_signal_can_be_settled(room):
    """Placed by a person: it has no signal, and its events none either."""
    room.resting(signal_id=None)
    room.exchange.fill("om-test-1-0", D("0.01"))
    assert room.settle() == 1
    event = room.ledger.row("SELECT * FROM order_events")
    assert (event["signal_id"], event["body"]["signal"], event["trace_id"]) == (None, None, "")


def test_the_builders_order_is_what_the_exchange_took(room):
    order = room.resting()
    report = room.exchange.reports[order.client_order_id]
    assert report.quantity == an_order().request.quantity
