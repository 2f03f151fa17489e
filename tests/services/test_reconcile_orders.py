"""Reconciling: orders, fills and the position of a symbol become what the exchange shows, before anything."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from structlog.testing import capture_logs

from order_manager.database.updates import UpdateStore
from order_manager.domain.orders import OrderStatus, Side
from order_manager.errors import AccessDenied, OutcomeUnknown, RateLimited, Unavailable, UnreadableAnswer
from order_manager.services.settle_orders import settle_orders
from tests.builders import a_position, a_request, an_execution

OURS = "om-test-1-0"


@pytest.fixture
def reconcile(room):
    """Has the symbol compared with the exchange; what the lane knows of it afterwards."""

    def run(*, validate=False):
        ask(room, validate=validate)
        room.work()
        return lane_state(room)

    return run


def ask(room, *, validate=False, must=True):
    UpdateStore(room.ledger.engine).request_reconciliation(validate=validate, must=must)


def lane_state(room):
    row = room.ledger.row("SELECT * FROM lanes")
    assert row["reconcile_requested_at"] is None
    return row["reconciled_orders"], row["corrected_orders"], row["discrepancies"]


def position(room):
    rows = room.ledger.rows("SELECT size FROM positions")
    return rows[0]["size"] if rows else D(0)


def theirs(room, name="theirs", **changes):
    """An order that somebody else placed."""
    request = a_request(client_order_id=name, **changes)
    room.exchange.take(request)
    return room.exchange.reports[name]


def test_where_all_is_as_we_knew_nothing_changes(room, reconcile):
    room.resting()
    reconcile()
    before = room.ledger.order(OURS)
    assert reconcile() == (1, 0, 0)
    assert room.ledger.order(OURS) == before
    assert room.publisher.events == []


def test_a_fill_that_we_missed_is_booked_with_its_event_and_its_position(room, reconcile):
    room.resting()
    room.exchange.fill(OURS, D("0.004"))
    assert reconcile() == (1, 1, 0)
    row = room.ledger.order(OURS)
    assert (row["status"], row["filled_quantity"]) == ("partially_filled", D("0.004"))
    assert room.publisher.types == ["partially_filled"]
    assert position(room) == D("0.004")
    assert str(room.ledger.row("SELECT order_id FROM executions")["order_id"]) == str(row["id"])


def test_an_end_that_we_missed_is_learned(room, reconcile):
    room.resting()
    room.exchange.fill(OURS, D("0.004"))
    room.exchange.end(OURS, reason="CancelByAdmin")
    assert reconcile() == (1, 1, 0)
    row = room.ledger.order(OURS)
    assert (row["status"], row["reason"], row["filled_quantity"]) == (
        "cancelled",
        "CancelByAdmin",
        D("0.004"),
    )
    assert room.publisher.types == ["partially_filled", "cancelled"]


def test_an_order_that_is_open_at_the_exchange_and_unknown_here_is_adopted(room, reconcile):
    report = theirs(room, side=Side.SELL, price=D(60000))
    assert reconcile() == (1, 1, 0)
    row = room.ledger.order("theirs")
    assert row["is_external"]
    assert (row["signal_id"], row["status"], row["exchange_order_id"]) == (
        None,
        "pending",
        report.exchange_order_id,
    )
    assert room.publisher.types == ["created"]
    assert reconcile() == (1, 0, 0)


def test_an_order_that_came_and_went_without_a_fill_while_we_were_away_is_found(room, reconcile):
    theirs(room)
    room.exchange.end("theirs", reason="CancelByUser")
    assert reconcile() == (1, 1, 0)
    assert room.publisher.types == ["created", "cancelled"]


def test_an_order_that_came_and_went_while_we_were_away_is_found_by_its_fills(room, reconcile):
    theirs(room)
    room.exchange.fill("theirs", D("0.01"))
    assert reconcile() == (1, 1, 0)
    assert room.publisher.types == ["created", "filled"]
    assert position(room) == D("0.01")
    assert room.ledger.row("SELECT order_id FROM executions")["order_id"] is not None


def test_fills_that_a_gap_hid_are_found_though_newer_ones_were_told(room, reconcile):
    """The stream is back and goes on with what is new; what it missed is older."""
    reconcile()
    room.exchange.take(a_request(client_order_id="missed"))
    room.exchange.fill("missed", D("0.01"))
    room.clock.advance(600)
    theirs(room, "told")
    room.exchange.fill("told", D("0.01"))
    UpdateStore(room.ledger.engine).store(
        [room.exchange.reports["told"], *room.exchange.fills["told"]],
        source="stream",
        received_at=room.clock(),
    )
    assert reconcile()[2] == 0, "every fill has its order: no correction of the position without a reason"
    assert room.ledger.order("missed")["status"] == "filled"
    assert position(room) == D("0.02")


@pytest.mark.parametrize("ids", ["12", "21"])
def test_orders_that_came_and_went_are_booked_as_they_happened(room, reconcile, ids):
    for name, side, exchange_order_id in zip(("in", "out"), (Side.BUY, Side.SELL), ids, strict=True):
        request = a_request(client_order_id=name, side=side)
        room.exchange.take(request, exchange_order_id=exchange_order_id)
        room.exchange.fill(name, D("0.01"))
        room.clock.advance(1)
    reconcile()
    told = [event.body["order"]["client_order_id"] for event in room.publisher.events]
    assert told == ["in", "in", "out", "out"]


def test_a_fill_whose_order_does_not_show_yet_is_waited_for(room, reconcile):
    theirs(room)
    room.exchange.fill("theirs", D("0.01"))
    room.exchange.hide("theirs")
    ask(room)
    signal = room.ledger.receive()
    room.work()
    assert room.ledger.row("SELECT reconcile_requested_at FROM lanes")["reconcile_requested_at"] is not None
    assert room.state(signal)[0] == "waiting"
    room.exchange.show("theirs")
    room.clock.advance(5)
    assert room.work() == 1
    assert position(room) == D("0.03")


def test_a_fill_whose_order_never_shows_does_not_stop_the_symbol_and_is_asked_about_again(room, reconcile):
    theirs(room)
    room.exchange.fill("theirs", D("0.01"))
    room.exchange.hide("theirs")
    room.clock.advance(61)
    room.exchange.positions["BTCUSDT"] = a_position()
    reconcile()
    assert room.ledger.row("SELECT order_id FROM executions")["order_id"] is None
    room.exchange.show("theirs")
    room.exchange.positions.clear()
    room.clock.advance(3600)
    reconcile()
    assert room.ledger.order("theirs")["status"] == "filled"
    assert room.ledger.row("SELECT order_id FROM executions")["order_id"] is not None
    assert position(room) == D("0.01")


def test_what_only_books_money_has_no_order_to_ask_for(room, reconcile):
    funding = an_execution(exec_type="Funding", executed_at=room.clock(), exchange_order_id="none")
    room.exchange.fills["funding"] = [funding]
    room.exchange.positions["BTCUSDT"] = a_position()
    assert reconcile() == (0, 0, 0)
    assert room.exchange.count("evidence") == 0


def test_an_order_that_a_list_left_out_is_asked_for_by_name(room, reconcile):
    """A page that shifted is no proof: the order still is there."""
    room.resting()
    room.exchange.open_orders = lambda symbol: ()
    assert reconcile() == (1, 0, 0)
    assert room.ledger.order(OURS)["status"] == "pending"
    assert room.exchange.count("evidence") == 1


def test_an_order_that_shows_nowhere_is_not_ended(room, reconcile):
    room.resting(created_at=room.clock())
    room.exchange.hide(OURS)
    for _ in range(3):
        reconcile()
        room.clock.advance(3600)
    assert room.ledger.order(OURS)["status"] == "pending"
    assert room.publisher.events == []


def test_an_order_that_shows_nowhere_for_a_day_is_presumed_over_and_lives_again_when_it_shows(
    room, reconcile
):
    room.resting(created_at=room.clock())
    room.exchange.hide(OURS)
    reconcile()
    assert room.ledger.order(OURS)["unseen_since"] is not None
    room.clock.advance(26 * 3600)
    reconcile()
    assert (room.ledger.order(OURS)["status"], room.publisher.types) == ("cancelled", ["cancelled"])
    room.exchange.show(OURS)
    room.exchange.fill(OURS, D("0.004"))
    reconcile()
    row = room.ledger.order(OURS)
    assert (row["status"], row["reason"], row["unseen_since"]) == ("partially_filled", None, None)
    assert room.publisher.types == ["cancelled", "modified", "partially_filled"]
    assert position(room) == D("0.004")


TROUBLES = [
    Unavailable("away"),
    RateLimited("busy"),
    OutcomeUnknown("?"),
    AccessDenied("key"),
    UnreadableAnswer("x"),
]
CALLS = ["open_orders", "closed_orders_since", "evidence", "executions_since", "executions", "position"]


def test_a_regular_comparison_that_fails_holds_no_signal_up_and_comes_again_soon(room):
    signal = room.ledger.receive()
    room.exchange.trouble("open_orders", Unavailable("away"))
    ask(room, must=False)
    assert room.work() == 1
    assert room.state(signal) == ("executed", None)
    lane = room.ledger.row("SELECT *, reconcile_requested_at - now() AS pause FROM lanes")
    assert (lane["reconcile_error"], lane["retry_at"]) == ("away", None)
    assert timedelta(0) < lane["pause"] <= timedelta(seconds=5)
    calls = len(room.exchange.calls)
    room.run()
    assert len(room.exchange.calls) == calls, "not before its time"


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", CALLS)
def test_an_answer_that_did_not_come_ends_nothing_and_the_comparison_stays_due(room, method, error):
    room.resting()
    room.clock.advance(-7200)
    room.resting(id="11111111-2222-4333-8444-000000000001", client_order_id="gone", exchange_order_id="x-2")
    room.exchange.fill("gone", D("0.01"))
    old = {"status": OrderStatus.FILLED, "filled_quantity": D("0.001")}
    room.resting(
        id="11111111-2222-4333-8444-000000000002", client_order_id="old", exchange_order_id="x-3", **old
    )
    room.exchange.fill("old", D("0.001"))
    room.clock.advance(7200)
    signal = room.ledger.receive()
    room.exchange.trouble(method, error)
    ask(room, validate=True)
    room.work()
    lane = room.ledger.row("SELECT * FROM lanes")
    assert lane["reconcile_requested_at"] is not None
    assert lane["validate_requested_at"] is not None
    assert lane["reconciled_at"] is None
    assert lane["reconcile_error"] == error.message
    assert lane["retry_at"] > room.clock()
    assert room.ledger.order(OURS)["status"] == "pending"
    assert room.ledger.order("gone")["status"] in {"pending", "filled"}
    assert room.state(signal)[0] == "waiting"
    assert room.exchange.placed == []
    room.clock.advance(60)
    assert room.work() == 1, "and the signal follows"
    assert room.ledger.row("SELECT reconcile_error FROM lanes")["reconcile_error"] is None
    assert room.ledger.order("gone")["status"] == "filled"
    assert room.state(signal)[0] == "executed"


def test_the_comparison_comes_before_the_first_signal(room):
    room.resting()
    room.exchange.fill(OURS, D("0.01"))
    signal = room.ledger.receive()
    ask(room)
    room.work()
    methods = [method for method, _ in room.exchange.calls]
    assert methods.index("position") < methods.index("place_order")
    decision = room.ledger.signal(signal.signal_id)["decision"]
    assert "0.01" in str(decision), "it was decided on the position that we missed"
    assert position(room) == D("0.03")


def test_an_order_whose_fate_is_open_blocks_the_signals_behind_it(room):
    room.ledger.add_order(exchange_order_id=None, intended_at=room.clock(), signal_id="earlier")
    signal = room.ledger.receive()
    ask(room)
    assert room.work() == 0
    assert room.state(signal)[0] == "waiting"
    assert room.ledger.row("SELECT reconcile_requested_at FROM lanes")["reconcile_requested_at"] is not None
    room.clock.advance(10)
    assert room.work() == 1


def test_a_dry_run_has_nothing_to_compare(room, reconcile):
    room.rules(is_dry_run=True)
    room.ledger.add_order()
    reconcile()
    assert room.exchange.calls == []


def test_what_a_cancel_began_is_gone_on_with(room, reconcile):
    room.resting(cancel_requested_at=room.clock(), reason="superseded")
    reconcile()
    assert room.ledger.order(OURS)["status"] == "cancelled"


def test_many_orders_are_asked_for_in_one_page(room, reconcile):
    for number in range(9):
        name = f"11111111-2222-4333-8444-00000000000{number}"
        room.resting(id=name, client_order_id=f"o-{number}", exchange_order_id=f"x-{number}")
    room.exchange.end("o-7", reason="CancelByAdmin")
    assert reconcile()[0] == 9
    assert (room.exchange.count("open_orders"), room.exchange.count("evidence")) == (1, 0)
    room.exchange.fill("o-3", D("0.01"))
    with room.lane() as lane:
        settled = settle_orders(lane, room.desk)
    assert (len(settled.still_open), settled.changed) == (7, 1)
    assert (room.exchange.count("open_orders"), room.exchange.count("evidence")) == (2, 1)


def test_another_symbols_orders_and_fills_are_left_alone(room, reconcile):
    room.exchange.list_symbol("ETHUSDT")
    theirs(room, symbol="ETHUSDT")
    room.exchange.fill("theirs", D("0.01"))
    assert reconcile() == (0, 0, 0)
    assert room.ledger.rows("SELECT 1 FROM orders") == []


@pytest.mark.parametrize("status", ["filled", "cancelled", "rejected"])
def test_an_order_that_ended_here_alone_is_open_again(room, reconcile, status):
    order = room.resting()
    room.clock.advance(60)
    room.ledger.execute(f"UPDATE orders SET status = '{status}', updated_at = '{order.updated_at}'")
    with capture_logs() as logs:
        assert reconcile() == (1, 1, 0)
    assert [line["status_at_exchange"] for line in logs if line["event"] == "order_discrepancy"] == [
        "pending"
    ]
    assert room.ledger.order(OURS)["status"] == "pending"
    assert room.publisher.types == ["modified"]
    room.exchange.fill(OURS, D("0.01"))
    assert reconcile() == (1, 1, 0)
    assert room.ledger.order(OURS)["status"] == "filled"
    assert reconcile()[1:] == (0, 0)


def test_an_order_that_ended_otherwise_at_the_exchange_is_set_right(room, reconcile):
    order = room.resting()
    room.exchange.end(OURS, reason="CancelByUser")
    room.clock.advance(60)
    room.ledger.execute(f"UPDATE orders SET status = 'filled', updated_at = '{order.updated_at}'")
    reconcile()
    row = room.ledger.order(OURS)
    assert (row["status"], row["reason"]) == ("cancelled", "CancelByUser")
    assert room.publisher.types == ["cancelled"]
    assert reconcile()[1:] == (0, 0)


def test_an_end_of_a_moment_ago_is_not_taken_back_by_a_list_that_lags(room, reconcile):
    room.resting()
    room.ledger.execute(f"UPDATE orders SET status = 'filled', updated_at = '{room.clock()}'")
    room.clock.advance(9)
    assert reconcile()[1] == 0
    assert room.ledger.order(OURS)["status"] == "filled"
