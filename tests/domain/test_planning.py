"""A signal, what is true, and the rules: what to cancel and place, or why not."""

from dataclasses import replace

import pytest

from order_manager.domain.orders import Category, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.planning import plan_orders
from order_manager.domain.state import Plan, PlannedOrder, Rejection, TradingMode
from tests.builders import (
    D,
    a_limit_signal,
    a_market,
    a_signal,
    a_state,
    an_instrument,
    an_order,
    hedged,
    holding,
    some_rules,
)

SELL = {"side": Side.SELL}


def planned(signal=None, rules=None, **state) -> Plan:
    decision = plan_orders(signal or a_signal(), a_state(**state), rules or some_rules())
    assert isinstance(decision, Plan), decision
    assert all(check.passed for check in decision.checks)
    return decision


def rejected(signal=None, rules=None, **state) -> Rejection:
    decision = plan_orders(signal or a_signal(), a_state(**state), rules or some_rules())
    assert isinstance(decision, Rejection), decision
    assert [check.passed for check in decision.checks] == [True] * (len(decision.checks) - 1) + [False]
    return decision


def test_the_quickstarts_signal_buys_at_market():
    plan = planned(available_balance=10000)
    assert plan.place == (
        PlannedOrder(
            side=Side.BUY,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            quantity=D("0.020"),
            price=None,
            reduce_only=False,
            position_idx=0,
        ),
    )
    assert (plan.cancel, plan.amend, plan.warnings, plan.reference_price) == ((), None, (), 50000)
    assert plan.notes == {"order_type": "market order: spread 1.5 at 50000 is below 0.1 %"}


def test_each_rule_is_recorded_with_its_numbers_in_order():
    checks = planned().checks
    assert [check.rule for check in checks] == [
        "trading_state",
        "symbol_tradable",
        "short_allowed",
        "market_price",
        "balance",
        "order_size_ratio",
        "max_single_order_size",
        "min_quantity",
        "min_notional",
        "max_quantity",
        "max_position_size",
        "max_exposure",
    ]
    exposure = checks[-1]
    assert (exposure.limit, exposure.value) == ("50000", "1000.000")


def test_a_limit_order_is_sized_at_its_own_price():
    plan = planned(a_limit_signal(notional="4995"))
    [order] = plan.place
    assert (order.price, order.quantity, plan.reference_price) == (49950, D("0.100"), 49950)
    assert order.time_in_force is TimeInForce.POST_ONLY


def test_a_market_order_is_sized_at_the_price_it_hits():
    assert planned(
        a_signal(notional=50000),
        some_rules(max_single_order_notional=50000, max_order_size_ratio=1),
        market=a_market(ask=50001),
    ).place[0].quantity == D("0.999")
    plan = planned(a_signal(**SELL), position=holding(1), market=a_market(bid=40000))
    assert plan.place[0].quantity == D("0.025")


def test_a_stale_snapshot_is_warned_of_and_the_plan_goes_on():
    assert "more than 5 %" in planned(market=a_market(last=53000)).warnings[0]


def test_a_rejection_names_its_limit_and_value():
    no = rejected(a_signal(notional=10001), some_rules(max_order_size_ratio=1))
    assert (no.code, no.limit, no.value) == ("max_single_order_size", "10000", "10001")
    assert "10000" in no.message


