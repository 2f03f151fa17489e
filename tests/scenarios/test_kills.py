"""Workers and the consumer are killed at random under load; the exchange's ledger judges."""

import random
import threading
import time
from typing import Any

import pytest

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.judge import disagreements, event_faults, link_ids, placed
from tests.scenarios.signals import limit_signal, market_signal

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
PRICES = {"BTCUSDT": 60000, "ETHUSDT": 3000, "SOLUSDT": 150, "XRPUSDT": 2, "DOGEUSDT": 1}
UNEXECUTED = "SELECT signal_id, state, code, reason FROM trading_signals WHERE state <> 'executed'"
GARBAGE = (
    b"not json",
    b"\xff\xfe\x00garbage",
    b'{"signal_id": "x", "signal_type": "buy", "asset": "BTCUSDT", "amount": NaN}',
    b'{"signal_id": "y", "signal_type": "buy", "asset": "BTCUSDT", "amount": -1}',
    b"[" * 5000,
    b"",
)


def some_signals(count: int, chance: random.Random) -> list[dict[str, Any]]:
    """Valid ones: the first of a symbol buys, a later sell never finds it flat."""
    signals: list[dict[str, Any]] = []
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)] if number < len(SYMBOLS) else chance.choice(SYMBOLS)
        name, kind = f"s{number:04d}-{symbol}", chance.random()
        if number < len(SYMBOLS) or kind < 0.6:
            signals.append(market_signal(name, symbol, amount=chance.randint(500, 2000)))
        elif kind < 0.8:
            price = PRICES[symbol]
            signals.append(limit_signal(name, symbol, price=price, spread=price * 0.01, amount=1000))
        else:
            signals.append(market_signal(name, symbol, side="sell", amount=chance.randint(100, 200)))
    return signals


class Killer(threading.Thread):
    """Kills a random process of the house now and then; the supervisor starts it again."""

    def __init__(self, house: House, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.house, self.chance, self.kills = house, chance, 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(self.chance.uniform(0.3, 1.2)):
            name = self.chance.choice(["lane-1", "lane-2", "lane-1", "lane-2", "consumer"])
            child = name != "consumer" and self.chance.random() < 0.5
            self.kills += self.house.kill(name, child=child) is not None

    def stop(self) -> None:
        self.stopped.set()
        self.join()


def all_ended(house: House, count: int) -> bool:
    return house.count("trading_signals WHERE state NOT IN ('waiting', 'planned')") >= count


@pytest.mark.slow
def test_500_signals_under_random_kills_are_each_executed_once_and_in_order(house_on: HouseMaker) -> None:
    chance = random.Random(20261121)
    signals = some_signals(500, chance)
    with house_on() as house:
        killer = Killer(house, chance)
        killer.start()
        garbage = 0
        for start in range(0, len(signals), 10):
            burst: list[Any] = list(signals[start : start + 10])
            burst.append(chance.choice(signals[: start + 10]))  # a repeat
            if start % 50 == 0:
                burst.append(GARBAGE[garbage % len(GARBAGE)])
                garbage += 1
            house.publish(*burst)
            time.sleep(0.25)
        killer.stop()

        wait_until(
            lambda: all_ended(house, len(signals)),
            what="all signals to end",
            timeout_s=90,
            pause_s=0.5,
            tell=house.tell,
        )
        house.call("reconcile_orders")
        wait_until(lambda: not disagreements(house), what="agreement", timeout_s=30, pause_s=0.5)

        assert killer.kills >= 5
        assert house.rows(UNEXECUTED) == []
        assert placed(house) == link_ids(signals)
        assert disagreements(house) == []
        assert house.count("dead_letters") == garbage
        assert house.count("trading_signals WHERE state = 'executed'") == len(signals)
        wait_until(
            lambda: house.count("order_events WHERE published_at IS NULL") == 0, what="events to be published"
        )
        assert event_faults(house, house.events()) == []
