"""Executing: decided once, durable before the exchange hears of it, then as far as the exchange lets it."""

import json
from decimal import Decimal as D

import pytest

from order_manager.domain.identity import client_order_id
from order_manager.domain.orders import OrderType, Side, TimeInForce
from order_manager.errors import OutcomeUnknown, Refused, Retryable, Unavailable
from tests.builders import a_limit_signal


def limit(room, **changes):
    """A signal in the inbox that becomes a limit order by the default rules."""
    signal = a_limit_signal(**changes)
    room.ledger.inbox.receive(signal, "{}")
    return signal


def link(signal, number=0, attempt=1):
    return client_order_id(signal.signal_id, attempt=attempt, slice_number=number)


def test_a_market_signal_becomes_one_order_and_is_executed(room):
    signal = room.ledger.receive()
    room.execute()
    [request] = room.exchange.placed
    assert (request.client_order_id, request.quantity, request.price) == (link(signal), D("0.02"), None)
    assert request.time_in_force is TimeInForce.IOC
    assert room.state(signal) == ("executed", None)
    assert room.ledger.events() == ["created"]


def test_a_limit_signal_rests_below_the_market(room):
    limit(room)
    room.execute()
    [request] = room.exchange.placed
    assert (request.price, request.time_in_force) == (D(49950), TimeInForce.POST_ONLY)


def test_the_plan_is_durable_before_the_exchange_hears_of_it(room):
    signal, seen = room.ledger.receive(), {}
    room.exchange.before("place_order", lambda: seen.update(room.ledger.order(link(signal))))
    room.exchange.before(
        "place_order", lambda: seen.update(signal=room.ledger.signal(signal.signal_id)["state"])
    )
    room.execute()
    assert (seen["status"], seen["exchange_order_id"], seen["signal"]) == ("pending", None, "planned")


def test_no_transaction_is_open_while_the_exchange_is_asked(room):
    room.ledger.receive()
    seen = []

    def look():
        seen.extend(
            room.ledger.rows(
                "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
                " AND state LIKE 'idle in transaction%'"
            )
        )

    for method in ("place_order", "market", "available_balance"):
        room.exchange.before(method, look)
    room.execute()
    assert seen == []


def test_a_rejection_by_rule_ends_the_signal_and_cancels_nothing(room):
    resting = room.resting()
    signal = room.ledger.receive(notional=D(20000))
    room.execute()
    state, code = room.state(signal)
    assert (state, code is not None) == ("rejected", True)
    assert room.ledger.events() == ["signal_rejected"]
    assert room.exchange.placed == []
    assert room.ledger.order(resting.client_order_id)["status"] == "pending"


def test_the_decision_is_kept_with_its_inputs_and_each_rule_s_numbers(room):
    signal = room.ledger.receive()
    room.execute()
    decision = room.ledger.signal(signal.signal_id)["decision"]
    decision = json.loads(decision) if isinstance(decision, str) else decision
    assert decision["outcome"] == "plan"
    assert decision["inputs"]["market"]["ask"] == "50000"
    assert decision["inputs"]["available_balance"] == "100000"
    assert decision["decided_at_price"] == "50000"
    assert decision["place"][0]["quantity"] == "0.020"
    assert {"rule", "limit", "value", "passed"} == set(decision["checks"][0])


def test_a_planned_signal_is_placed_and_never_decided_again(room):
    signal = room.ledger.receive()
    room.exchange.trouble("place_order", Unavailable("away"))
    with pytest.raises(Unavailable):
        room.execute()
    assert room.state(signal) == ("planned", None)
    room.exchange.move_price("BTCUSDT", bid="39999", ask="40000")  # would buy 0.025 if decided anew
    room.execute()
    [request] = room.exchange.placed
    assert request.quantity == D("0.02")
    assert room.state(signal) == ("executed", None)


def test_a_signal_of_a_symbol_whose_rules_are_not_known_yet_waits(room):
    room.ledger.execute("DELETE FROM instruments")
    signal = room.ledger.receive()
    with pytest.raises(Retryable):
        room.execute()
    assert room.state(signal) == ("waiting", None)


def test_pending_orders_are_seen_to_have_ended_before_the_new_one_is_placed(room):
    resting = room.resting()
    signal = limit(room)
    room.execute()
    assert [call for call in room.exchange.calls if call[0] in {"cancel_order", "place_order"}] == [
        ("cancel_order", resting.client_order_id),
        ("place_order", link(signal)),
    ]
    assert room.ledger.order(resting.client_order_id)["status"] == "cancelled"
    assert room.ledger.events() == ["cancelled", "created"]