@pytest.mark.parametrize("notional", ["1e15", "1e30", "9e60"])
@pytest.mark.parametrize("splitting", [True, False])
def test_an_absurd_amount_is_rejected_cleanly(notional, splitting):
    rules = some_rules(enable_order_splitting=splitting, enable_balance_check=False)
    assert rejected(a_signal(notional=notional), rules).code == "max_single_order_size"
    vast = replace(rules, max_single_order_notional=D("1e99"))
    assert rejected(a_signal(notional=notional), vast).code in {"above_max_quantity", "too_many_slices"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mode": TradingMode.HALTED}, "trading_halted"),
        ({"mode": TradingMode.REDUCING}, "trading_reducing"),
        ({"instrument": an_instrument(is_trading=False)}, "symbol_not_trading"),
        ({"market": a_market(ask=0)}, "no_market_price"),
        ({"available_balance": 40}, "insufficient_balance"),
        ({"available_balance": 9999}, "order_size_ratio"),
        ({"instrument": an_instrument(min_quantity=1)}, "below_min_quantity"),
        ({"instrument": an_instrument(min_notional=1001)}, "below_min_notional"),
        ({"instrument": an_instrument(max_market_quantity="0.01")}, "above_max_quantity"),
        ({"position": holding("0.99")}, "max_position_size"),
        ({"other_exposure": 49001}, "max_exposure"),
    ],
)
def test_every_rule_can_say_no(change, code):
    assert rejected(**change).code == code


def test_a_limit_price_outside_the_exchanges_range_is_rejected():
    assert rejected(a_limit_signal(), instrument=an_instrument(min_price=60000)).code == "price_out_of_range"


def test_the_first_breach_wins():
    state = {
        "mode": TradingMode.HALTED,
        "available_balance": 1,
        "other_exposure": 10**9,
        "instrument": an_instrument(is_trading=False),
    }
    assert rejected(**state).code == "trading_halted"
    assert rejected(**{**state, "mode": TradingMode.ACTIVE}).code == "symbol_not_trading"
    del state["mode"], state["instrument"]
    assert rejected(**state).code == "insufficient_balance"
    assert rejected(**{**state, "available_balance": None}).code == "max_exposure"


def test_an_order_is_reduced_to_what_the_balance_allows_and_says_so():
    plan = planned(a_signal(notional=9000), some_rules(max_order_size_ratio=1), available_balance=500)
    assert plan.place[0].quantity == D("0.010")
    assert plan.notes["reduced"] == "9000 USDT exceeds the available balance; reduced to 500"


def test_an_order_above_the_limit_is_split_when_enabled():
    rules = some_rules(enable_order_splitting=True)
    plan = planned(a_signal(notional=25000), rules, available_balance=None)
    assert [order.quantity for order in plan.place] == [D("0.167"), D("0.167"), D("0.166")]
    assert plan.notes["slices"] == "3"


def test_a_sell_reduces_the_long_and_needs_no_balance():
    plan = planned(a_signal(**SELL), position=holding(1), available_balance=0, other_exposure=10**9)
    assert plan.place[0].reduce_only
    assert "exempt" in plan.notes


def test_a_sell_of_more_than_is_held_is_capped_and_says_so():
    plan = planned(a_signal(notional=9000, **SELL), position=holding("0.05"))
    assert (plan.place[0].quantity, plan.place[0].reduce_only) == (D("0.05"), True)
    assert "capped at the 0.05 BTC" in plan.notes["capped"]


def test_a_buy_covers_a_short_and_never_turns_it():
    plan = planned(a_signal(notional=9000), position=holding("-0.05"))
    assert (plan.place[0].quantity, plan.place[0].reduce_only) == (D("0.05"), True)


def test_a_sell_leaves_what_a_surviving_order_of_ours_claims():
    claiming = an_order(
        side=Side.SELL,
        reduce_only=True,
        quantity="0.05",
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity="0.01",
    )
    state = {"position": holding("0.06"), "open_orders": (claiming,)}
    plan = planned(a_signal(notional=9000, **SELL), **state)
    assert (plan.cancel, plan.place[0].quantity) == ((), D("0.02"))
    plan = planned(a_signal(notional=9000, **SELL), some_rules(cancel_partially_filled=True), **state)
    assert (plan.cancel, plan.place[0].quantity) == ((claiming,), D("0.06"))


