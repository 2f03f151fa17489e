"""Each of the desk's limits, and the order in which they are checked."""

import pytest

from order_manager.domain.findings import Audit
from order_manager.domain.legs import intent_for
from order_manager.domain.orders import Category, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.risk import (
    affordable,
    balance_findings,
    exposure_findings,
    permission_findings,
    price_findings,
    symbol_exposure,
)
from order_manager.domain.sizing import Draft
from order_manager.domain.state import TradingMode
from tests.builders import D, a_position, a_state, an_instrument, an_order, hedged, holding, some_rules


def intent(side=Side.BUY, position=None, keep=()):
    return intent_for(side, position or a_position(), keep)


def permission(side=Side.BUY, keep=(), **state):
    state = a_state(**state)
    rules = some_rules()
    return Audit().then(permission_findings(intent(side, state.position, keep), state, rules)).rejection


def a_draft(notional=1000, side=Side.BUY, position=None):
    return Draft(
        intent=intent(side, position), order_type=OrderType.LIMIT, price=D(50000), notional=D(notional)
    )


def balance(draft, state, **rules):
    return Audit().then(balance_findings(draft, state, some_rules(**rules)))


def exposure(draft, state, keep=(), **rules):
    return Audit().then(exposure_findings(draft, state, keep, some_rules(**rules))).rejection


@pytest.mark.parametrize("position", [a_position(), holding(1)])
def test_halted_allows_nothing_not_even_a_way_out(position):
    no = permission(Side.SELL, position=position, mode=TradingMode.HALTED)
    assert (no.code, no.limit) == ("trading_halted", "halted")
    assert no.message == "trading is halted for the account"


def test_reducing_allows_only_what_reduces():
    no = permission(Side.BUY, position=holding(1), mode=TradingMode.REDUCING, mode_of="ETHUSDT")
    assert no.code == "trading_reducing"
    assert no.message == "trading is reducing for ETHUSDT, and this buy opens a position"
    assert permission(Side.SELL, position=holding(1), mode=TradingMode.REDUCING) is None
    assert permission(Side.BUY, position=holding(-1), mode=TradingMode.REDUCING) is None


def test_a_symbol_that_does_not_trade_is_a_no():
    no = permission(instrument=an_instrument(is_trading=False))
    assert (no.code, no.value) == ("symbol_not_trading", "not trading")


def test_the_trading_state_is_checked_before_the_symbol():
    no = permission(instrument=an_instrument(is_trading=False), mode=TradingMode.HALTED)
    assert no.code == "trading_halted"
    assert len(no.checks) == 1


@pytest.mark.parametrize(("category", "why"), [(Category.LINEAR, "allowed"), (Category.SPOT, "on spot")])
def test_a_sell_from_flat_is_a_no_unless_shorting_is_allowed(category, why):
    no = permission(Side.SELL, instrument=an_instrument(category=category))
    assert no.code == "short_not_allowed"
    assert no.message.endswith(why)


def test_a_position_that_our_orders_claim_already_leaves_nothing_to_reduce():
    keep = [an_order(side=Side.SELL, reduce_only=True, quantity="0.1")]
    no = permission(Side.SELL, keep, position=holding("0.1"))
    assert (no.code, no.limit, no.value) == ("nothing_to_reduce", "0.001", "0.0")
    assert "0.1 BTC held" in no.message


def test_a_market_order_needs_somebody_on_the_other_side():
    no = Audit().then(price_findings(D(0), OrderType.MARKET, a_state())).rejection
    assert no.code == "no_market_price"


@pytest.mark.parametrize(
    ("bounds", "price", "value"),
    [({"min_price": 100}, "99.9", "min_price"), ({"max_price": 100}, "100.1", "max_price")],
)
def test_a_limit_price_stays_within_the_exchanges_range(bounds, price, value):
    state = a_state(instrument=an_instrument(**bounds))
    no = Audit().then(price_findings(D(price), OrderType.LIMIT, state)).rejection
    assert (no.code, no.limit, no.value, no.checks[-1].rule) == ("price_out_of_range", "100", price, value)
    assert Audit().then(price_findings(D(100), OrderType.LIMIT, state)).rejection is None


def test_an_absurd_limit_price_is_a_no_even_where_the_exchange_names_no_maximum():
    for price in (D("1e30"), D(0), D("-1e30")):
        no = Audit().then(price_findings(price, OrderType.LIMIT, a_state())).rejection
        assert no.code == "price_out_of_range"


