"""One report after another: what it changes, and what it may not."""

from dataclasses import replace

import pytest

from order_manager.domain.orders import OrderEvent, OrderStatus, OrderType, Side
from order_manager.domain.positions import Fill
from order_manager.domain.reconciling import (
    Terms,
    absence_proves_ended,
    absence_proves_never_accepted,
    apply_report,
)
from tests.builders import D, a_report, an_order, at

PENDING, PARTLY, FILLED = OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED
CANCELLED, REJECTED = OrderStatus.CANCELLED, OrderStatus.REJECTED
IN_FLIGHT = an_order(exchange_order_id=None)
HALF_FILLED = an_order(
    status=PARTLY, filled_quantity="0.005", average_price=49000, fees="0.1", exchange_updated_at=at(1)
)


def correction(order, **report):
    found = apply_report(order, a_report(**report))
    assert found is not None
    assert apply_report(found.order, a_report(**report)) is None, "a repeat changes nothing"
    return found


def test_the_first_report_of_an_order_in_flight_creates_it():
    found = correction(IN_FLIGHT)
    assert found.events == ("created",)
    assert found.order.exchange_order_id == "exchange-1"
    assert found.order.status is PENDING
    assert found.fill is None


def test_an_order_first_seen_filled_was_created_before():
    found = correction(IN_FLIGHT, status=FILLED, filled_quantity="0.01", average_price=48990, fees="0.2")
    assert found.events == ("created", "filled")
    assert found.fill == Fill(side=Side.BUY, quantity=D("0.01"), price=D(48990), fee=D("0.2"))
    assert found.order.executed_at == at(1)


def test_an_order_first_seen_rejected_tells_why():
    found = correction(IN_FLIGHT, status=REJECTED, reason="EC_PostOnlyWillTakeLiquidity")
    assert found.events == ("created", "rejected")
    assert (found.order.status, found.order.reason) == (REJECTED, "EC_PostOnlyWillTakeLiquidity")


def test_a_first_fill_is_partial():
    found = correction(an_order(), status=PARTLY, filled_quantity="0.004", average_price=49000, fees="0.1")
    assert found.events == ("partially_filled",)
    assert (found.order.status, found.order.filled_quantity) == (PARTLY, D("0.004"))


def test_the_price_of_a_later_fill_is_the_difference_in_value():
    found = correction(HALF_FILLED, status=FILLED, filled_quantity="0.01", average_price=49100, fees="0.3")
    assert found.events == ("filled",)
    assert (found.filled_delta, found.fill_price, found.fee_delta) == (D("0.005"), 49200, D("0.2"))
    assert found.order.average_price == 49100


def test_a_difference_that_makes_no_sense_falls_back_to_the_average():
    order = replace(HALF_FILLED, filled_quantity=D("0.009"))
    found = correction(order, status=FILLED, filled_quantity="0.01", average_price=100)
    assert found.fill_price == 100


def test_a_fill_without_a_price_is_booked_at_the_orders_own():
    assert correction(an_order(), status=FILLED, filled_quantity="0.01").fill_price == 49000
    assert correction(an_order(), price=48900, status=FILLED, filled_quantity="0.01").fill_price == 48900
    market = an_order(order_type=OrderType.MARKET, price=None, reference_price=50000)
    found = correction(market, price=None, status=FILLED, filled_quantity="0.01")
    assert found.fill_price == 50000
    found = correction(
        replace(market, reference_price=None), price=None, status=FILLED, filled_quantity="0.01"
    )
    assert found.fill_price == 0


def test_an_order_cancelled_after_a_part_keeps_the_part():
    found = correction(
        an_order(),
        status=CANCELLED,
        filled_quantity="0.004",
        average_price=49000,
        reason="CancelByUser",
    )
    assert found.events == ("partially_filled", "cancelled")
    assert (found.order.status, found.order.filled_quantity) == (CANCELLED, D("0.004"))
    assert found.order.reason == "CancelByUser"


def test_a_rejection_of_an_order_with_fills_is_a_cancellation():
    found = correction(HALF_FILLED, status=REJECTED, filled_quantity="0.005", average_price=49000, fees="0.1")
    assert found.events == ("cancelled",)


