"""Placing: each order of a plan is sent at most once, whatever the exchange answers or does not."""

from decimal import Decimal as D

import pytest

from order_manager.domain.identity import client_order_id
from order_manager.errors import (
    AccessDenied,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
    UnreadableAnswer,
)
from tests.builders import a_limit_signal, an_order


def link(signal, number=0):
    return client_order_id(signal.signal_id, attempt=1, slice_number=number)


def limit(room, **changes):
    signal = a_limit_signal(**changes)
    room.ledger.inbox.receive(signal, "{}")
    return signal


def sliced(room):
    """A signal that becomes three slices of 0.2 BTC."""
    room.rules(enable_order_splitting=True, max_single_order_notional=D(10000), max_order_size_ratio=D(1))
    room.exchange.balance = D(1_000_000)
    return room.ledger.receive(notional=D(30000))


def test_an_acceptance_is_recorded_with_its_event_and_ends_the_signal(room):
    signal = limit(room)
    room.execute()
    stored = room.ledger.order(link(signal))
    assert stored["exchange_order_id"] == room.exchange.reports[link(signal)].exchange_order_id
    assert (stored["status"], stored["event_sequence"]) == ("pending", 1)
    assert stored["accepted_at"] is not None
    assert room.state(signal) == ("executed", None)
    event = room.ledger.row("SELECT * FROM order_events")
    assert (event["event_type"], event["sequence"], event["trace_id"]) == ("created", 1, "trace-1")
    assert event["body"]["order"]["status"] == "pending"
    assert event["body"]["market_conditions"]["ask"] == "50000"


def test_a_refusal_rejects_the_order_and_the_signal_with_the_exchange_s_words(room):
    signal = limit(room)
    room.exchange.trouble("place_order", Refused("risk limit", ret_code=110008))
    room.execute()
    stored = room.ledger.order(link(signal))
    assert (stored["status"], stored["reason"]) == ("rejected", "risk limit (110008)")
    assert room.state(signal) == ("rejected", "exchange_refused")
    assert room.ledger.events() == ["rejected", "signal_rejected"]


def test_slices_are_sent_in_order_and_the_signal_ends_with_the_last(room):
    signal = sliced(room)
    states = []
    room.exchange.before("place_order", lambda: states.append(room.state(signal)[0]))
    room.execute()
    assert [request.client_order_id for request in room.exchange.placed] == [
        link(signal, n) for n in range(3)
    ]
    assert states == ["planned"]
    assert room.state(signal) == ("executed", None)
    assert room.ledger.events() == ["created"] * 3


def test_after_a_refused_slice_the_later_ones_are_not_sent(room):
    signal = sliced(room)
    room.exchange.before(
        "place_order",
        lambda: room.exchange.before(
            "place_order", lambda: room.exchange.trouble("place_order", Refused("no"))
        ),
    )
    room.execute()
    rows = [room.ledger.order(link(signal, n)) for n in range(3)]
    assert [row["status"] for row in rows] == ["pending", "rejected", "rejected"]
    assert rows[2]["reason"] == "not sent: an earlier slice was refused (no)"
    assert len(room.exchange.placed) == 1
    assert room.state(signal) == ("executed", "exchange_refused")  # the exchange took some of it
    assert room.ledger.events() == ["created", "rejected", "rejected"]


def test_an_order_whose_answer_was_lost_is_adopted_by_the_evidence(room):
    signal = limit(room)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.execute()
    assert len(room.exchange.placed) == 1
    assert room.ledger.order(link(signal))["exchange_order_id"] is not None
    assert room.state(signal) == ("executed", None)
    assert room.ledger.events() == ["created"]


def test_an_order_whose_answer_was_lost_may_be_found_filled(room):
    signal = room.ledger.receive()
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.execute()
    assert room.ledger.order(link(signal))["status"] == "filled"
    assert room.ledger.events() == ["created", "filled"]
    assert room.state(signal) == ("executed", None)


def test_while_the_outcome_is_unknown_nothing_is_sent_again(room):
    signal = limit(room)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(signal))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    for _ in range(3):
        room.clock.advance(1)
        with pytest.raises(OutcomeUnknown):
            room.settle()
    assert room.exchange.count("place_order") == 1
    assert room.state(signal) == ("planned", None)
    room.exchange.show(link(signal))
    assert room.settle() == 1
    room.execute()
    assert room.exchange.count("place_order") == 1
    assert room.state(signal) == ("executed", None)


def test_an_order_in_flight_that_was_not_settled_first_is_not_sent(room):
    """A successor that skips settling must not send what the predecessor may have sent."""
    signal = limit(room)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(signal))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    with pytest.raises(OutcomeUnknown, match="may have been sent before"):
        room.execute()
    assert room.exchange.count("place_order") == 1


def test_once_absence_is_proven_the_same_order_is_sent_again(room):
    signal = limit(room)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    room.clock.advance(8)  # beyond the receive window and the margin
    assert room.settle() == 1
    assert room.ledger.order(link(signal))["intended_at"] is None
    room.execute()
    assert [request.client_order_id for request in room.exchange.placed] == [link(signal)]
    assert room.state(signal) == ("executed", None)