def test_an_order_above_the_balance_is_a_no():
    no = balance(a_draft(1000), a_state(available_balance=999)).rejection
    assert (no.code, no.limit, no.value) == ("insufficient_balance", "999", "1000")
    assert "1000 USDT" in no.message
    assert "999 USDT" in no.message


def test_an_order_above_its_share_of_the_balance_is_a_no():
    no = balance(a_draft(1000), a_state(available_balance=9999)).rejection
    assert (no.code, no.limit, no.value) == ("order_size_ratio", "999.9", "1000")
    assert balance(a_draft(1000), a_state(available_balance=10000)).rejection is None


@pytest.mark.parametrize(
    ("draft", "state", "rules"),
    [
        (a_draft(), a_state(available_balance=None), {}),
        (a_draft(), a_state(available_balance=0), {"enable_balance_check": False}),
        (a_draft(side=Side.SELL, position=holding(1)), a_state(available_balance=0), {}),
    ],
    ids=["unknown", "switched off", "reduces"],
)
def test_the_balance_is_not_always_checked(draft, state, rules):
    assert balance(draft, state, **rules).checks == ()


def test_an_order_that_the_balance_cannot_pay_is_reduced_to_the_balance_and_no_further():
    state = a_state(available_balance=900)
    assert affordable(a_draft(1000), state, some_rules()).notional == 900
    assert affordable(a_draft(1000), state, some_rules(max_order_size_ratio=1)).notional == 900


def test_an_order_that_the_balance_can_pay_is_not_reduced():
    assert affordable(a_draft(1000), a_state(available_balance=1000), some_rules()) == a_draft(1000)


@pytest.mark.parametrize(
    ("available", "rules"),
    [
        (900, {"enable_order_size_reduction": False}),
        (900, {"enable_balance_check": False}),
        (4, {}),
        (0, {}),
        (-5, {}),
    ],
    ids=["switched off", "no balance check", "below the minimum", "nothing left", "in debt"],
)
def test_an_order_is_not_reduced(available, rules):
    state = a_state(available_balance=available)
    assert affordable(a_draft(1000), state, some_rules(**rules)) == a_draft(1000)


def test_a_position_above_the_limit_is_a_no():
    no = exposure(a_draft(1000), a_state(position=holding("0.99")))
    assert (no.code, no.limit, no.value) == ("max_position_size", "1", "1.010")
    assert exposure(a_draft(1000), a_state(position=holding("0.98")), max_exposure=10**6) is None


def test_a_symbol_may_have_its_own_position_limit():
    limits = {"BTCUSDT": D("0.01")}
    assert exposure(a_draft(1000), a_state(), max_position_sizes=limits).limit == "0.01"


def test_both_legs_of_a_hedge_count():
    no = exposure(a_draft(1000), a_state(position=hedged(long="0.5", short="0.49")))
    assert (no.code, no.value) == ("max_position_size", "1.010")


def test_surviving_orders_of_the_same_side_count_towards_the_position():
    keep = [
        an_order(quantity="0.5", status=OrderStatus.PARTIALLY_FILLED, filled_quantity="0.2"),
        an_order(quantity="0.4", exchange_order_id=None),
        an_order(quantity="9", side=Side.SELL),
        an_order(quantity="9", reduce_only=True),
    ]
    assert exposure(a_draft(1000), a_state(), keep, max_position_size="0.7").value == "0.720"


def test_exposure_counts_all_symbols_positions_and_surviving_orders():
    keep = [an_order(quantity="0.1", price=40000), an_order(side=Side.SELL, quantity="0.2", price=60000)]
    state = a_state(position=holding("0.1"), other_exposure=20000)
    no = exposure(a_draft(1000), state, keep, max_exposure=41999)
    assert (no.code, no.limit, no.value) == ("max_exposure", "41999", "42000.000")
    assert exposure(a_draft(1000), state, keep, max_exposure=42000) is None


def test_a_market_order_without_a_price_counts_at_its_reference_or_the_mark():
    market = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "price": None}
    keep = [an_order(quantity=1, reference_price=7, **market), an_order(quantity=1, **market)]
    assert symbol_exposure(a_state(), keep) == 7 + 50000


def test_an_order_that_reduces_is_exempt_from_position_and_exposure():
    draft = a_draft(1000, Side.SELL, holding(50))
    assert exposure(draft, a_state(position=holding(50), other_exposure=10**9)) is None
