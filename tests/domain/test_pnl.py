"""What positions have brought and would bring."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import Side
from order_manager.domain.pnl import (
    entry_price,
    held_side,
    long_leg,
    paid_fees,
    realized_pnl,
    short_leg,
    unrealized_percent,
    unrealized_pnl,
)
from order_manager.domain.positions import Fill, Leg, apply_fill
from tests.builders import a_position, hedged, holding

SIZES = st.decimals("-1000000", "1000000", places=8).filter(bool)
PRICES = st.decimals("0.00000001", "1000000", places=8)


@pytest.mark.parametrize(
    ("position", "side", "price"),
    [
        (a_position(), "flat", None),
        (holding(2, 100), "long", D(100)),
        (holding(-2, 100), "short", D(100)),
        (hedged(long=1), "long", D(50000)),
        (hedged(short=1), "short", D(50000)),
        (hedged(long=1, short=1), "both", None),
    ],
)
def test_a_position_has_a_side_and_one_leg_has_an_entry_price(position, side, price):
    assert (held_side(position), entry_price(position)) == (side, price)


def test_legs_have_the_sign_of_their_side():
    assert (long_leg(holding(2)).size, short_leg(holding(2)).size) == (2, 0)
    assert (long_leg(holding(-2)).size, short_leg(holding(-2)).size) == (0, -2)
    both = hedged(long=3, short=1)
    assert (long_leg(both).size, short_leg(both).size) == (3, -1)


def test_what_was_realized_is_after_fees():
    position = a_position(net=Leg(realized_pnl=D(10), fees=D("2.5")))
    assert (realized_pnl(position), paid_fees(position)) == (D("7.5"), D("2.5"))


@pytest.mark.parametrize(
    ("size", "mark", "pnl", "percent"),
    [
        (2, 110, 20, 10),
        (2, 90, -20, -10),
        (-2, 110, -20, -10),
        (-2, 90, 20, 10),
        (2, 100, 0, 0),
        (-1, 300, -200, -200),  # a short can lose more than it cost
    ],
)
def test_what_closing_would_bring(size, mark, pnl, percent):
    leg = Leg(size=D(size), average_price=D(100))
    assert unrealized_pnl([leg], D(mark)) == pnl
    assert unrealized_percent(leg, D(mark)) == percent


def test_what_cannot_be_told_is_not_told():
    leg, costless = Leg(size=D(1), average_price=D(100)), Leg(size=D(1))
    assert unrealized_pnl([leg], None) is None
    assert unrealized_pnl([leg, costless], D(1)) is None
    assert unrealized_percent(leg, None) is None
    assert unrealized_percent(costless, D(1)) is None
    assert unrealized_percent(Leg(), D(1)) is None


def test_nothing_held_brings_nothing_at_any_price():
    assert unrealized_pnl([Leg(), Leg()], None) == 0


@given(size=SIZES, entry=PRICES, mark=PRICES)
def test_closing_at_the_mark_price_realizes_what_was_unrealized(size, entry, mark):
    leg = Leg(size=size, average_price=entry)
    closed = apply_fill(leg, Fill(side=Side.SELL if size > 0 else Side.BUY, quantity=abs(size), price=mark))
    told = unrealized_pnl([leg], mark)
    assert abs(told - closed.realized_pnl) <= D("0.00000001")


@given(size=SIZES, entry=PRICES, mark=PRICES)
def test_a_loss_in_percent_is_a_loss_in_quote(size, entry, mark):
    leg = Leg(size=size, average_price=entry)
    pnl, percent = unrealized_pnl([leg], mark), unrealized_percent(leg, mark)
    assert pnl * percent >= 0
    assert not pnl.is_signed() or pnl < 0
    assert not percent.is_signed() or percent < 0


@given(long=PRICES, short=PRICES, mark=PRICES)
def test_the_legs_of_a_hedge_add_up(long, short, mark):
    legs = [Leg(size=D(2), average_price=long), Leg(size=D(-1), average_price=short)]
    assert unrealized_pnl(legs, mark) == sum(unrealized_pnl([leg], mark) for leg in legs)


def test_numbers_as_large_as_the_tables_hold_can_be_multiplied():
    leg = Leg(size=D("9" * 20), average_price=D("0.000000000000000001"))
    assert unrealized_pnl([leg], D("9" * 20)) > D(10) ** 39
