"""What happens at the exchange is told by database, event queue and REST API, whoever made it happen.

Also what happened while nobody listened: it comes before anything new.
"""

import os
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.by_hand import (
    FAULTS,
    FLEET,
    FROZEN,
    PRICES,
    QUANTITIES,
    dip,
    rest_one_each,
    settle_prices,
    trade_at_random,
)
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import KEY, House, wait_until
from tests.scenarios.judge import wait_for_agreement
from tests.scenarios.signals import limit_signal, market_signal

STORM_S = float(os.environ.get("STORM_S", "3"))  # how long everything goes wrong at once
HEDGED = "XRPUSDT"
NONSENSE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("http_500", {}),
    ("html", {}),
    ("http_429", {}),
    ("lost_answer", {}),
    ("ret_code", {"ret_code": 10006}),
    ("ret_code", {"ret_code": 10016}),
)
MANY = 300
LATE = "DOGEUSDT"  # no signal names it before the end


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    """One fleet for all of these tests."""
    with house_on_redis(
        only=FLEET,
        exchange_options=FROZEN,
        ORDERMANAGER_RECONCILIATION_INTERVAL="2",
        ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY="0.2",
    ) as house:
        settle_prices(house)
        yield house


def status(house: House, exchange_order_id: str) -> str:
    (row,) = house.rows("SELECT status FROM orders WHERE exchange_order_id = :id", id=exchange_order_id)
    return str(row["status"])


def trade_meanwhile(house: House, ours: dict[str, str]) -> None:
    """One of our orders fills, one in part, one is cancelled; others' come, rest, fill and go."""
    trader = house.paper.trader()
    dip(house, "BTCUSDT")
    dip(house, "ETHUSDT", fill_ratio="0.3")
    trader.cancel(ours["SOLUSDT"], symbol="SOLUSDT")
    trader.limit("Buy", "0.01", "50000")
    trader.market("Buy", "0.01")
    trader.market("Sell", "0.005", reduceOnly=True)
    trader.limit("Buy", "100", "0.1", symbol=LATE)
    trader.market("Buy", "100", symbol=LATE)


@pytest.mark.slow
def test_orders_that_rest_fill_in_parts_are_amended_and_cancelled_by_hand(house: House) -> None:
    trader = house.paper.trader()
    ours = rest_one_each(house, "a")
    wait_for_agreement(house)

    dip(house, "BTCUSDT", fill_ratio="0.4")
    trader.cancel(ours["SOLUSDT"], symbol="SOLUSDT")
    trader.post("/v5/order/amend", category="linear", symbol="ETHUSDT", orderId=ours["ETHUSDT"], qty="0.5")
    wait_for_agreement(house, timeout_s=2)
    assert [status(house, ours[symbol]) for symbol in PRICES] == ["partially_filled", "pending", "cancelled"]

    dip(house, "BTCUSDT")
    dip(house, "ETHUSDT")
    wait_for_agreement(house, timeout_s=2)
    assert [status(house, ours[symbol]) for symbol in PRICES] == ["filled", "filled", "cancelled"]
    kinds = [
        event["event_type"]
        for event in house.hear()
        if event["order"] and event["order"]["order_id"] == ours["ETHUSDT"]
    ]
    assert kinds == ["created", "modified", "filled"]


@pytest.mark.slow
def test_an_order_placed_by_hand_is_told_and_left_alone(house: House) -> None:
    trader = house.paper.trader()
    theirs = trader.limit("Buy", "0.01", "50000", orderLinkId="by-hand")
    trader.market("Buy", "0.01")
    wait_for_agreement(house, timeout_s=2)

    house.publish(limit_signal("one", "BTCUSDT", price=60000, spread=600))
    house.publish(limit_signal("other", "BTCUSDT", price=60000, spread=700))
    house.publish(market_signal("market", "BTCUSDT"))
    house.wait_for_end("one", "other", "market")
    wait_for_agreement(house, timeout_s=2)
    assert status(house, theirs) == "pending"
    assert house.count("orders WHERE status = 'cancelled' AND reason LIKE 'superseded%'") == 2


@pytest.mark.slow
def test_both_legs_of_a_hedged_symbol_agree(house: House) -> None:
    trader = house.paper.trader()
    house.paper.set_price(HEDGED, "0.5")
    trader.post("/v5/position/switch-mode", category="linear", symbol=HEDGED, mode=3)
    house.publish(market_signal("long", HEDGED))
    house.wait_for_end("long")
    trader.market("Sell", "500", symbol=HEDGED, positionIdx=2)
    trader.limit("Sell", "300", "0.51", symbol=HEDGED, positionIdx=2)
    trader.limit("Sell", "200", "0.51", symbol=HEDGED, positionIdx=1, reduceOnly=True)
    house.paper.set_price(HEDGED, "0.515", fill_ratio="0.5")
    house.paper.set_price(HEDGED, "0.5")
    trader.market("Buy", "100", symbol=HEDGED, positionIdx=2, reduceOnly=True)
    house.publish(market_signal("out", HEDGED, side="sell", amount=100))
    house.wait_for_end("out")
    wait_for_agreement(house, timeout_s=5)
    (row,) = house.rows(
        "SELECT long_size, short_size FROM positions WHERE asset = :symbol AND mode = 'hedge'",
        symbol=HEDGED,
    )
    assert row["long_size"] > 0 > row["short_size"]


