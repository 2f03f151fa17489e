"""Stale orders: what rests for too long is cancelled, and a fill that came first stays a fill."""

from decimal import Decimal as D

import pytest

from order_manager.database.updates import UpdateStore
from order_manager.errors import AccessDenied, OrderNotFound, OutcomeUnknown, Refused, Unavailable
from order_manager.services.run_lane import run_cancel_stale

OURS = "om-test-1-0"


@pytest.fixture
def rested(room):
    """Makes an order that has rested for an hour and a second."""
    numbers = iter(range(9))

    def make(name=OURS, **changes):
        number = next(numbers)
        more = {"id": f"11111111-2222-4333-8444-00000000000{number}", "exchange_order_id": f"x-{number}"}
        begun = room.clock()
        order = room.resting(client_order_id=name, created_at=begun, **{**more, **changes})
        room.clock.advance(3601)
        return order

    return make


def cancel_stale(room):
    return run_cancel_stale("BTCUSDT", lanes=room.ledger.lanes, desk=room.desk, wake=room.woken.append)


def state(room, name=OURS):
    row = room.ledger.order(name)
    return row["status"], row["reason"], row["cancel_requested_at"] is not None


def test_an_order_that_rested_for_too_long_is_cancelled_with_the_reason(room, rested):
    rested()
    room.resting(id="11111111-2222-4333-8444-555555555550", client_order_id="young", created_at=room.clock())
    assert cancel_stale(room) == 1
    assert state(room)[:2] == ("cancelled", "stale: open for more than 3600 s")
    assert state(room, "young") == ("pending", None, False)
    assert room.publisher.types == ["cancelled"]
    assert room.publisher.events[0].body["rejection_reason"] == "stale: open for more than 3600 s"
    assert cancel_stale(room) == 0
    assert room.exchange.count("cancel_order") == 1


def test_the_timeout_is_the_settings(room, rested):
    room.patience(stale_s=7200.0)
    rested()
    assert cancel_stale(room) == 0
    room.clock.advance(3600)
    assert cancel_stale(room) == 1


def test_what_the_exchange_told_is_heard_first(room, rested):
    rested()
    room.exchange.fill(OURS, D("0.01"))
    UpdateStore(room.ledger.engine).store(
        [room.exchange.reports[OURS]], source="stream", received_at=room.clock()
    )
    assert cancel_stale(room) == 0
    assert room.exchange.calls == []
    assert room.publisher.types == ["filled"]


def test_an_order_that_filled_before_its_cancel_arrived_is_filled(room, rested):
    rested()
    room.exchange.before("cancel_order", lambda: room.exchange.fill(OURS, D("0.01")))
    assert cancel_stale(room) == 1
    assert state(room)[:2] == ("filled", None)
    assert room.publisher.types == ["filled"]
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.01")


def test_an_order_that_filled_in_part_goes_only_when_configured(room, rested):
    rested()
    room.exchange.fill(OURS, D("0.004"))
    room.settle()
    assert cancel_stale(room) == 0
    assert room.exchange.count("cancel_order") == 0
    room.rules(cancel_partially_filled=True)
    assert cancel_stale(room) == 1
    assert room.ledger.order(OURS)["filled_quantity"] == D("0.004")
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.004")


def test_others_orders_go_only_when_configured_and_by_the_exchanges_name(room, rested):
    rested(signal_id=None)
    assert cancel_stale(room) == 0
    room.rules(cancel_external_orders=True)
    asked = []
    original = room.exchange.cancel_order

    def cancel_order(symbol, client_order_id, *, exchange_order_id=None):
        asked.append(exchange_order_id)
        original(symbol, client_order_id, exchange_order_id=exchange_order_id)

    room.exchange.cancel_order = cancel_order
    assert cancel_stale(room) == 1
    assert asked == ["x-0"]


def test_a_refused_cancel_is_given_up_until_the_next_round(room, rested):
    rested()
    room.exchange.trouble("cancel_order", Refused("not now"))
    assert cancel_stale(room) == 0
    assert state(room) == ("pending", None, False)
    assert cancel_stale(room) == 1


def test_an_order_that_the_exchange_no_longer_has_open_is_looked_up(room, rested):
    rested()
    room.exchange.end(OURS, reason="CancelByAdmin")
    room.exchange.trouble("cancel_order", OrderNotFound("too late"))
    assert cancel_stale(room) == 1
    assert state(room)[0] == "cancelled"


def test_a_cancel_whose_answer_was_lost_shows(room, rested):
    rested()
    room.exchange.trouble("cancel_order", OutcomeUnknown("lost"), applied=True)
    assert cancel_stale(room) == 1


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("cancel_order", OutcomeUnknown("lost")),
        ("cancel_order", Unavailable("away")),
        ("cancel_order", AccessDenied("key")),
        ("evidence", Unavailable("away")),
    ],
)
def test_a_cancel_that_is_not_known_to_have_happened_goes_on_when_the_lane_is_worked_next(
    room, rested, method, error
):
    rested()
    rested("second")
    if method == "cancel_order":
        room.patience(confirm_attempts=2)
    room.exchange.trouble(method, error)
    assert cancel_stale(room) == 0
    assert state(room) == ("pending", "stale: open for more than 3600 s", True)
    assert cancel_stale(room) == 0, "it is under way already"
    room.ledger.execute("UPDATE orders SET updated_at = now() - interval '5 seconds'")
    assert room.ledger.inbox.forgotten(older_than_s=1.0) == [("BTCUSDT", True)]
    room.work()
    assert [state(room, name)[0] for name in (OURS, "second")] == ["cancelled", "cancelled"]
    assert state(room)[1] == "stale: open for more than 3600 s"


def test_a_lane_that_is_held_elsewhere_waits_for_the_next_round(room, rested):
    rested()
    with room.lane():
        assert cancel_stale(room) == 0
    assert room.exchange.calls == []
    assert cancel_stale(room) == 1
    assert room.woken == []


def test_what_came_meanwhile_wakes_the_lane(room, rested):
    rested()
    room.exchange.before("cancel_order", lambda: room.ledger.receive())
    cancel_stale(room)
    assert room.woken == ["BTCUSDT"]
