"""Working a lane: in order of arrival, nothing overtakes, and a trouble blocks the symbol for a moment."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from structlog.testing import capture_logs

from order_manager.domain.identity import client_order_id
from order_manager.domain.orders import TimeInForce
from order_manager.errors import (
    AccessDenied,
    LaneLost,
    OutcomeUnknown,
    RateLimited,
    Unavailable,
    UnreadableAnswer,
)
from order_manager.services.work_lane import work_lane
from tests.builders import a_limit_signal


def waiting(room, *names, build=None, **changes):
    signals = []
    for name in names:
        if build is None:
            signals.append(room.ledger.receive(signal_id=name, **changes))
        else:
            signal = build(signal_id=name, **changes)
            room.ledger.inbox.receive(signal, "{}")
            signals.append(signal)
    return signals


def link(signal):
    return client_order_id(signal.signal_id, attempt=1, slice_number=0)


def blocked(room):
    return room.ledger.row("SELECT retry_at, blocked_since, blocked_reason FROM lanes")


def test_signals_take_effect_in_the_order_of_their_arrival(room):
    signals = waiting(room, "c", "a", "b")
    assert room.work() == 3
    assert [request.client_order_id for request in room.exchange.placed] == [link(s) for s in signals]


def test_a_batch_leaves_the_rest_for_the_next_turn(room):
    signals = waiting(room, "a", "b", "c")
    assert room.work(batch=2) == 2
    assert [room.state(signal)[0] for signal in signals] == ["executed", "executed", "waiting"]
    assert room.work(batch=2) == 1


def test_a_rejected_signal_counts_as_ended_and_does_not_stop_the_next(room):
    bad, good = waiting(room, "bad", notional=D(20000)) + waiting(room, "good")
    assert room.work() == 2
    assert (room.state(bad)[0], room.state(good)[0]) == ("rejected", "executed")


def test_what_is_in_flight_is_settled_before_any_signal_is_executed(room):
    room.resting()
    room.exchange.fill("om-test-1-0", D("0.01"))
    [signal] = waiting(room, "a")
    room.work()
    calls = [call for call in room.exchange.calls if call[0] in {"evidence", "place_order"}]
    assert calls[:2] == [("evidence", "om-test-1-0"), ("place_order", link(signal))]
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.03")


def test_a_market_order_s_end_is_known_when_the_lane_is_left(room):
    [signal] = waiting(room, "a")
    room.work()
    assert room.ledger.order(link(signal))["status"] == "filled"
    assert room.publisher.types == ["created", "filled"]


def test_a_lane_without_signals_settles_what_is_about_to_end(room):
    room.resting(time_in_force=TimeInForce.IOC)
    room.exchange.end("om-test-1-0", reason="EC_NoImmediateQtyToFill")
    assert room.work() == 0
    assert room.ledger.order("om-test-1-0")["status"] == "cancelled"
    assert room.publisher.types == ["cancelled"]


def test_a_lane_without_signals_leaves_what_rests_to_the_exchange_s_updates(room):
    room.resting()
    assert room.work() == 0
    assert room.exchange.calls == []


TROUBLES = [
    (Unavailable("away"), 1.0, "away"),
    (OutcomeUnknown("lost"), 1.0, "does not show yet"),
    (RateLimited("busy", retry_after_s=3.5), 3.5, "busy"),
    (AccessDenied("key", ret_code=10003), 15.0, "key"),
    (UnreadableAnswer("a new word"), 15.0, "a new word"),
]


@pytest.mark.parametrize(("error", "wait_s", "reason"), TROUBLES, ids=[repr(one[0]) for one in TROUBLES])
def test_trouble_blocks_the_lane_and_a_later_signal_never_overtakes(room, error, wait_s, reason):
    first, second = waiting(room, "a", "b", build=a_limit_signal)
    room.exchange.hide(link(first))
    room.exchange.trouble("place_order", error)
    now = room.clock()
    assert room.work() == 0
    assert [room.state(signal)[0] for signal in (first, second)] == ["planned", "waiting"]
    state = blocked(room)
    assert state["retry_at"] == now + timedelta(seconds=wait_s)
    assert reason in state["blocked_reason"]
    assert state["blocked_since"] == now
    assert room.exchange.placed == []


def test_a_blocked_lane_asks_the_exchange_nothing_before_its_time(room):
    waiting(room, "a")
    room.exchange.trouble("place_order", Unavailable("away"))
    room.work()
    room.exchange.calls.clear()
    room.clock.advance(0.5)
    assert room.work() == 0
    assert room.exchange.calls == []


def test_a_blocked_lane_still_publishes_what_waits(room):
    waiting(room, "rejected", notional=D(20000))
    room.publisher.is_away = True
    room.work()
    waiting(room, "a")
    room.exchange.trouble("place_order", Unavailable("away"))
    room.work()
    assert room.publisher.events == []
    room.publisher.is_away = False
    room.work()
    assert room.publisher.types == ["signal_rejected"]


def test_after_its_time_the_lane_goes_on_and_is_unblocked(room):
    first, second = waiting(room, "a", "b")
    room.exchange.trouble("place_order", Unavailable("away"))
    room.work()
    room.clock.advance(1)
    assert room.work() == 2
    assert [request.client_order_id for request in room.exchange.placed] == [link(first), link(second)]
    assert blocked(room) == {"retry_at": None, "blocked_since": None, "blocked_reason": None}


def test_a_lane_that_stays_blocked_remembers_since_when(room):
    waiting(room, "a")
    since = room.clock()
    room.exchange.trouble("market", Unavailable("away"), times=2)
    room.work()
    room.clock.advance(1)
    room.work()
    state = blocked(room)
    assert state["blocked_since"] == since
    assert state["retry_at"] == room.clock() + timedelta(seconds=1)


def test_a_signal_behind_an_unknown_outcome_goes_after_it_when_that_is_known(room):
    first, second = waiting(room, "a", "b", build=a_limit_signal)
    room.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=True)
    room.exchange.hide(link(first))
    for _ in range(4):
        room.work()
        room.clock.advance(1)
    assert room.exchange.count("place_order") == 1
    room.exchange.show(link(first))
    assert room.work() == 2
    assert [request.client_order_id for request in room.exchange.placed] == [link(first), link(second)]
    assert room.ledger.order(link(first))["status"] == "cancelled"  # made way for the second


def test_events_go_out_oldest_first_and_are_marked(room):
    waiting(room, "a", "b", build=a_limit_signal)
    room.work()
    assert room.publisher.types == ["created", "cancelled", "created"]
    assert [event.sequence for event in room.publisher.events] == [1, 2, 1]
    assert room.ledger.rows("SELECT 1 FROM order_events WHERE published_at IS NULL") == []


def test_a_lost_broker_delays_events_and_loses_none(room):
    waiting(room, "a")
    room.publisher.is_away = True
    assert room.work() == 1
    assert room.publisher.events == []
    room.publisher.is_away = False
    assert room.work() == 0
    assert room.publisher.types == ["created", "filled"]


def test_events_that_an_earlier_holder_left_go_out_before_new_ones_though_the_broker_was_away_first(room):
    """The broker comes back while the lane is held: what it missed still is older than what comes."""
    [signal] = waiting(room, "a", build=a_limit_signal)
    room.publisher.is_away = True
    room.work()
    room.exchange.fill(link(signal), D("0.01"))
    room.ledger.execute("UPDATE lanes SET reconcile_requested_at = now()")
    room.exchange.before("open_orders", lambda: setattr(room.publisher, "is_away", False))
    room.work()
    room.work()
    assert room.publisher.types == ["created", "partially_filled"]


def test_a_lane_that_is_lost_stops_at_once(room):
    signals = waiting(room, "a", "b")
    with pytest.raises(LaneLost), room.lane() as lane:  # noqa: PT012 - told on leaving
        room.exchange.before("market", lambda: room.ledger.end_session(lane))
        work_lane(lane, room.desk, batch=10)
    assert [room.state(signal)[0] for signal in signals] == ["waiting", "waiting"]
    assert room.exchange.placed == []


def test_a_lane_lost_between_the_plan_and_its_sending_sends_nothing_after_a_moment(room):
    """The intent is old by the time of the request, so it must be renewed, and that is refused."""
    [signal] = waiting(room, "a")
    with pytest.raises(LaneLost), room.lane() as lane:  # noqa: PT012 - told on leaving
        original = room.exchange.place_order

        def frozen(request, *, sign_at=None):
            room.ledger.end_session(lane)
            room.clock.advance(40)
            return original(request, sign_at=sign_at)

        room.exchange.place_order = frozen
        work_lane(lane, room.desk, batch=10)
    assert room.exchange.placed == []
    assert room.state(signal)[0] == "planned"


def test_an_error_that_nobody_foresaw_holds_the_symbol_up_and_says_why(room):
    first, second = waiting(room, "a", "b")
    room.exchange.before("place_order", lambda: 1 / 0)
    with capture_logs() as logs:
        assert room.work() == 0
    row = blocked(room)
    assert "division by zero" in row["blocked_reason"]
    assert row["retry_at"] == room.clock() + timedelta(seconds=15)
    assert "lane_failed" in [line["event"] for line in logs]
    assert [room.state(signal)[0] for signal in (first, second)] == ["planned", "waiting"]
    room.clock.advance(20)
    assert room.work() == 2
    assert blocked(room)["blocked_reason"] is None
    assert len(room.exchange.placed) == 2
