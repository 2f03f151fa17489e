"""Which open orders make way for a new one, and which one may become it."""

from dataclasses import replace

import pytest

from order_manager.domain.cancelling import amendable_order, amendment_of, part_orders, stale_orders
from order_manager.domain.orders import OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.state import PlannedOrder
from tests.builders import D, an_order, at, some_rules

BUY, SELL = an_order(client_order_id="buy"), an_order(client_order_id="sell", side=Side.SELL)
PART = an_order(client_order_id="part", status=OrderStatus.PARTIALLY_FILLED, filled_quantity="0.001")
WANTED = PlannedOrder(
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.POST_ONLY,
    quantity=D("0.02"),
    price=D(49500),
    reduce_only=False,
    position_idx=0,
)


def cancelled(orders, order_type=OrderType.LIMIT, side=Side.BUY, **rules):
    parted = part_orders(orders, side, order_type, some_rules(**rules))
    assert {*parted.cancel, *parted.keep} == {order for order in orders if order.is_open}
    return parted.cancel


def test_all_pending_orders_make_way_for_a_limit_order():
    assert cancelled([BUY, SELL]) == (BUY, SELL)


def test_only_opposite_orders_make_way_by_setting():
    assert cancelled([BUY, SELL], cancel_opposite_orders_only=True) == (SELL,)
    assert cancelled([BUY, SELL], side=Side.SELL, cancel_opposite_orders_only=True) == (BUY,)


def test_a_market_order_clears_both_sides_whatever_the_setting():
    assert cancelled([BUY, SELL], OrderType.MARKET, cancel_opposite_orders_only=True) == (BUY, SELL)


def test_a_partially_filled_order_stays_unless_configured():
    assert cancelled([PART], OrderType.MARKET) == ()
    assert cancelled([PART], OrderType.MARKET, cancel_partially_filled=True) == (PART,)
    assert cancelled([PART], cancel_partially_filled=True) == (PART,)


@pytest.mark.parametrize(
    "order",
    [
        an_order(exchange_order_id=None),
        an_order(signal_id=None),
        an_order(order_type=OrderType.MARKET, price=None, time_in_force=TimeInForce.IOC),
    ],
    ids=["in flight", "external", "market order"],
)
def test_orders_that_are_not_ours_to_cancel_stay(order):
    assert cancelled([order], OrderType.MARKET) == ()


def test_a_closed_order_is_neither_cancelled_nor_kept():
    parted = part_orders([an_order(status=OrderStatus.FILLED)], Side.BUY, OrderType.LIMIT, some_rules())
    assert parted.cancel == parted.keep == ()


AMENDING = some_rules(enable_order_amending=True)


def test_the_one_pending_order_of_the_same_side_can_be_amended():
    assert amendable_order((SELL, BUY), (WANTED,), AMENDING) is BUY
    amendment = amendment_of(BUY, WANTED)
    assert amendment is not None
    assert (amendment.order, amendment.quantity, amendment.price) == (BUY, D("0.02"), D(49500))


def test_an_order_that_is_as_wanted_needs_no_amendment():
    assert amendment_of(BUY, replace(WANTED, quantity=D("0.010"), price=D("49000.0"))) is None


def test_nothing_is_amended_unless_configured():
    assert amendable_order((BUY,), (WANTED,), some_rules()) is None


@pytest.mark.parametrize(
    "order",
    [
        replace(BUY, filled_quantity=D("0.001")),
        replace(BUY, cancel_requested_at=at(0)),
        an_order(time_in_force=TimeInForce.GTC),
        an_order(reduce_only=True),
        an_order(position_idx=1),
        SELL,
    ],
    ids=["filled in part", "being cancelled", "time in force", "reduce only", "other leg", "other side"],
)
def test_an_order_of_another_kind_cannot_be_amended(order):
    assert amendable_order((order,), (WANTED,), AMENDING) is None


def test_two_orders_of_the_same_side_are_cancelled_not_amended():
    assert amendable_order((BUY, PART), (WANTED,), AMENDING) is None


def test_slices_and_market_orders_are_not_amended_into():
    market = replace(WANTED, order_type=OrderType.MARKET, price=None)
    assert amendable_order((BUY,), (WANTED, WANTED), AMENDING) is None
    assert amendable_order((BUY,), (market,), AMENDING) is None


def stale(*orders, seconds=3601, **rules):
    return stale_orders(orders, now=at(seconds), timeout_s=3600, rules=some_rules(**rules))


def test_an_order_is_stale_when_it_has_rested_for_longer_than_the_timeout():
    assert stale(BUY, SELL) == (BUY, SELL)
    assert stale(BUY, seconds=3600) == ()
    assert stale(replace(BUY, created_at=at(1))) == ()
    assert stale(replace(BUY, created_at=None)) == ()


def test_a_stale_order_that_filled_in_part_goes_only_when_configured():
    assert stale(PART) == ()
    assert stale(PART, cancel_partially_filled=True) == (PART,)


def test_others_stale_orders_go_only_when_configured():
    theirs = an_order(signal_id=None)
    assert stale(theirs) == ()
    assert stale(theirs, cancel_external_orders=True) == (theirs,)


@pytest.mark.parametrize(
    "order",
    [
        an_order(exchange_order_id=None),
        an_order(time_in_force=TimeInForce.IOC),
        an_order(status=OrderStatus.CANCELLED),
        an_order(cancel_requested_at=at(0)),
    ],
    ids=["in flight", "ends by itself", "ended", "being cancelled"],
)
def test_an_old_order_that_does_not_rest_is_not_stale(order):
    assert stale(order) == ()