def test_a_terminal_order_does_not_open_again():
    for status in (FILLED, CANCELLED, REJECTED):
        order = an_order(status=status, exchange_updated_at=at(1))
        assert apply_report(order, a_report()) is None
        found = apply_report(order, a_report(updated_at=at(5)))
        assert (found.order.status, found.events) == (status, ())


def test_the_reason_of_a_cancel_that_is_under_way_is_kept_to_its_end():
    order = an_order(cancel_requested_at=at(0), reason="superseded")
    found = correction(order, status=PARTLY, filled_quantity="0.004", average_price=49000)
    assert found.order.reason == "superseded"
    cancelled = correction(found.order, status=CANCELLED, filled_quantity="0.004", reason="CancelByUser")
    assert cancelled.order.reason == "superseded"
    assert correction(found.order, status=FILLED, filled_quantity="0.01").order.reason is None


def test_a_fill_heard_of_after_the_cancel_is_booked():
    order = an_order(status=CANCELLED, reason="CancelByUser", exchange_updated_at=at(9))
    found = correction(order, status=PARTLY, filled_quantity="0.004", average_price=49000)
    assert found.events == ("partially_filled",)
    assert (found.order.status, found.order.reason) == (CANCELLED, "CancelByUser")
    assert found.filled_delta == D("0.004")


def test_a_cancel_that_lost_its_race_ends_filled():
    order = an_order(status=CANCELLED, reason="CancelByUser", exchange_updated_at=at(9))
    found = correction(order, status=FILLED, filled_quantity="0.01", average_price=49000)
    assert found.events == ("filled",)
    assert (found.order.status, found.order.reason) == (FILLED, None)


def test_a_second_filled_report_of_the_race_changes_nothing():
    order = an_order(status=FILLED, filled_quantity="0.01", average_price=49000, exchange_updated_at=at(1))
    again = a_report(
        status=FILLED, filled_quantity="0.01", average_price=49000, reason="EC_OrigClOrdIDDoesNotExist"
    )
    assert apply_report(order, again) is None


@pytest.mark.parametrize("status", [PENDING, PARTLY])
def test_an_older_report_with_no_more_filled_changes_nothing(status):
    older = a_report(status=status, filled_quantity="0.004", average_price=1, updated_at=at(0))
    assert apply_report(HALF_FILLED, older) is None
    amended = replace(HALF_FILLED, announced=HALF_FILLED.announced | {OrderEvent.MODIFIED})
    assert apply_report(amended, replace(older, price=D(1))) is None


@pytest.mark.parametrize("status", [PARTLY, FILLED])
def test_a_report_that_is_further_is_newer_whatever_the_exchange_s_clock_says(status):
    """It was set back between two amendments."""
    found = correction(
        HALF_FILLED,
        status=status,
        quantity="0.006" if status is FILLED else "0.02",
        filled_quantity="0.006",
        average_price=49000,
        price=48000,
        updated_at=at(0),
    )
    assert found.events == ("modified", status.value)
    assert (found.order.request.price, found.order.exchange_updated_at) == (48000, at(1))
    assert found.order.status is status


def test_what_was_told_before_the_end_changes_no_terms_after_it():
    order = an_order(status=CANCELLED, price=48000, exchange_updated_at=at(1), announced=set(OrderEvent))
    assert correction(order, price=49000, updated_at=at(5)).order.request.price == 48000


def test_a_terminal_status_counts_however_old_the_report():
    found = correction(HALF_FILLED, status=CANCELLED, filled_quantity="0.005", updated_at=at(0))
    assert found.events == ("cancelled",)
    assert found.order.exchange_updated_at == at(1)


def test_a_partial_fill_heard_of_after_the_end_is_announced_late():
    order = an_order(status=FILLED, filled_quantity="0.01", average_price=49000, exchange_updated_at=at(9))
    found = correction(order, status=PARTLY, filled_quantity="0.004", average_price=49000)
    assert (found.events, found.fill, found.order.status) == (("partially_filled",), None, FILLED)


def test_an_amendment_heard_of_after_a_newer_report_is_announced_late():
    order = an_order(price=48900, exchange_updated_at=at(9))
    found = correction(order, price=49000)
    assert found.events == ("modified",)
    assert (found.modification.before.price, found.modification.after.price) == (49000, 48900)
    assert found.order.request.price == 48900


