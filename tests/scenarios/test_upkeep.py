"""Limits see others' orders, stale orders go, positions are set right, and what is not traded is said so."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.scenarios.by_hand import FLEET, FROZEN, PRICES, dip, rest_one_each, settle_prices
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.judge import wait_for_agreement
from tests.scenarios.signals import limit_signal, market_signal

STALE_S = 3


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    """Comparisons and validations happen when a test asks for them."""
    with house_on_redis(
        only=FLEET,
        exchange_options=FROZEN,
        ORDERMANAGER_RECONCILIATION_INTERVAL="600",
        ORDERMANAGER_POSITION_VALIDATION_INTERVAL="600",
        ORDERMANAGER_CANCEL_STALE_ORDER_TIMEOUT=str(STALE_S),
        ORDERMANAGER_MAX_EXPOSURE="10000",
    ) as house:
        settle_prices(house)
        yield house


@pytest.mark.slow
def test_an_order_of_others_counts_and_a_stale_one_of_ours_is_cancelled(house: House) -> None:
    trader = house.paper.trader()
    theirs = trader.limit("Buy", "0.1", "58000")  # 5800
    ours = rest_one_each(house, "old")  # 1000 each
    wait_for_agreement(house)
    house.publish(market_signal("too-much", "ETHUSDT", amount=4000))
    (refused,) = house.wait_for_end("too-much")
    assert (refused["state"], refused["code"]) == ("rejected", "max_exposure")

    # The cancels are slow, so that a fill overtakes the one for BTCUSDT.
    house.paper.fault("/v5/order/cancel", "delay", count=3, delay_ms=700)
    asked = "orders WHERE symbol = 'BTCUSDT' AND cancel_requested_at IS NOT NULL AND status = 'pending'"
    wait_until(lambda: house.count(asked) == 1, what="the order to be stale", pause_s=0.01)
    dip(house, "BTCUSDT")
    wait_until(lambda: house.count("orders WHERE status = 'pending'") == 1, what="the stale orders' ends")
    wait_for_agreement(house)
    ended = {row["exchange_order_id"]: row for row in house.rows("SELECT * FROM orders")}
    assert [ended[ours[symbol]]["status"] for symbol in PRICES] == ["filled", "cancelled", "cancelled"]
    assert ended[theirs]["status"] == "pending"
    reasons = {event["rejection_reason"] for event in house.hear() if event["event_type"] == "cancelled"}
    assert reasons == {f"stale: open for more than {STALE_S} s"}
    trader.cancel(theirs)


@pytest.mark.slow
def test_a_position_that_is_not_what_the_exchange_shows_is_corrected_and_told(house: House) -> None:
    house.publish(market_signal("in", "SOLUSDT"))
    house.wait_for_end("in")
    wait_for_agreement(house)
    house.execute("UPDATE positions SET size = size * 2 WHERE asset = 'SOLUSDT'")
    validate(house)
    (made,) = house.rows("SELECT * FROM position_adjustments")
    assert (made["asset"], made["size_before"]) == ("SOLUSDT", made["size_after"] * 2)
    assert made["reason"] == "the fills add up to another size"
    wait_for_agreement(house, corrections=1)
    (told,) = [event for event in house.hear() if event["event_type"] == "position_discrepancy"]
    assert told["position"]["asset"] == "SOLUSDT"
    assert Decimal(told["discrepancy"]["correct_size"]) == made["size_after"]
    validate(house)
    wait_for_agreement(house, corrections=1)


def validate(house: House) -> None:
    began = house.rows("SELECT clock_timestamp() AS at")[0]["at"]
    house.call("validate_positions")
    wait_until(
        lambda: (
            house.count("lanes WHERE reconciled_at < :at OR validate_requested_at IS NOT NULL", at=began) == 0
        ),
        what="every position to be validated",
        tell=house.tell,
    )


@pytest.mark.slow
def test_a_symbol_that_stops_trading_rejects_its_signals_with_a_code(house: House) -> None:
    symbol = "DOGEUSDT"
    house.paper.list_instrument(symbol, status="Closed")
    house.publish(limit_signal("closed", symbol, price="0.15", spread="0.01"))
    (closed,) = house.wait_for_end("closed")
    assert (closed["state"], closed["code"]) == ("rejected", "symbol_not_trading")
    house.paper.list_instrument(symbol, status="Trading")
    house.call("refresh_instruments")
    wait_until(
        lambda: house.count("instruments WHERE symbol = :symbol AND is_trading", symbol=symbol) == 1,
        what="the rules to be read again",
    )
    house.paper.list_instrument("SOLUSDT", status="Closed")
    house.call("refresh_instruments")
    wait_until(
        lambda: house.count("instruments WHERE symbol = 'SOLUSDT' AND NOT is_trading") == 1,
        what="the rules to be read again",
    )
    for worker in ("lane-1", "lane-2"):  # which remember the rules for half a minute
        house.kill(worker)
    time.sleep(1)
    house.publish(limit_signal("stopped", "SOLUSDT", price="150", spread="1.5"))
    (stopped,) = house.wait_for_end("stopped")
    assert (stopped["state"], stopped["code"]) == ("rejected", "symbol_not_trading")