@pytest.mark.parametrize(
    "error", [RateLimited("busy"), Unavailable("away"), AccessDenied("key", ret_code=10003)], ids=repr
)
def test_what_was_certainly_not_applied_is_marked_unsent_and_sent_later(room, error):
    signal = limit(room)
    room.exchange.trouble("place_order", error)
    with pytest.raises(type(error)):
        room.execute()
    assert room.ledger.order(link(signal))["intended_at"] is None
    assert room.state(signal) == ("planned", None)
    assert room.settle() == 0  # proven unsent: nothing to ask
    room.execute()
    assert len(room.exchange.placed) == 1
    assert room.state(signal) == ("executed", None)


def test_an_answer_that_cannot_be_read_leaves_the_order_in_flight(room):
    signal = limit(room)
    room.exchange.trouble("place_order", UnreadableAnswer("a new word"), applied=True)
    with pytest.raises(UnreadableAnswer):
        room.execute()
    assert room.ledger.order(link(signal))["intended_at"] is not None
    room.settle()
    room.execute()
    assert room.exchange.count("place_order") == 1
    assert room.state(signal) == ("executed", None)


def test_what_was_not_sent_in_time_fails_and_is_not_sent_at_all(room):
    signal = limit(room)
    room.exchange.trouble("place_order", Unavailable("away"))
    with pytest.raises(Unavailable):
        room.execute()
    room.clock.advance(31)
    room.execute()
    assert room.exchange.placed == []
    assert room.state(signal) == ("failed", "execution_timeout")
    stored = room.ledger.order(link(signal))
    assert stored["status"] == "rejected"
    assert stored["reason"] == (
        "the exchange did not take the order within 30 s of its decision; the last error was: away"
    )
    assert room.ledger.signal(signal.signal_id)["reason"] == stored["reason"]
    assert room.ledger.events() == ["rejected", "signal_failed"]


def test_while_the_outcome_is_unknown_the_reason_has_the_exchange_s_last_error(room):
    signal = limit(room)
    room.exchange.hide(link(signal))
    room.exchange.trouble("place_order", OutcomeUnknown("HTTP 500 " + "x" * 1000))
    for act in (room.execute, room.settle):
        with pytest.raises(
            OutcomeUnknown, match="does not show yet; the last error was: HTTP 500 x"
        ) as raised:
            act()
        assert len(raised.value.message) < 400
    other = an_order(symbol="BTCUSDT", id="11111111-2222-4333-8444-000000000001")
    assert room.desk.last_error(other) == ""  # of no other order's


def test_an_order_found_by_evidence_counts_even_when_the_rest_is_too_late(room):
    signal = sliced(room)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(signal))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    room.clock.advance(31)
    room.exchange.show(link(signal))
    room.settle()
    # Slices 1 and 2 were never sent; they are proven so, and it is too late for them now.
    room.execute()
    rows = [room.ledger.order(link(signal, n)) for n in range(3)]
    assert [row["status"] for row in rows] == ["filled", "rejected", "rejected"]
    assert room.state(signal) == ("executed", "execution_timeout")  # sent again, it would buy slice 0 twice
    assert len(room.exchange.placed) == 1


def test_a_request_is_signed_with_a_moment_that_is_on_record(room):
    signal = limit(room)
    room.execute()
    assert room.exchange.signed_at == [room.ledger.order(link(signal))["intended_at"]]


def test_an_old_intent_is_renewed_before_its_request_is_signed(room):
    signal = limit(room)
    room.exchange.before("available_balance", lambda: None)
    room.exchange.trouble("place_order", Unavailable("away"))
    with pytest.raises(Unavailable):
        room.execute()
    room.clock.advance(10)
    room.execute()
    assert room.exchange.signed_at[-1] == room.clock()
    assert room.ledger.order(link(signal))["intended_at"] == room.clock()


def test_an_order_that_is_sent_again_and_whose_answer_is_lost_is_in_doubt(room):
    signal = limit(room)
    room.exchange.trouble("place_order", Unavailable("away"))
    with pytest.raises(Unavailable):
        room.execute()
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(signal))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    assert room.ledger.order(link(signal))["intended_at"] == room.clock()
    assert room.state(signal) == ("planned", None)


def test_absence_is_no_proof_so_soon_after_the_last_try_was_signed(room, monkeypatch):
    signal = limit(room)
    place = room.exchange.place_order

    def after_a_pause(request, *, sign_at):
        room.clock.advance(20)  # refused for now, and tried again
        return place(request, sign_at=sign_at)

    monkeypatch.setattr(room.exchange, "place_order", after_a_pause)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(signal))
    with pytest.raises(OutcomeUnknown):
        room.execute()
    assert room.ledger.order(link(signal))["intended_at"] == room.clock()


def test_events_of_one_order_are_numbered_from_one(room):
    signal = limit(room)
    room.execute()
    room.exchange.fill(link(signal), D("0.005"))
    room.settle()
    room.exchange.fill(link(signal), room.exchange.reports[link(signal)].quantity - D("0.005"))
    room.settle()
    rows = room.ledger.rows("SELECT event_type, sequence FROM order_events ORDER BY id")
    assert [(row["event_type"], row["sequence"]) for row in rows] == [
        ("created", 1),
        ("partially_filled", 2),
        ("filled", 3),
    ]
