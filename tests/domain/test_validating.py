"""Our position against another picture of it, leg by leg."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.positions import Leg
from order_manager.domain.validating import leg_differences
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


LEGS = st.dictionaries(
    st.sampled_from([0, 1, 2]), st.builds(leg, st.integers(-2, 2), st.none() | st.integers(1, 3))
)


@given(LEGS, LEGS)
def test_once_set_right_nothing_differs(stored, shown):
    found = leg_differences(stored, shown)
    right = {one.position_idx: Leg(size=one.size, average_price=one.average_price) for one in found}
    assert leg_differences({**stored, **right}, shown) == []
    assert leg_differences(stored, stored) == []