@pytest.mark.slow
def test_what_happened_while_the_fleet_was_dead_comes_before_the_first_new_signal(house: House) -> None:
    ours = rest_one_each(house, "old")
    wait_for_agreement(house)
    house.kill_all()
    trade_meanwhile(house, ours)
    last = house.paper.control("GET", "state")["ledger_seq"]
    told = len(house.hear())
    names = [f"new-{symbol}" for symbol in ("BTCUSDT", "ETHUSDT", LATE)]
    house.publish(*[market_signal(one, one.rpartition("-")[2], amount=100) for one in names])

    house.start()
    house.wait_for_end(*names)
    wait_for_agreement(house)

    news = [event["order"] for event in house.hear()[told:] if event["order"]]
    for one in names:
        symbol = one.rpartition("-")[2]
        of_symbol = [order["signal_id"] for order in news if order["asset"] == symbol]
        first = of_symbol.index(one)
        assert first > 0, "the missed events come first"
        assert set(of_symbol[first:]) == {one}, "and nothing that was missed comes later"
        requests = [
            entry["endpoint"]
            for entry in house.paper.ledger(kind="request")
            if entry["seq"] > last and symbol in str(entry["body"]) and entry["account"] == KEY
        ]
        create = requests.index("/v5/order/create")
        asked = {"/v5/order/realtime", "/v5/execution/list", "/v5/position/list"}
        assert asked <= set(requests[:create])


@pytest.mark.slow
def test_nothing_ends_while_the_exchange_is_away_or_answers_nonsense(house: House) -> None:
    ours = rest_one_each(house, "nonsense")
    wait_for_agreement(house)
    house.paper.stream_fault("drop", probability=1)
    trade_meanwhile(house, ours)
    before = house.rows("SELECT id, status FROM orders ORDER BY id")
    for kind, options in NONSENSE:
        house.paper.fault("*", kind, count=3, account=KEY, **options)
    house.paper.fault("*", "ret_code", count=10000, account=KEY)
    house.reconcile()
    wait_until(lambda: house.paper.faults_left() < 9995, what="every kind of fault", tell=house.tell)
    assert house.rows("SELECT id, status FROM orders ORDER BY id") == before

    house.paper.stop()
    house.kill_all()
    house.start()
    house.publish(limit_signal("patient", "BTCUSDT", price=60000, spread=600))
    time.sleep(1)
    assert house.rows("SELECT id, status FROM orders ORDER BY id") == before
    house.paper.start()
    wait_for_agreement(house, timeout_s=10)
    (patient,) = house.wait_for_end("patient", timeout_s=10)
    assert patient["state"] == "executed"


@pytest.mark.slow
def test_hundreds_of_orders_are_compared_within_seconds(house: House) -> None:
    trader = house.paper.trader()
    placed = []
    for number in range(MANY):
        symbol = list(PRICES)[number % len(PRICES)]
        price = Decimal(PRICES[symbol]) * (99 if number % 2 else 80) / 100
        placed.append((symbol, trader.limit("Buy", QUANTITIES[symbol], str(price), symbol=symbol)))
    wait_for_agreement(house, timeout_s=20)

    house.paper.stream_fault("drop", probability=1)
    for symbol in PRICES:
        dip(house, symbol)
    for symbol, order_id in placed[::6]:
        trader.cancel(order_id, symbol=symbol)
    house.paper.clear_stream_faults()
    began = time.monotonic()
    answer = house.api("POST", "/api/v1/sync", params={"scope": "all"})
    took_s = time.monotonic() - began
    print(f"{MANY} orders compared in {took_s:.2f} s: {answer.json()}")
    assert answer.json()["status"] == "completed", answer.json()
    wait_for_agreement(house, timeout_s=5)


@pytest.mark.slow
def test_a_stream_that_repeats_delays_reorders_drops_and_breaks_changes_nothing(house: House) -> None:
    """While processes are killed. STORM_S=60 SEED=7 makes it longer, and the same again."""
    seed = int(os.environ.get("SEED", "0")) or random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    for kind in FAULTS:
        house.paper.stream_fault(kind, topic="*", probability=0.15, seed=seed, delay_ms=400)
    turn, end = 0, time.monotonic() + STORM_S
    while time.monotonic() < end:
        turn += 1
        trade_at_random(house, f"storm-{turn}", chance)
        if chance.random() < 0.15:
            house.paper.stream_fault("disconnect")
            house.paper.stream_fault("refuse", for_ms=chance.choice([0, 500]), count=chance.choice([0, 1]))
        if chance.random() < 0.15:
            house.kill(chance.choice(["stream", "lane-1", "lane-2"]))
        time.sleep(0.1)
    house.paper.clear_stream_faults()
    print(f"storm over, {len(house.paper.orders())} orders, {len(house.paper.fills())} fills")
    wait_until(
        lambda: house.count("trading_signals WHERE state IN ('waiting', 'planned')") == 0,
        what="all signals to end",
        timeout_s=40,
        tell=house.tell,
    )
    wait_for_agreement(house, timeout_s=25)
    assert house.count("dead_letters") == 0
