"""What a fill does to what we hold."""

from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import Side
from order_manager.domain.positions import Fill, Leg, apply_fill
from tests.builders import D, a_position, hedged, holding


def a_fill(side, quantity, price, fee=0):
    return Fill(side=side, quantity=D(quantity), price=D(price), fee=D(fee))


def after(*fills, leg=None):
    leg = leg or Leg()
    for fill in fills:
        leg = apply_fill(leg, fill)
    return leg


def test_a_growing_position_averages_in():
    leg = after(a_fill(Side.BUY, 1, 100, fee=1), a_fill(Side.BUY, 3, 200, fee=2))
    assert leg == Leg(size=D(4), average_price=D(175), realized_pnl=D(0), fees=D(3))


def test_a_shrinking_position_realizes_and_keeps_its_average():
    leg = after(a_fill(Side.BUY, 4, 100), a_fill(Side.SELL, 1, 130))
    assert (leg.size, leg.average_price, leg.realized_pnl) == (3, 100, 30)


def test_a_short_earns_when_the_price_falls():
    leg = after(a_fill(Side.SELL, 2, 100), a_fill(Side.BUY, 2, 90))
    assert (leg.size, leg.average_price, leg.realized_pnl) == (0, None, 20)


def test_a_position_turned_through_zero_opens_the_rest_at_the_fills_price():
    leg = after(a_fill(Side.BUY, 1, 100), a_fill(Side.SELL, 3, 110))
    assert (leg.size, leg.average_price, leg.realized_pnl) == (-2, 110, 10)


def test_a_holding_of_unknown_cost_realizes_nothing():
    leg = after(a_fill(Side.SELL, 1, 110), leg=Leg(size=D(2)))
    assert (leg.size, leg.average_price, leg.realized_pnl) == (1, None, 0)


def test_a_fill_reaches_the_leg_that_its_order_named():
    fill = a_fill(Side.BUY, 1, 100)
    assert a_position().with_fill(0, fill).net.size == 1
    assert hedged(long=1, short=1).with_fill(1, fill).long.size == 2
    assert hedged(long=1, short=1).with_fill(2, fill).short.size == 0


def test_sizes_are_told_by_side():
    sizes = [(p.long_size, p.short_size, p.gross_size()) for p in (holding(2), holding(-3), a_position())]
    assert sizes == [(2, 0, 2), (0, 3, 3), (0, 0, 0)]
    both = hedged(long=2, short=3)
    assert (both.long_size, both.short_size, both.gross_size()) == (2, 3, 5)


FILLS = st.lists(
    st.builds(
        Fill,
        side=st.sampled_from(Side),
        quantity=st.decimals("0.001", "100", places=3),
        price=st.decimals("0.01", "100000", places=2),
        fee=st.decimals("-1", "1", places=4),
    ),
    max_size=12,
)


@given(FILLS, st.decimals("0.01", "100000", places=2))
def test_profit_at_any_mark_is_what_was_paid_and_what_is_held(fills, mark):
    leg = after(*fills)
    cash = sum((-fill.side.sign * fill.quantity * fill.price for fill in fills), D(0))
    unrealized = leg.size * (mark - (leg.average_price or D(0)))
    assert leg.size == sum(fill.side.sign * fill.quantity for fill in fills)
    assert (leg.average_price is None) == (leg.size == 0)
    assert leg.fees == sum(fill.fee for fill in fills)
    assert abs(leg.realized_pnl + unrealized - (cash + leg.size * mark)) < D("1e-12")