@pytest.mark.parametrize("filled", ["0", "0.004"])
def test_an_order_that_we_took_for_never_sent_lives_when_the_exchange_has_it(filled):
    ended = an_order(status=REJECTED, exchange_order_id=None, reason="never sent")
    found = correction(ended, filled_quantity=filled, average_price=49000)
    assert found.order.is_open
    assert found.order.reason is None
    assert found.events[0] == "created"


def test_filled_quantity_never_shrinks():
    found = correction(HALF_FILLED, status=PENDING, updated_at=at(9))
    assert (found.order.status, found.order.filled_quantity, found.order.fees) == (
        PARTLY,
        D("0.005"),
        D("0.1"),
    )
    assert found.events == ()


def test_all_of_the_quantity_filled_is_filled_whatever_the_word():
    assert correction(HALF_FILLED, status=PARTLY, filled_quantity="0.01").order.status is FILLED


def test_a_newer_clock_alone_is_stored_but_not_announced():
    found = correction(an_order(exchange_updated_at=at(1)), updated_at=at(2))
    assert (found.events, found.order.exchange_updated_at) == ((), at(2))


def test_a_fee_that_comes_later_is_stored_but_not_announced():
    found = correction(HALF_FILLED, status=PARTLY, filled_quantity="0.005", average_price=49000, fees="0.4")
    assert (found.events, found.fee_delta, found.fill) == ((), D("0.3"), None)


def test_a_report_that_leaves_the_fee_out_does_not_forget_it():
    report = a_report(status=PARTLY, filled_quantity="0.005", average_price=49000, fees=0)
    assert apply_report(HALF_FILLED, report) is None


def test_terms_changed_at_the_exchange_are_told_before_and_after():
    found = correction(an_order(), price=48900, quantity="0.02")
    assert found.events == ("modified",)
    assert found.modification.before == Terms(quantity=D("0.01"), price=D(49000))
    assert found.modification.after == Terms(quantity=D("0.02"), price=D(48900))
    assert found.order.request.price == 48900


def test_of_two_changes_in_the_same_moment_the_one_heard_last_counts():
    order = an_order(exchange_updated_at=at(1))
    assert correction(order, price=48900, updated_at=at(1)).order.request.price == 48900


def test_terms_that_the_report_leaves_out_stay():
    found = correction(an_order(), price=None, quantity=0)
    assert (found.events, found.modification) == ((), None)


def test_the_internal_price_of_a_market_order_is_not_a_modification():
    market = an_order(order_type=OrderType.MARKET, price=None)
    assert correction(market, price=51000).order.request.price is None
    assert correction(market, price=51000, quantity="0.02").events == ("modified",)


def test_a_report_of_another_order_is_not_merged():
    assert apply_report(an_order(), a_report(exchange_order_id="exchange-2", status=FILLED)) is None


def test_a_dry_run_order_hears_nothing():
    order = an_order(status=OrderStatus.DRY_RUN, exchange_order_id=None)
    assert apply_report(order, a_report(status=FILLED)) is None


@pytest.mark.parametrize(("asked_at", "proven"), [(6.9, False), (7, False), (7.1, True)])
def test_absence_is_proof_only_when_the_request_can_no_longer_arrive(asked_at, proven):
    answer = absence_proves_never_accepted(
        intended_at=at(0), asked_at=at(asked_at), recv_window_s=5, margin_s=2.0
    )
    assert answer is proven


@pytest.mark.parametrize(
    ("asked_at", "unseen_since", "proven"),
    [(86401, 100, False), (86402, 100, True), (86402, None, False), (86402, 86000, False)],
)
def test_absence_ends_an_order_only_after_the_exchange_has_forgotten_it(asked_at, unseen_since, proven):
    order = an_order(exchange_updated_at=at(1), unseen_since=unseen_since and at(unseen_since))
    answer = absence_proves_ended(order, asked_at=at(asked_at), retention_s=86400, unseen_s=600)
    assert answer is proven


def test_an_end_that_was_only_presumed_is_taken_back():
    presumed = an_order(status=CANCELLED, reason="forgotten", unseen_since=at(5))
    found = correction(presumed)
    assert (found.order.status, found.order.reason, found.order.unseen_since) == (PENDING, None, None)
