"""From quote currency to whole lots, and to orders the exchange takes."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from order_manager.domain.instruments import MOST_LOTS
from order_manager.domain.legs import Intent
from order_manager.domain.orders import Category, OrderType, Side
from order_manager.domain.sizing import (
    Draft,
    largest_slice,
    meets_minimum,
    minimum_findings,
    single_order_finding,
    slice_findings,
    slices_of,
)
from tests.builders import D, an_instrument, some_rules

OPENING = Intent(side=Side.BUY, reduce_only=False, position_idx=0)
SPLITTING = some_rules(enable_order_splitting=True)
LOTS = st.sampled_from(["0.000001", "0.001", "0.05", "0.3", "1", "100"])
PRICES = st.decimals("0.0001", "100000", places=4)
NOTIONALS = st.decimals("0.01", "1e15", places=2)


def reducing(held, claimed=0):
    return Intent(side=Side.SELL, reduce_only=True, position_idx=0, held=D(held), claimed=D(claimed))


def a_draft(notional=1000, *, price=50000, intent=OPENING, order_type=OrderType.LIMIT):
    return Draft(intent=intent, order_type=order_type, price=D(price), notional=D(notional))


def first_no(findings):
    return next((finding for finding in findings if not finding.passed), None)


@given(NOTIONALS, PRICES, LOTS)
def test_a_quantity_is_whole_lots_and_never_worth_more_than_the_amount(notional, price, lot):
    instrument = an_instrument(lot_size=lot)
    quantity = a_draft(notional, price=price).quantity(instrument)
    assert quantity % D(lot) == 0
    assert quantity * price <= notional < (quantity + D(lot)) * price


def test_a_quotient_that_rounds_up_does_not_buy_a_lot_too_many():
    # 28 nines divided by 3 and by 10^27 round to a whole number of lots, one more than they pay for.
    notional = D("2.999999999999999999999999999") + D("0.0000000000000000000000000009999")
    instrument = an_instrument(lot_size=1)
    assert instrument.quantity_for(D("2.9999999999999999999999999999"), price=D(3)) == 0
    assert instrument.quantity_for(notional, price=D(3)) * 3 <= notional


def test_an_absurd_amount_is_not_floored_and_does_not_raise():
    instrument = an_instrument(lot_size="1e-9")
    assert instrument.quantity_for(D("1e30"), price=D(1)) == D("1e30")
    assert instrument.quantity_for(MOST_LOTS, price=D("1e9")) == D("1e15")


def test_a_reducing_order_takes_no_more_than_whole_lots_of_what_is_reducible():
    draft = a_draft(10**6, intent=reducing("1.0009", claimed="0.5"))
    assert draft.quantity(an_instrument()) == D("0.500")
    assert draft.value == D("0.5009") * 50000
    assert a_draft(1000, intent=reducing(1)).value == 1000


def test_below_the_minimum_quantity_is_a_no():
    no = first_no(minimum_findings(a_draft(499), an_instrument(min_quantity="0.01")))
    assert (no.code, no.limit, no.value) == ("below_min_quantity", "0.01", "0.009")
    assert "0.009 BTC" in no.message
    assert "0.01 BTC" in no.message


def test_less_than_a_lot_is_below_the_minimum_quantity():
    no = first_no(minimum_findings(a_draft(49), an_instrument(min_quantity=0)))
    assert (no.code, no.limit) == ("below_min_quantity", "0.001")


def test_below_the_minimum_notional_is_a_no():
    no = first_no(minimum_findings(a_draft(99), an_instrument(min_notional=60)))
    assert (no.code, no.limit, no.value) == ("below_min_notional", "60", "50.000")


def test_a_reduce_only_order_that_closes_the_whole_leg_may_be_below_the_minimum():
    instrument = an_instrument(min_quantity="0.01", min_notional=1000)
    assert meets_minimum(a_draft(1000, intent=reducing("0.001")), instrument)
    assert not meets_minimum(a_draft(50, intent=reducing("0.002")), instrument)
    assert not meets_minimum(a_draft(1000, intent=reducing("0.002", claimed="0.001")), instrument)


def test_on_spot_nothing_is_exempt_from_the_minimum():
    spot = an_instrument(category=Category.SPOT, min_notional=1000)
    assert not meets_minimum(a_draft(1000, intent=reducing("0.001")), spot)


def test_the_single_order_limit_is_named_when_splitting_is_off():
    no = single_order_finding(a_draft(10001), an_instrument(), some_rules())
    assert not no.passed
    assert (no.rule, no.limit, no.value) == ("max_single_order_size", "10000", "10001")
    assert "10001" in no.message
    assert "10000" in no.message
    assert single_order_finding(a_draft(10000), an_instrument(), some_rules()).passed


def test_a_capped_order_is_measured_at_what_it_will_be():
    draft = a_draft(10**6, intent=reducing("0.1"))
    assert single_order_finding(draft, an_instrument(), some_rules()).passed


def test_splitting_allows_the_limit_times_the_number_of_slices():
    rules = some_rules(enable_order_splitting=True, max_slices=3)
    assert single_order_finding(a_draft(30000), an_instrument(), rules).passed
    no = single_order_finding(a_draft(30001), an_instrument(), rules)
    assert not no.passed
    assert "3 slices of at most 10000" in no.message


@pytest.mark.parametrize(("order_type", "limit"), [(OrderType.LIMIT, "0.3"), (OrderType.MARKET, "0.2")])
def test_market_and_limit_maxima_differ(order_type, limit):
    instrument = an_instrument(max_limit_quantity="0.3", max_market_quantity="0.2")
    draft = a_draft(20000, order_type=order_type)
    no = first_no(slice_findings(draft, instrument, some_rules()))
    assert (no.code, no.limit, no.value) == ("above_max_quantity", limit, "0.400")
    assert f"{order_type} order" in no.message


def test_a_quantity_at_the_maximum_is_one_order():
    instrument = an_instrument(max_limit_quantity="0.4")
    assert first_no(slice_findings(a_draft(20000), instrument, some_rules())) is None
    assert slices_of(a_draft(20000), instrument, some_rules()) == (D("0.400"),)


def test_splitting_makes_equal_slices_within_the_desks_limit():
    assert slices_of(a_draft(25000), an_instrument(), SPLITTING) == (D("0.167"), D("0.167"), D("0.166"))


def test_splitting_makes_slices_within_the_exchanges_maximum():
    instrument = an_instrument(max_limit_quantity="0.1")
    assert slices_of(a_draft(10000), instrument, SPLITTING) == (D("0.100"), D("0.100"))


def test_a_single_order_limit_below_a_lot_is_a_no():
    rules = some_rules(enable_order_splitting=True, max_single_order_notional=49)
    no = first_no(slice_findings(a_draft(1000), an_instrument(), rules))
    assert (no.code, no.limit, no.value) == ("max_single_order_size", "0.001", "0.000")


def test_more_slices_than_a_plan_may_have_is_a_no():
    instrument = an_instrument(max_limit_quantity="0.01")
    rules = some_rules(enable_order_splitting=True, max_slices=2)
    assert first_no(slice_findings(a_draft(1000), instrument, rules)) is None
    no = first_no(slice_findings(a_draft(1050), instrument, rules))
    assert (no.code, no.limit, no.value) == ("too_many_slices", "0.020", "0.021")


@pytest.mark.parametrize(
    ("minimum", "code"),
    [({"min_quantity": "0.05"}, "below_min_quantity"), ({"min_notional": 2500}, "below_min_notional")],
)
def test_each_slice_is_above_the_minimum(minimum, code):
    instrument = an_instrument(max_limit_quantity="0.07", **minimum)
    no = first_no(slice_findings(a_draft(4000), instrument, SPLITTING))
    assert no.code == code
    assert "a slice" in no.message


@given(NOTIONALS, PRICES, LOTS, st.decimals("1", "1e6", places=1), st.decimals("10", "1e6", places=1))
def test_slices_sum_to_the_whole_and_differ_by_a_lot_at_most(notional, price, lot, maximum, limit):
    instrument = an_instrument(lot_size=lot, min_quantity=0, min_notional=0, max_limit_quantity=maximum)
    rules = some_rules(enable_order_splitting=True, max_single_order_notional=limit)
    draft = a_draft(notional, price=price)
    assume(meets_minimum(draft, instrument))
    assume(first_no(slice_findings(draft, instrument, rules)) is None)
    slices = slices_of(draft, instrument, rules)
    assert sum(slices) == draft.quantity(instrument)
    assert max(slices) - min(slices) <= D(lot)
    assert max(slices) <= largest_slice(draft, instrument, rules) <= maximum
    assert max(slices) * price <= limit
    assert len(slices) <= rules.max_slices
    assert all(size > 0 and size % D(lot) == 0 for size in slices)
