"""What holds for every plan, recomputed here from the rule book and not with the planner's own code."""

from hypothesis import given, settings
from hypothesis import strategies as st

from order_manager.domain.orders import Category, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.planning import plan_orders
from order_manager.domain.state import Plan, TradingMode
from tests.builders import (
    D,
    a_market,
    a_position,
    a_signal,
    a_state,
    an_instrument,
    an_order,
    hedged,
    holding,
    some_rules,
)

SIZES = st.decimals("0.001", "2", places=3)
SIGNALS = st.builds(
    a_signal,
    side=st.sampled_from(Side),
    notional=st.sampled_from([40, 250, 1000, 9000, 25000]).flatmap(
        lambda most: st.decimals(D(most) / 2, most, places=2)
    ),
    confidence=st.sampled_from([None, D("0.5"), D("0.5"), D("0.95")]),
    is_urgent=st.sampled_from([False, False, True]),
    snapshot_price=st.none() | st.decimals("45000", "55000", places=2),
    snapshot_spread=st.none() | st.decimals("0", "200", places=2) | st.decimals("60", "200", places=2),
)
POSITIONS = st.one_of(
    st.just(a_position()),
    st.builds(holding, st.decimals("-2", "2", places=3)),
    st.builds(lambda long, short: hedged(long=long, short=short), SIZES, SIZES),
)


@st.composite
def open_orders(draw):
    part = draw(st.booleans())
    market = draw(st.integers(0, 9)) == 0
    return an_order(
        client_order_id=f"om-{draw(st.uuids())}"[:36],
        side=draw(st.sampled_from(Side)),
        order_type=OrderType.MARKET if market else OrderType.LIMIT,
        time_in_force=TimeInForce.IOC if market else TimeInForce.POST_ONLY,
        price=None if market else draw(st.decimals("45000", "55000", places=1)),
        reference_price=D(50000),
        quantity=draw(st.decimals("0.002", "0.6", places=3)),
        reduce_only=draw(st.booleans()),
        status=OrderStatus.PARTIALLY_FILLED if part else OrderStatus.PENDING,
        filled_quantity=D("0.001") if part else D(0),
        exchange_order_id="x" if part else draw(st.sampled_from(["x", "x", None])),
        signal_id=draw(st.sampled_from(["s", "s", "s", None])),
    )


STATES = st.builds(
    a_state,
    instrument=st.builds(
        an_instrument,
        category=st.sampled_from(Category),
        max_limit_quantity=st.sampled_from([D("0.1"), D(100)]),
        max_market_quantity=st.sampled_from([D("0.07"), D(50)]),
        min_notional=st.sampled_from([D(5), D(200)]),
    ),
    market=st.builds(a_market, ask=st.decimals("50000", "50200", places=1)),
    position=POSITIONS,
    open_orders=st.builds(lambda side: (an_order(side=side),), st.sampled_from(Side))
    | st.lists(open_orders(), max_size=4).map(tuple),
    other_exposure=st.decimals("0", "60000", places=2),
    available_balance=st.none() | st.sampled_from([D(3000), D(500000)]),
)
RULES = st.builds(
    some_rules,
    enable_order_splitting=st.booleans(),
    max_slices=st.integers(1, 20),
    max_position_size=st.sampled_from([D("0.5"), D(3)]),
    max_exposure=st.sampled_from([D(50000), D(300000)]),
    max_order_size_ratio=st.sampled_from([D("0.1"), D(1)]),
    cancel_opposite_orders_only=st.booleans(),
    cancel_partially_filled=st.booleans(),
    enable_order_amending=st.booleans(),
    enable_balance_check=st.booleans(),
    enable_order_size_reduction=st.booleans(),
    allow_short=st.sampled_from([True, True, False]),
)


MANY = settings(max_examples=500)


def wanted(plan: Plan):
    """(quantity, price, reduce_only) of each order that the plan leads to."""
    orders = [
        (order.quantity, order.price or plan.reference_price, order.reduce_only) for order in plan.place
    ]
    if plan.amend:
        request = plan.amend.order.request
        orders.append((plan.amend.quantity, plan.amend.price, request.reduce_only))
    return orders


