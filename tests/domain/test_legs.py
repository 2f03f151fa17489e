"""Open or reduce, on which leg, and how much."""

import pytest

from order_manager.domain.legs import intent_for, may_open
from order_manager.domain.orders import Category, OrderStatus, Side
from tests.builders import D, a_position, an_order, hedged, holding


@pytest.mark.parametrize(
    ("side", "position", "reduce_only", "position_idx"),
    [
        (Side.BUY, a_position(), False, 0),
        (Side.SELL, a_position(), False, 0),
        (Side.BUY, holding(1), False, 0),
        (Side.SELL, holding(-1), False, 0),
        (Side.SELL, holding(1), True, 0),
        (Side.BUY, holding(-1), True, 0),
        (Side.BUY, hedged(), False, 1),
        (Side.SELL, hedged(), False, 2),
        (Side.BUY, hedged(long=1), False, 1),
        (Side.SELL, hedged(long=1), True, 1),
        (Side.SELL, hedged(short=1), False, 2),
        (Side.BUY, hedged(short=1), True, 2),
        (Side.SELL, hedged(long=1, short=1), True, 1),
        (Side.BUY, hedged(long=1, short=1), True, 2),
    ],
)
def test_the_other_side_is_reduced_before_anything_is_opened(side, position, reduce_only, position_idx):
    intent = intent_for(side, position, ())
    assert (intent.reduce_only, intent.position_idx) == (reduce_only, position_idx)


def test_our_surviving_reduce_only_orders_claim_their_part():
    keep = [
        an_order(side=Side.SELL, reduce_only=True, quantity=3),
        an_order(
            side=Side.SELL,
            reduce_only=True,
            quantity=2,
            status=OrderStatus.PARTIALLY_FILLED,
            filled_quantity="1.5",
        ),
        an_order(side=Side.SELL, quantity=7),
        an_order(side=Side.BUY, reduce_only=True, quantity=7),
        an_order(side=Side.SELL, reduce_only=True, quantity=7, signal_id=None),
    ]
    intent = intent_for(Side.SELL, holding(10), keep)
    assert (intent.held, intent.claimed, intent.reducible) == (10, D("3.5"), D("6.5"))


def test_no_less_than_nothing_is_left_to_reduce():
    keep = [an_order(side=Side.BUY, reduce_only=True, quantity=3)]
    assert intent_for(Side.BUY, holding(-2), keep).reducible == 0


@pytest.mark.parametrize(
    ("side", "category", "allow_short", "allowed"),
    [
        (Side.BUY, Category.SPOT, False, True),
        (Side.SELL, Category.LINEAR, False, False),
        (Side.SELL, Category.LINEAR, True, True),
        (Side.SELL, Category.SPOT, True, False),
    ],
)
def test_shorts_are_opened_only_when_allowed_and_never_on_spot(side, category, allow_short, allowed):
    assert may_open(intent_for(side, a_position(), ()), category, allow_short=allow_short) is allowed