def test_a_cancel_is_on_record_before_the_exchange_hears_of_it(room):
    resting, seen = room.resting(), {}
    limit(room)
    room.exchange.before("cancel_order", lambda: seen.update(room.ledger.order(resting.client_order_id)))
    room.execute()
    assert seen["cancel_requested_at"] is not None
    assert "superseded" in seen["reason"]


def test_after_a_cancel_the_decision_is_made_anew_on_what_is_true_then(room):
    """The order to cancel fills meanwhile, and takes the position to its limit: the signal is rejected."""
    resting = room.resting(quantity=D("0.99"))
    signal = limit(room)
    room.exchange.before(
        "cancel_order", lambda: room.exchange.fill(resting.client_order_id, resting.request.quantity)
    )
    room.execute()
    assert room.ledger.order(resting.client_order_id)["status"] == "filled"
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.99")
    assert room.state(signal)[0] == "rejected"
    assert room.exchange.placed == []


def test_orders_that_never_stop_changing_make_the_signal_wait(room):
    """Each round meets another order; a decision is not chased for ever."""
    room.resting()
    signal = limit(room)
    added = iter(range(100))

    def another() -> None:
        number = next(added)
        room.exchange.before("cancel_order", another)
        room.resting(
            id=f"11111111-2222-4333-8444-{number:012}",
            client_order_id=f"another-{number}",
            exchange_order_id=f"ex-another-{number}",
        )

    room.exchange.before("cancel_order", another)
    with pytest.raises(OutcomeUnknown, match="kept changing"):
        room.execute()
    assert room.state(signal) == ("waiting", None)
    assert room.exchange.placed == []


def test_a_refused_cancel_rejects_the_signal_and_leaves_the_order_as_it_was(room):
    resting = room.resting()
    signal = limit(room)
    room.exchange.trouble("cancel_order", Refused("not allowed", ret_code=110999))
    room.execute()
    assert room.state(signal) == ("rejected", "exchange_refused")
    kept = room.ledger.order(resting.client_order_id)
    assert (kept["status"], kept["cancel_requested_at"], kept["reason"]) == ("pending", None, None)
    assert room.ledger.events() == ["signal_rejected"]
    assert room.exchange.placed == []


def test_when_the_second_of_two_cancels_is_refused_neither_order_is_left_marked(room):
    orders = [
        room.resting(
            id=f"11111111-2222-4333-8444-{n:012}", client_order_id=f"r-{n}", exchange_order_id=f"x-{n}"
        )
        for n in range(3)
    ]
    limit(room)

    def refuse_from_now_on() -> None:
        room.exchange.before("cancel_order", lambda: room.exchange.trouble("cancel_order", Refused("no")))

    room.exchange.before("cancel_order", refuse_from_now_on)
    room.execute()
    rows = [room.ledger.order(order.client_order_id) for order in orders]
    assert [row["status"] for row in rows] == ["cancelled", "pending", "pending"]
    assert [row["cancel_requested_at"] for row in rows[1:]] == [None, None]
    room.settle()  # cancels nothing: nobody wants these gone any more
    assert room.exchange.count("cancel_order") == 2


def test_an_order_that_can_be_amended_into_the_wanted_one_is_amended(room):
    room.rules(enable_order_amending=True)
    resting = room.resting(price=D(49000), quantity=D("0.01"))
    signal = limit(room)
    room.execute()
    report = room.exchange.reports[resting.client_order_id]
    assert (report.quantity, report.price) == (D("0.02"), D(49950))
    assert room.exchange.placed == []
    assert room.state(signal) == ("executed", None)
    stored = room.ledger.order(resting.client_order_id)
    assert (stored["quantity"], stored["price"], stored["amend_quantity"]) == (D("0.02"), D(49950), None)
    assert room.ledger.events() == ["modified"]


def test_an_amendment_counts_against_the_limits_before_the_exchange_hears_of_it(room):
    room.rules(enable_order_amending=True)
    resting, seen = room.resting(), {}
    limit(room)
    room.exchange.before("amend_order", lambda: seen.update(room.ledger.order(resting.client_order_id)))
    room.execute()
    assert (seen["amend_quantity"], seen["amend_price"]) == (D("0.02"), D(49950))


