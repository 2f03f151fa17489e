"""Whatever clients do, nothing is made of nothing: money, positions and quantities add up."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from order_manager.paper.accounts import HEDGE, ONE_WAY, Account
from order_manager.paper.engine import Engine
from order_manager.paper.instruments import default_instruments
from order_manager.paper.order_entry import Amendment, read_create
from order_manager.paper.orders import Fill
from order_manager.paper.refusals import ApiRefusal

START = {"USDT": Decimal(200_000), "BTC": Decimal(2)}

creates = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["linear", "linear", "spot"]),
        "symbol": st.just("BTCUSDT"),
        "side": st.sampled_from(["Buy", "Sell"]),
        "orderType": st.sampled_from(["Limit", "Limit", "Market"]),
        "timeInForce": st.sampled_from(["GTC", "IOC", "FOK", "PostOnly"]),
        "qty": st.integers(1, 900).map(lambda n: f"{Decimal(n) / 1000}"),
        "price": st.integers(4985, 5015).map(lambda n: f"{n * 10}.0"),
        "reduceOnly": st.sampled_from([False, False, True]),
        "marketUnit": st.sampled_from(["baseCoin", None]),
        "positionIdx": st.sampled_from([0, 1, 2]),
    }
)
actions = st.one_of(
    creates,
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("amend"), st.integers(0, 40), st.integers(1, 900), st.integers(4985, 5015)),
    st.tuples(st.just("price"), st.integers(4980, 5020), st.sampled_from(["0.3", "1"])),
    st.tuples(st.just("tick"), st.integers(1, 300)),
)


def play(engine: Engine, account: Account, action: Any, now_ms: int) -> None:
    if isinstance(action, dict):
        if account.default_mode == ONE_WAY:
            action = {**action, "positionIdx": 0}
        if action["category"] == "spot" and action["orderType"] == "Market" and action["side"] == "Buy":
            action = {**action, "qty": f"{Decimal(action['qty']) * 10_000:f}", "marketUnit": None}
        engine.create(account, read_create(action, engine.markets), now_ms)
        return
    name, *values = action
    if name == "price":
        for key in (("linear", "BTCUSDT"), ("spot", "BTCUSDT")):
            price = Decimal(values[0] * 10)
            engine.set_price(engine.markets[key], price, now_ms, pin=True, fill_ratio=Decimal(values[1]))
    elif name == "tick":
        engine.advance(engine.tick + values[0], now_ms)
    elif values[0] < len(account.orders) and account.orders[values[0]].is_open:
        order = account.orders[values[0]]
        if name == "cancel":
            engine.cancel(order, now_ms)
        else:
            wish = Amendment(qty=Decimal(values[1]) / 1000, price=Decimal(values[2] * 10))
            engine.amend(account, order, wish, now_ms)


def check_prices(account: Account, fills: list[Fill]) -> None:
    """New fills keep to the limit of now; older ones met the limit of before an amendment."""
    for fill in fills:
        order = account.by_id[fill.order_id]
        assert (fill.price <= order.price) if order.side == "Buy" else (fill.price >= order.price)


def check(engine: Engine, account: Account) -> None:
    coins = dict.fromkeys(START, Decimal(0)) | START
    for order in account.orders:
        fills = order.fills
        assert sum((fill.qty for fill in fills), Decimal(0)) == order.cum_qty
        executed = order.cum_value if order.in_quote else order.cum_qty
        assert executed <= order.qty
        assert (order.status == "Filled") == (executed == order.qty and not order.is_open)
        if not order.is_open:
            assert order.reserved == 0
        for fill in fills:
            is_buy = order.side == "Buy"
            coins[fill.fee_coin] -= fill.fee
            assert not order.reduces or fill.closed_qty == fill.qty
            if order.category == "spot":
                coins["BTC"] += fill.qty if is_buy else -fill.qty
                coins["USDT"] += -fill.value if is_buy else fill.value
            else:
                coins["USDT"] += fill.pnl
    for name, amount in coins.items():
        assert account.coins[name].balance == amount
    for (symbol, idx), leg in account.positions.items():
        signed = sum(
            (fill.qty if order.side == "Buy" else -fill.qty)
            for order in account.orders
            if (order.category, order.symbol, order.position_idx) == ("linear", symbol, idx)
            for fill in order.fills
        )
        assert leg.size == signed
        assert (leg.cost > 0) == (leg.size != 0)
        if idx:
            assert leg.size >= 0 if idx == 1 else leg.size <= 0
    resting = [order for market in engine.markets.values() for order in market.resting.values()]
    still_open = [order for orders in account.open_orders.values() for order in orders.values()]
    assert {o.order_id for o in resting} == {o.order_id for o in still_open if o.is_open}
    assert len(resting) == len(still_open)
    # A total kept as a running sum of quotients may differ from the sum in the last of 28 digits.
    margin = sum((o.reserved for o in still_open if o.category == "linear"), Decimal(0))
    assert abs(account.order_margin - margin) < Decimal("1e-15")
    locked = sum((o.reserved for o in still_open if o.category == "spot" and o.side == "Buy"), Decimal(0))
    assert account.coins["USDT"].locked == locked


@settings(max_examples=250, deadline=None)
@given(
    st.lists(actions, min_size=5, max_size=60),
    st.integers(0, 5),
    st.sampled_from([ONE_WAY, HEDGE]),
    st.sampled_from([None, Decimal("0.005")]),
)
def test_everything_adds_up_after_every_step(
    steps: list[Any], seed: int, mode: int, depth: Decimal | None
) -> None:
    engine = Engine(default_instruments(), seed=seed, partial_fill_chance=0.4)
    for market in engine.markets.values():
        market.level_qty = depth
    account = Account(uid=1, api_key="K", api_secret="S", created_ms=0, default_mode=mode)
    engine.accounts[1] = account
    for coin, amount in START.items():
        account.coins[coin].balance = amount
    for now_ms, step in enumerate(steps, start=1):
        fills_before = len(account.fills)
        with suppress(ApiRefusal):
            play(engine, account, step, now_ms)
        check_prices(account, account.fills[fills_before:])
        check(engine, account)
