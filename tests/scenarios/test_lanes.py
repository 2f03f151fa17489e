"""Which worker serves which symbol: opened, shared out, moved when a worker is killed or frozen."""

import time
from collections.abc import Iterator

import psutil
import pytest

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.judge import disagreements, link_ids, placed
from tests.scenarios.signals import market_signal

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "NEWUSDT")
FLEET = ("consumer", "lane-1", "lane-2", "maintenance", "beat")
SESSION_TIMEOUT_S = 4


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    with house_on_redis(ORDERMANAGER_SESSION_TIMEOUT=str(SESSION_TIMEOUT_S)) as house:
        yield house


def run_all(house: House, tag: str, *, timeout_s: float = 20) -> None:
    """One signal of each symbol, to its end."""
    names = [f"{tag}-{symbol}" for symbol in SYMBOLS]
    house.publish(*(market_signal(f"{tag}-{symbol}", symbol) for symbol in SYMBOLS))
    rows = house.wait_for_end(*names, timeout_s=timeout_s)
    assert {row["state"] for row in rows} == {"executed"}, rows


def wait_for_shares(house: House, *shares: int, timeout_s: float = 5) -> None:
    wait_until(
        lambda: house.shares() == list(shares),
        what=f"shares of {shares}",
        timeout_s=timeout_s,
        tell=lambda: str(house.leases()),
    )


def test_a_first_signal_of_a_newly_listed_symbol_opens_its_queue_without_a_restart(house: House) -> None:
    house.publish(market_signal("warm", "BTCUSDT"))
    house.wait_for_end("warm")
    house.paper.list_instrument("NEWUSDT")
    pids = house.fleet.pids()
    house.publish(market_signal("first", "NEWUSDT"))
    house.wait_for_end("first", timeout_s=10)

    (row,) = house.rows(
        "SELECT state, extract(epoch FROM finished_at - received_at) AS s FROM trading_signals"
        " WHERE signal_id = 'first'"
    )
    assert row["state"] == "executed"
    assert row["s"] < 3
    assert house.has_queue("orders.NEWUSDT")
    assert house.fleet.pids() == pids


def test_two_workers_lease_three_of_six_symbols_each(house: House) -> None:
    run_all(house, "six")
    wait_for_shares(house, 3, 3)
    symbols = [symbol for held in house.leases().values() for symbol in held]
    assert sorted(symbols) == sorted(SYMBOLS)


def test_a_third_worker_gets_its_share_and_leaves_it_to_the_others_when_it_is_killed(house: House) -> None:
    with house.another_worker("joiner") as joiner:
        wait_for_shares(house, 2, 2, 2, timeout_s=10)
        run_all(house, "joined")
        for process in (joiner, *joiner.children(recursive=True)):
            process.kill()
        wait_for_shares(house, 3, 3, timeout_s=5)
        run_all(house, "left")


def test_a_bound_worker_alone_serves_its_symbol(house: House) -> None:
    with house.another_worker("bound", ORDERMANAGER_WORKER_SYMBOLS="BTCUSDT"):
        wait_until(
            lambda: (
                sorted(map(sorted, house.leases().values()))[0] == ["BTCUSDT"] and house.shares() == [1, 2, 3]
            ),
            what="the bound worker to be alone with its symbol",
            timeout_s=10,
            tell=lambda: str(house.leases()),
        )
        run_all(house, "bound")
        assert '"symbol": "BTCUSDT"' in house.log("bound")
        assert '"symbol": "ETHUSDT"' not in house.log("bound")
    wait_for_shares(house, 3, 3, timeout_s=10)
    run_all(house, "unbound")


def test_a_symbol_that_was_leased_to_nobody_is_served_after_all_were_killed(house: House) -> None:
    before = house.fleet.pids()
    for name in FLEET:
        house.kill(name)
    wait_until(
        lambda: all(house.fleet.pids().get(name, before[name]) != before[name] for name in FLEET),
        what="the fleet to be started again",
    )
    wait_for_shares(house, 3, 3, timeout_s=20)
    run_all(house, "restarted", timeout_s=30)


@pytest.mark.slow
def test_the_symbols_of_a_frozen_worker_move_and_its_thaw_does_no_harm(house: House) -> None:
    signals = [market_signal(f"load-{n:03d}", SYMBOLS[n % 6], amount=100) for n in range(120)]
    frozen: list[psutil.Process] = []
    try:
        for number, signal in enumerate(signals):
            house.publish(signal)
            if number == 30:
                frozen = house.processes("lane-1")
                for process in frozen:
                    process.suspend()
                since = time.monotonic()
        house.wait_for_end(*(signal["signal_id"] for signal in signals), timeout_s=30)
        assert time.monotonic() - since < SESSION_TIMEOUT_S + 8
    finally:
        for process in frozen:
            process.resume()
    run_all(house, "thawed")
    wait_for_shares(house, 3, 3, timeout_s=15)
    house.reconcile()
    wait_until(lambda: not disagreements(house), what="agreement", pause_s=0.3, timeout_s=15)

    wanted = link_ids(signals)
    seen = {
        symbol: [name for name in links if name in wanted[symbol]] for symbol, links in placed(house).items()
    }
    assert seen == wanted
    assert {row["state"] for row in house.rows("SELECT DISTINCT state FROM trading_signals")} == {"executed"}
