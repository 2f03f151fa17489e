"""Our position against another picture of it, leg by leg."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import Side
from order_manager.domain.positions import Fill, Leg, Position, PositionMode, apply_fill
from order_manager.domain.validating import Takings, leg_differences, with_takings
from tests.builders import D


def leg(size, price=None, **more):
    return Leg(size=D(size), average_price=None if price is None else D(price), **more)


def differences(stored, shown):
    return [
        (one.position_idx, one.stored.size, one.size, one.average_price, one.is_of_size)
        for one in leg_differences(stored, shown)
    ]


def test_equal_legs_do_not_differ_whatever_they_have_earned():
    assert differences({0: leg(2, 100, realized_pnl=D(5), fees=D(1))}, {0: leg("2.0", 100)}) == []


def test_another_size_is_told_with_the_price_that_goes_with_it():
    assert differences({0: leg(2, 100)}, {0: leg(3, 110)}) == [(0, 2, 3, 110, True)]
    assert differences({0: leg(2, 100)}, {0: leg(0)}) == [(0, 2, 0, None, True)]


def test_each_leg_is_compared_with_its_own():
    stored, shown = {1: leg(2, 100), 2: leg(-1, 100)}, {1: leg(2, 100), 2: leg(-3, 90)}
    assert differences(stored, shown) == [(2, -1, -3, 90, True)]


def test_a_leg_that_one_side_does_not_have_is_flat_there():
    assert differences({0: leg(0)}, {1: leg(0), 2: leg(0)}) == []
    moved_mode = differences({0: leg(2, 100)}, {1: leg(2, 100), 2: leg(0)})
    assert moved_mode == [(0, 2, 0, None, True), (1, 0, 2, 100, True)]


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [
        ("100", "100.0001", True),  # a millionth: they round
        ("100", "100.0002", False),
        ("100", None, True),  # they do not tell
        ("100", "0", True),
        (None, "100", False),  # we do not know
        (None, None, True),
    ],
)
def test_prices_are_the_same_within_the_exchanges_rounding(ours, theirs, is_same):
    found = differences({0: leg(2, ours)}, {0: leg(2, theirs)})
    assert found == ([] if is_same else [(0, 2, 2, D(theirs), False)])


def test_a_flat_leg_has_no_price():
    assert differences({0: leg(0)}, {0: leg(0, 100)}) == []


LEGS = st.dictionaries(
    st.sampled_from([0, 1, 2]), st.builds(leg, st.integers(-2, 2), st.none() | st.integers(1, 3))
)


@given(LEGS, LEGS)
def test_once_set_right_nothing_differs(stored, shown):
    found = leg_differences(stored, shown)
    right = {one.position_idx: one.set_right(one.stored) for one in found}
    assert leg_differences({**stored, **right}, shown) == []
    assert leg_differences(stored, stored) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "right"),
    [
        (("2", "100"), ("3", "110"), ("3", "110", "5")),  # whatever it was that filled, it is not known
        (("2", "100"), ("0", None), ("0", None, "5")),
        (("2", "100"), ("3", None), ("3", "100", "5")),
        (("2", None), ("2", "100"), ("2", "100", "5")),
        (("2", "100"), ("2", "110"), ("2", "110", "25")),  # 20 of what is unrealized were realized
        (("-2", "100"), ("-2", "110"), ("-2", "110", "-15")),
    ],
)
def test_a_leg_that_is_set_right(ours, theirs, right):
    stored = leg(*ours, realized_pnl=D(5), fees=D(1))
    (found,) = leg_differences({0: stored}, {0: leg(*theirs)})
    size, price, realized = right
    assert found.set_right(stored) == leg(size, price, realized_pnl=D(realized), fees=D(1))


def takings(*fills):
    return Takings(
        cash=sum((-fill.side.sign * fill.quantity * fill.price for fill in fills), D(0)),
        fees=sum((fill.fee for fill in fills), D(0)),
        turnover=sum((fill.quantity * fill.price for fill in fills), D(0)),
    )


FILLS = st.lists(
    st.builds(
        Fill,
        side=st.sampled_from(Side),
        quantity=st.integers(1, 4).map(D),
        price=st.integers(1, 1000).map(D),
        fee=st.integers(-3, 3).map(D),
    ),
    max_size=8,
)


@given(FILLS, st.randoms())
def test_fills_learned_of_in_another_order_come_to_the_same_once_the_price_is_set_right(fills, dice):
    shuffled = list(fills)
    dice.shuffle(shuffled)
    true, stored = Leg(), Leg()
    for fill in fills:
        true = apply_fill(true, fill)
    for fill in shuffled:
        stored = apply_fill(stored, fill)
    for one in leg_differences({0: stored}, {0: true}):
        stored = one.set_right(stored)
    assert stored.size == true.size
    # A millionth of the price may be left as it is; the rest is the last digit of a quotient.
    assert abs(stored.realized_pnl - true.realized_pnl) <= abs(true.size) * D("0.001") + D("1e-20")


@given(FILLS)
def test_what_its_fills_come_to_is_what_a_position_earned(fills):
    held = Leg()
    for fill in fills:
        held = apply_fill(held, fill)
    position = Position(symbol="BTCUSDT", net=held)
    assert with_takings(position, {0: takings(*fills)}) is position
    wrong = Position(symbol="BTCUSDT", net=replace(held, realized_pnl=held.realized_pnl + 99, fees=D(1000)))
    right = with_takings(wrong, {0: takings(*fills)})
    assert abs(right.net.realized_pnl - held.realized_pnl) < D("1e-20")
    assert right.net.fees == held.fees
    assert with_takings(wrong, {0: None}) is wrong  # not every fill was seen


@given(FILLS, FILLS)
def test_the_legs_of_a_hedge_share_what_they_earned(buys, sells):
    fills = {
        1: [replace(fill, side=Side.BUY) for fill in buys],
        2: [replace(fill, side=Side.SELL) for fill in sells],
    }
    legs = {1: Leg(), 2: Leg()}
    for idx in legs:
        for fill in fills[idx]:
            legs[idx] = apply_fill(legs[idx], fill)
    paid = legs[1].fees + legs[2].fees
    position = Position(
        symbol="BTCUSDT",
        mode=PositionMode.HEDGE,
        long=replace(legs[1], fees=paid),
        short=replace(legs[2], fees=D(0)),
    )
    known = {idx: takings(*fills[idx]) for idx in fills if fills[idx]}
    assert with_takings(position, known) is position
    wrong = position.with_fee(2, D(1000))
    right = with_takings(wrong, known)
    assert sum(one.fees for one in right.legs.values()) == paid
    assert abs(sum(one.realized_pnl for one in right.legs.values())) < D("1e-20")  # nothing was closed
    assert with_takings(wrong, {**known, 1: None}) is wrong


def test_without_a_price_or_a_fill_nothing_is_concluded():
    for price in (None, 100):
        position = Position(symbol="BTCUSDT", net=leg(2, price, realized_pnl=D(5)))
        assert with_takings(position, {}) is position
