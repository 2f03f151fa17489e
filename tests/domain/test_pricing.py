"""Market or limit, and at what price."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.instruments import ceil_to_step, floor_to_step
from order_manager.domain.orders import OrderType, Side, TimeInForce
from order_manager.domain.pricing import (
    limit_price,
    price_range,
    price_to_hit,
    price_warnings,
    style_for,
    view_of,
)
from tests.builders import D, a_limit_signal, a_market, a_signal, an_instrument, some_rules

SIDES = pytest.mark.parametrize("side", list(Side))


def style(signal, market=None, **rules):
    return style_for(signal, view_of(signal, market or a_market()), some_rules(**rules))


def test_a_sure_signal_trades_at_market():
    chosen = style(a_limit_signal(confidence="0.9"))
    assert (chosen.order_type, chosen.time_in_force) == (OrderType.MARKET, TimeInForce.IOC)
    assert "confidence 0.9 is at least 0.9" in chosen.reason


def test_an_urgent_signal_trades_at_market():
    chosen = style(a_limit_signal(is_urgent=True))
    assert chosen.order_type is OrderType.MARKET
    assert "urgent" in chosen.reason


def test_a_narrow_spread_trades_at_market():
    chosen = style(a_signal(snapshot_spread="1.5"))
    assert chosen.order_type is OrderType.MARKET
    assert "spread 1.5 at 50000 is below 0.1 %" in chosen.reason


def test_anything_else_rests_as_a_post_only_limit_order():
    chosen = style(a_limit_signal())
    assert (chosen.order_type, chosen.time_in_force) == (OrderType.LIMIT, TimeInForce.POST_ONLY)


def test_a_spread_exactly_at_the_threshold_is_not_narrow():
    assert style(a_signal(snapshot_spread=50)).order_type is OrderType.LIMIT


def test_a_missing_confidence_never_counts_as_high():
    assert style(a_limit_signal(confidence=None), market_order_confidence_threshold=0).order_type is (
        OrderType.LIMIT
    )


def test_a_missing_snapshot_falls_back_to_the_ticker():
    view = view_of(a_signal(snapshot_price=None, snapshot_spread=None), a_market(last=50001))
    assert (view.price, view.spread, view.spread_base) == (50001, D("0.1"), 50001)


def test_a_book_with_an_empty_side_is_not_a_narrow_spread():
    signal = a_signal(snapshot_spread=None)
    for market in (a_market(ask=0), a_market(bid=0)):
        chosen = style(signal, market)
        assert chosen.order_type is OrderType.LIMIT
        assert "unknown" in chosen.reason
        assert limit_price(Side.BUY, view_of(signal, market), an_instrument(), some_rules()) == 50000


def test_a_crossed_book_has_no_negative_spread():
    assert view_of(a_signal(snapshot_spread=None), a_market(bid=50001)).spread == 0


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "49950.0"), (Side.SELL, "50050.0")])
def test_a_limit_order_gives_up_half_the_spread_on_our_side(side, price):
    view = view_of(a_limit_signal(), a_market())
    assert limit_price(side, view, an_instrument(), some_rules()) == D(price)


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "49949.5"), (Side.SELL, "50050.5")])
def test_a_buy_rounds_down_to_the_tick_and_a_sell_up(side, price):
    view = view_of(a_limit_signal(snapshot_spread="100.2"), a_market())
    assert limit_price(side, view, an_instrument(tick_size="0.5"), some_rules()) == D(price)


def test_a_price_that_the_exchange_would_refuse_is_not_rounded():
    view = view_of(a_limit_signal(snapshot_price="1e30", snapshot_spread=0), a_market())
    assert limit_price(Side.BUY, view, an_instrument(), some_rules()) == D("1e30")
    view = view_of(a_limit_signal(snapshot_price=1, snapshot_spread="1e30"), a_market())
    assert limit_price(Side.BUY, view, an_instrument(), some_rules()) < 0


def test_the_price_range_is_the_exchanges_and_at_least_a_tick():
    assert price_range(an_instrument(min_price=100, max_price=90000)) == (100, 90000)
    assert price_range(an_instrument(min_price=0))[0] == D("0.1")


def test_a_buy_hits_the_ask_and_a_sell_the_bid():
    assert price_to_hit(Side.BUY, a_market(ask=3, bid=2)) == 3
    assert price_to_hit(Side.SELL, a_market(ask=3, bid=2)) == 2


@pytest.mark.parametrize(("last", "warned"), [(52500, False), (52501, True), (47500, False), (47499, True)])
def test_a_snapshot_more_than_five_percent_off_is_warned_of(last, warned):
    warnings = price_warnings(a_signal(), a_market(last=last), some_rules(), limit=None)
    assert [f"{last} is more than 5 %" in warning for warning in warnings] == [True] * warned


def test_a_missing_snapshot_price_is_not_stale():
    assert price_warnings(a_signal(snapshot_price=None), a_market(last=1), some_rules(), limit=None) == ()


@pytest.mark.parametrize(
    ("side", "limit", "warned"),
    [(Side.BUY, 50000, True), (Side.BUY, 49999, False), (Side.SELL, 49999, True), (Side.SELL, 50000, False)],
)
def test_a_limit_price_that_would_cross_the_book_is_warned_of(side, limit, warned):
    warnings = price_warnings(a_signal(side=side), a_market(), some_rules(), limit=D(limit))
    assert ["crosses the book" in warning for warning in warnings] == [True] * warned


@SIDES
def test_an_empty_book_is_not_crossed(side):
    market = a_market(bid=0, ask=0)
    assert price_warnings(a_signal(side=side), market, some_rules(), limit=D(50000)) == ()


@SIDES
@given(
    price=st.decimals("1", "100000", places=4),
    spread=st.decimals("0", "1", places=4),
    ratio=st.decimals("0", "2", places=3),
    tick=st.sampled_from(["0.0001", "0.01", "0.05", "0.1", "0.5"]),
)
def test_a_limit_price_is_on_the_tick_and_on_our_side(side, price, spread, ratio, tick):
    signal = a_signal(snapshot_price=price + 2, snapshot_spread=spread)
    rules = some_rules(limit_order_price_offset_ratio=ratio)
    limit = limit_price(side, view_of(signal, a_market()), an_instrument(tick_size=tick), rules)
    wanted = price + 2 - spread * ratio * side.sign
    assert limit % D(tick) == 0
    assert 0 <= (wanted - limit) * side.sign < D(tick)


@given(st.decimals("0", "1e12", places=6), st.sampled_from(["0.000001", "0.05", "0.3", "5", "1000"]))
def test_rounding_to_a_step_moves_less_than_a_step(value, step):
    step = Decimal(step)
    down, up = floor_to_step(value, step), ceil_to_step(value, step)
    assert down % step == up % step == 0
    assert down <= value <= up
    assert up - down in (0, step)
