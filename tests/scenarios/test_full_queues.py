"""Workers that start, or lose the broker, while the queues of several symbols are full."""

import pytest

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import wait_until
from tests.scenarios.signals import market_signal

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


@pytest.mark.slow
def test_a_worker_that_starts_with_several_full_queues_gets_to_work(house_on: HouseMaker) -> None:
    with house_on(workers=1) as house:
        first = [market_signal(f"first-{symbol}", symbol, amount=100) for symbol in SYMBOLS]
        house.publish(*first)
        house.wait_for_end(*(signal["signal_id"] for signal in first))

        house.kill("lane-1")
        more = [
            market_signal(f"{number}-{symbol}", symbol, amount=100)
            for number in range(20)
            for symbol in SYMBOLS
        ]
        house.publish(*more)
        wait_until(lambda: house.count("trading_signals") == len(first + more), what="the consumer")

        rows = house.wait_for_end(*(signal["signal_id"] for signal in more), timeout_s=40)
        assert {row["state"] for row in rows} == {"executed"}
        assert "Unrecoverable" not in house.log("lane-1")
