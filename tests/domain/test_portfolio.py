"""The Position Manager's numbers beside our own."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import Side
from order_manager.domain.planning import plan_orders
from order_manager.domain.portfolio import LAG, Holding, Portfolio, with_portfolio
from order_manager.domain.state import Plan, PositionSource, Rejection
from tests.builders import NOW, a_signal, a_state, holding, some_rules

MONEY = st.decimals("0", "1000000", places=2)


def told(size="0", *, total="0", **more):
    signed = D(size)
    theirs = Holding(symbol="BTCUSDT", long_size=max(signed, D(0)), short_size=max(-signed, D(0)), **more)
    return Portfolio(holding=theirs, total_exposure=D(total), asked_at=NOW)


def seen(portfolio, *, orders="0", moved_at=None, **state):
    return with_portfolio(a_state(**state), portfolio, other_orders=D(orders), moved_at=moved_at)


def test_the_symbols_position_is_theirs():
    state = seen(told("0.3"), position=holding("0.1"))
    assert state.position.long_size == D("0.3")
    assert state.source is PositionSource.POSITION_MANAGER


@pytest.mark.parametrize(
    ("ago", "expected"), [(timedelta(0), "0.1"), (LAG / 2, "0.1"), (LAG, "0.3"), (LAG * 100, "0.3")]
)
def test_a_position_that_we_have_just_moved_is_ours(ago, expected):
    state = seen(told("0.3"), position=holding("0.1"), moved_at=NOW - ago)
    assert state.position.long_size == D(expected)


@pytest.mark.parametrize(
    ("portfolio", "expected"),
    [
        (told("0.3", total=40000), 25000),  # at our mark price of 50000
        (told("-0.3", total=40000), 25000),
        (told("0.3", total=40000, mark_price=D(60000)), 22000),
        (told("0.3", total=40000, exposure=D(10000)), 30000),
        (told("0.3", total=14999), 0),  # the total is of another moment than the position
    ],
)
def test_the_exposure_of_others_is_their_total_less_the_symbols_part(portfolio, expected):
    assert seen(portfolio).other_exposure == expected


def test_our_open_orders_are_added():
    state = seen(told(total=40000), other_exposure=D(7000), orders=7000)
    assert state.other_exposure == 47000


@given(theirs=MONEY, positions=MONEY, orders=MONEY)
def test_we_never_count_less_than_either_knows(theirs, positions, orders):
    state = seen(told(total=theirs), other_exposure=positions + orders, orders=orders)
    assert state.other_exposure >= positions + orders
    assert state.other_exposure >= theirs + orders
    assert state.other_exposure in {positions + orders, theirs + orders}


def test_while_they_are_away_only_what_reduces_goes_on():
    away = {"source": PositionSource.NOBODY}
    opening = plan_orders(a_signal(), a_state(**away), some_rules())
    assert isinstance(opening, Rejection)
    assert opening.code == "position_manager_unavailable"
    reducing = plan_orders(a_signal(side=Side.SELL), a_state(position=holding(1), **away), some_rules())
    assert isinstance(reducing, Plan)
    assert reducing.place[0].reduce_only


def test_our_own_numbers_are_not_checked_for_being_known():
    plan = plan_orders(a_signal(), a_state(), some_rules())
    assert "position_known" not in {check.rule for check in plan.checks}