def test_a_refused_amendment_rejects_the_signal_and_no_longer_counts(room):
    room.rules(enable_order_amending=True)
    resting = room.resting()
    signal = limit(room)
    room.exchange.trouble("amend_order", Refused("not modified", ret_code=110999))
    room.execute()
    assert room.state(signal) == ("rejected", "exchange_refused")
    stored = room.ledger.order(resting.client_order_id)
    assert (stored["amend_quantity"], stored["amend_price"], stored["status"]) == (None, None, "pending")


@pytest.mark.parametrize("is_applied", [True, False])
def test_an_amendment_whose_answer_was_lost_is_looked_for(room, is_applied):
    room.rules(enable_order_amending=True)
    room.resting()
    signal = limit(room)
    room.exchange.trouble("amend_order", OutcomeUnknown("lost"), applied=is_applied)
    if is_applied:
        room.execute()
    else:
        with pytest.raises(OutcomeUnknown):
            room.execute()
        assert room.state(signal) == ("waiting", None)
        room.execute()  # absolute values make repeating safe
    assert room.state(signal) == ("executed", None)
    assert room.exchange.placed == []


def test_an_order_that_is_gone_when_it_is_to_be_amended_is_replaced(room):
    room.rules(enable_order_amending=True)
    resting = room.resting()
    signal = limit(room)
    room.exchange.before(
        "amend_order", lambda: room.exchange.end(resting.client_order_id, reason="CancelByAdmin")
    )
    room.execute()
    assert [request.client_order_id for request in room.exchange.placed] == [link(signal)]
    assert room.state(signal) == ("executed", None)


def test_an_order_that_is_as_wanted_already_is_left_alone(room):
    room.rules(enable_order_amending=True)
    room.resting(price=D(49950), quantity=D("0.02"))
    signal = limit(room)
    room.execute()
    assert (room.exchange.placed, room.exchange.count("amend_order")) == ([], 0)
    assert room.state(signal) == ("executed", None)


def test_a_dry_run_decides_and_records_but_never_calls(room):
    room.rules(is_dry_run=True)
    resting = room.resting()
    signal = limit(room)
    room.execute()
    called = {method for method, _ in room.exchange.calls}
    assert called <= {"market", "available_balance"}
    stored = room.ledger.order(link(signal))
    assert (stored["status"], stored["is_dry_run"], stored["event_sequence"]) == ("dry_run", True, 1)
    assert room.state(signal) == ("executed", None)
    assert room.ledger.events() == ["created"]
    assert room.ledger.row("SELECT reserved FROM account_state")["reserved"] == 0
    assert room.ledger.order(resting.client_order_id)["status"] == "pending"


def test_the_balance_is_asked_once_in_its_time_and_what_was_planned_is_reserved(room):
    room.ledger.receive(signal_id="first")
    room.execute()
    room.clock.advance(1)
    room.ledger.receive(signal_id="second")
    room.execute()
    assert room.exchange.count("available_balance") == 1
    assert room.ledger.row("SELECT reserved FROM account_state")["reserved"] == 2000
    room.clock.advance(5)
    room.ledger.receive(signal_id="third")
    room.execute()
    assert room.exchange.count("available_balance") == 2
    assert room.ledger.row("SELECT reserved FROM account_state")["reserved"] == 1000


def test_without_the_balance_check_the_balance_is_never_asked(room):
    room.rules(enable_balance_check=False)
    signal = room.ledger.receive()
    room.exchange.balance = D(1_000_000)
    room.execute()
    assert room.exchange.count("available_balance") == 0
    assert room.state(signal) == ("executed", None)


def test_a_sell_reduces_a_long_and_is_reserved_nothing(room):
    room.resting(order_type=OrderType.MARKET, price=None, time_in_force=TimeInForce.IOC, quantity=D("0.05"))
    room.settle()
    assert room.ledger.row("SELECT size FROM positions")["size"] == D("0.05")
    room.ledger.receive(side=Side.SELL)
    room.execute()
    [request] = room.exchange.placed
    assert (request.side, request.reduce_only, request.quantity) == (Side.SELL, True, D("0.02"))
    assert room.ledger.row("SELECT reserved FROM account_state")["reserved"] == 0


def test_a_signal_that_is_sent_again_after_it_failed_gets_orders_of_its_own(room):
    room.exchange.trouble("place_order", Unavailable("away"))
    signal = room.ledger.receive()
    room.work()
    room.clock.advance(60)
    room.work()
    assert room.state(signal) == ("failed", "execution_timeout")
    room.ledger.receive()
    room.clock.advance(60)
    room.work()
    assert [request.client_order_id for request in room.exchange.placed] == [link(signal, attempt=2)]
    assert room.state(signal) == ("executed", None)