def survivors(plan, state):
    gone = [*plan.cancel, *([plan.amend.order] if plan.amend else [])]
    return [order for order in state.open_orders if order not in gone]


def left(order):
    return order.request.quantity - order.filled_quantity


def held_against(side, position):
    if position.net.size:
        return max(position.net.size * (1 if side is Side.SELL else -1), D(0))
    return position.long.size if side is Side.SELL else -position.short.size


@MANY
@given(SIGNALS, STATES, RULES)
def test_no_plan_breaks_a_limit(signal, state, rules):
    plan = plan_orders(signal, state, rules)
    if not isinstance(plan, Plan) or not wanted(plan):
        return
    orders, keep, instrument = wanted(plan), survivors(plan, state), state.instrument
    total = sum(quantity for quantity, _, _ in orders)
    value = sum(quantity * price for quantity, price, _ in orders)
    is_market = bool(plan.place) and plan.place[0].order_type is OrderType.MARKET
    most = instrument.max_market_quantity if is_market else instrument.max_limit_quantity
    assert value <= signal.notional
    assert len(orders) <= (rules.max_slices if rules.enable_order_splitting else 1)
    for quantity, price, reduce_only in orders:
        assert quantity % instrument.lot_size == 0
        assert D("0.001") <= quantity <= most
        assert quantity * price <= rules.max_single_order_notional
        closes = reduce_only and instrument.category is Category.LINEAR
        assert quantity * price >= instrument.min_notional or (
            closes and quantity == held_against(signal.side, state.position)
        )
    if orders[0][2]:
        return
    if rules.enable_balance_check and state.available_balance is not None:
        assert value <= state.available_balance * min(rules.max_order_size_ratio, 1)
    position = state.position
    gross = abs(position.net.size) + position.long.size + abs(position.short.size)
    opening = sum(left(o) for o in keep if o.request.side is signal.side and not o.request.reduce_only)
    assert gross + opening + total <= rules.max_position_size
    resting = sum(left(o) * (o.request.price or o.reference_price) for o in keep)
    assert state.other_exposure + gross * state.market.mark + resting + value <= rules.max_exposure


@MANY
@given(SIGNALS, STATES, RULES)
def test_reduce_only_never_exceeds_what_is_held_and_unclaimed(signal, state, rules):
    plan = plan_orders(signal, state, rules)
    if not isinstance(plan, Plan) or not wanted(plan):
        return
    held = held_against(signal.side, state.position)
    assert [reduce_only for _, _, reduce_only in wanted(plan)] == [held > 0] * len(wanted(plan))
    if held > 0:
        claimed = sum(
            left(order)
            for order in survivors(plan, state)
            if order.request.reduce_only and order.request.side is signal.side and order.signal_id
        )
        assert sum(quantity for quantity, _, _ in wanted(plan)) <= held - claimed
    elif signal.side is Side.SELL:
        assert rules.allow_short
        assert state.instrument.category is Category.LINEAR


@MANY
@given(SIGNALS, STATES, RULES)
def test_only_orders_of_ours_that_the_exchange_has_are_cancelled_or_amended(signal, state, rules):
    plan = plan_orders(signal, state, rules)
    if not isinstance(plan, Plan):
        return
    touched = [*plan.cancel, *([plan.amend.order] if plan.amend else [])]
    for order in touched:
        assert order.signal_id is not None
        assert order.exchange_order_id is not None
        assert order.request.order_type is OrderType.LIMIT
        assert order.status is OrderStatus.PENDING or rules.cancel_partially_filled


@given(SIGNALS, STATES, RULES, st.sampled_from([TradingMode.HALTED, TradingMode.REDUCING]))
def test_halted_plans_nothing_and_reducing_only_ways_out(signal, state, rules, mode):
    plan = plan_orders(signal, a_state(**{**as_changes(state), "mode": mode}), rules)
    if mode is TradingMode.HALTED:
        assert not isinstance(plan, Plan)
    elif isinstance(plan, Plan):
        assert all(reduce_only for _, _, reduce_only in wanted(plan))


def as_changes(state):
    return {name: getattr(state, name) for name in state.__slots__}
