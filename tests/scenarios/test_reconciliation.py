"""What happened at the exchange while nobody listened is found, published, and comes before anything new."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.by_hand import (
    FLEET,
    FROZEN,
    PRICES,
    QUANTITIES,
    dip,
    rest_one_each,
    settle_prices,
)
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import KEY, House, wait_until
from tests.scenarios.judge import wait_for_agreement
from tests.scenarios.signals import limit_signal, market_signal

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
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
    """Nothing is compared by the schedule, so that each comparison has the cause that a test is about."""
    with house_on_redis(
        only=FLEET,
        exchange_options=FROZEN,
        ORDERMANAGER_RECONCILIATION_INTERVAL="600",
        ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY="0.2",
    ) as house:
        settle_prices(house)
        yield house


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
    for kind, options in FAULTS:
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
    assert answer.json()["updated_orders"] >= MANY * 2 / 3
    wait_for_agreement(house, timeout_s=5)