def test_a_sell_whose_position_is_claimed_already_is_rejected():
    claiming = an_order(side=Side.SELL, reduce_only=True, quantity="0.06", exchange_order_id=None)
    assert (
        rejected(a_signal(**SELL), position=holding("0.06"), open_orders=(claiming,)).code
        == "nothing_to_reduce"
    )


def test_a_short_is_opened_only_when_allowed():
    assert rejected(a_signal(**SELL)).code == "short_not_allowed"
    plan = planned(a_signal(**SELL), some_rules(allow_short=True))
    assert (plan.place[0].side, plan.place[0].reduce_only) == (Side.SELL, False)


def test_spot_sells_what_is_held_and_nothing_else():
    spot = an_instrument(category=Category.SPOT)
    rules = some_rules(allow_short=True)
    assert rejected(a_signal(**SELL), rules, instrument=spot).code == "short_not_allowed"
    plan = planned(a_signal(notional=9000, **SELL), rules, instrument=spot, position=holding("0.0509"))
    assert (plan.place[0].quantity, plan.place[0].reduce_only) == (D("0.050"), True)


@pytest.mark.parametrize(
    ("signal", "position", "leg"),
    [
        (a_signal(), hedged(), (1, False)),
        (a_signal(**SELL), hedged(long=1), (1, True)),
        (a_signal(**SELL), hedged(), (2, False)),
        (a_signal(), hedged(short=1), (2, True)),
        (a_signal(**SELL), hedged(long=1, short=1), (1, True)),
    ],
)
def test_hedge_mode_names_the_leg(signal, position, leg):
    [order] = planned(signal, some_rules(allow_short=True, max_exposure=10**6), position=position).place
    assert (order.position_idx, order.reduce_only) == leg


def test_the_rest_of_a_position_can_be_closed_below_the_minimum():
    plan = planned(a_signal(**SELL), position=holding("0.001"), instrument=an_instrument(min_notional=100))
    assert plan.place[0].quantity == D("0.001")


PENDING_BUY = an_order(client_order_id="buy", quantity="0.5")
PENDING_SELL = an_order(client_order_id="sell", side=Side.SELL)


def test_pending_orders_are_cancelled_and_no_longer_count():
    plan = planned(a_limit_signal(), open_orders=(PENDING_BUY, PENDING_SELL), position=holding("0.6"))
    assert plan.cancel == (PENDING_BUY, PENDING_SELL)


def test_orders_that_survive_count_towards_the_limits():
    rules = some_rules(cancel_opposite_orders_only=True)
    state = {"open_orders": (PENDING_BUY, PENDING_SELL), "position": holding("0.49")}
    assert rejected(a_limit_signal(), rules, **state).code == "max_position_size"
    assert planned(a_limit_signal(), replace(rules, max_position_size=D(2)), **state).cancel == (
        PENDING_SELL,
    )


def test_an_order_in_flight_is_not_cancelled_but_counts():
    in_flight = an_order(quantity="0.99", exchange_order_id=None)
    assert rejected(open_orders=(in_flight,)).value == "1.010"


def test_a_pending_order_is_amended_into_the_wanted_one_when_configured():
    pending, rules = (PENDING_BUY, PENDING_SELL), some_rules(enable_order_amending=True)
    plan = planned(a_limit_signal(), rules, open_orders=pending)
    assert (plan.cancel, plan.place) == ((PENDING_SELL,), ())
    assert plan.amend is not None
    assert (plan.amend.order, plan.amend.quantity, plan.amend.price) == (PENDING_BUY, D("0.020"), 49950)
    assert plan.notes["amend"] == "buy is amended"


def test_a_pending_order_that_is_as_wanted_is_left_alone():
    same = an_order(client_order_id="same", quantity="0.02", price=49950)
    plan = planned(a_limit_signal(), some_rules(enable_order_amending=True), open_orders=(same,))
    assert (plan.cancel, plan.place, plan.amend) == ((), (), None)
    assert plan.notes["amend"] == "same is as wanted already"
