"""Spot: fees are taken from what was bought, and what is held can be sold again."""

from decimal import Decimal

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import wait_until
from tests.scenarios.signals import market_signal

FROZEN = ("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0")


def test_what_was_bought_on_spot_can_be_sold_again(house_on_redis: HouseMaker) -> None:
    with house_on_redis(workers=1, exchange_options=FROZEN, BYBIT_CATEGORY="spot") as house:
        house.publish(market_signal("in", "BTCUSDT", amount=1000))
        house.publish(market_signal("out", "BTCUSDT", side="sell", amount=2000))
        bought, sold = house.wait_for_end("in", "out")
        house.reconcile()
        wait_until(lambda: house.count("orders WHERE status = 'pending'") == 0, what="orders to be settled")

        assert bought["state"] == "executed"
        assert sold["state"] == "executed", sold["reason"]
        (row,) = house.rows("SELECT size, fees FROM positions")
        assert row["size"] < Decimal("0.00001")
        assert row["fees"] > Decimal("1.5")  # quote: 0.1 % of 1000, twice
