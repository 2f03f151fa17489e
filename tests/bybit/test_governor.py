"""The governor against a real Redis, with several processes."""

import multiprocessing
import time
from itertools import pairwise
from threading import Thread

import pytest
import redis
from structlog.testing import capture_logs

from order_manager.bybit.governor import (
    EVERYTHING,
    WINDOW_S,
    LocalGovernor,
    NoGovernor,
    RedisGovernor,
    default_limit,
    family_of,
)

CREATE = family_of("/v5/order/create", "linear")
CANCEL = family_of("/v5/order/cancel", "linear")
READ = family_of("/v5/order/realtime", "linear")
TICKERS = family_of("/v5/market/tickers", "linear")


def slots_of(governor, family: str, count: int) -> list[float]:
    """When the next `count` requests may go, in seconds from now."""
    started = time.monotonic()
    return [time.monotonic() - started + governor.acquire(family, max_wait_s=1e6) for _ in range(count)]


def assert_within(slots: list[float], *, limit: int, window_s: float) -> None:
    """Who asks reads the clock a moment before it is told to wait; the exchange's window is 0.1 s shorter."""
    slots = sorted(slots)
    for first, beyond in zip(slots, slots[limit:], strict=False):
        assert beyond - first > window_s - 0.05


def test_a_burst_goes_at_once_and_the_rest_waits_for_the_window(fleet_redis):
    slots = slots_of(RedisGovernor(fleet_redis), CREATE, 25)
    assert max(slots[:10]) < 0.2
    assert_within(slots, limit=10, window_s=WINDOW_S)
    assert slots[-1] < 2 * WINDOW_S + 0.2  # not slower than need be


def test_spot_and_linear_and_the_endpoints_count_apart(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    slots_of(governor, CREATE, 40)
    assert governor.acquire(CREATE, max_wait_s=100) > 1
    for family in (CANCEL, READ, family_of("/v5/order/create", "spot")):
        assert governor.acquire(family, max_wait_s=100) == 0
    assert default_limit(family_of("/v5/order/create", "spot")) == 20
    assert default_limit(TICKERS) == 0


def test_a_turn_that_is_too_far_away_takes_no_slot(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    slots_of(governor, CREATE, 10)
    assert governor.acquire(CREATE, max_wait_s=0.5) > 0.5
    waits = [governor.acquire(CREATE, max_wait_s=0.5) for _ in range(20)]
    assert waits == sorted(waits, reverse=True)


def _take(port: int, count: int, answers) -> None:
    client = redis.Redis(port=port)
    governor = RedisGovernor(client, ip_limit=None)
    slots = []
    for _ in range(count):
        seconds, micros = client.time()
        slots.append(seconds + micros / 1e6 + governor.acquire(CREATE, max_wait_s=100))
    answers.put(slots)
    client.close()


def test_the_limit_holds_across_processes(own_redis, fleet_redis):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_take, args=(own_redis.port, 15, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    slots = [slot for _ in processes for slot in answers.get(timeout=60)]
    for process in processes:
        process.join(30)
    assert len(slots) == 60
    assert_within(slots, limit=10, window_s=WINDOW_S)


def test_the_limit_holds_across_threads(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    slots: list[float] = []
    started = time.monotonic()

    def work() -> None:
        for _ in range(10):
            asked = time.monotonic() - started
            slots.append(asked + governor.acquire(CREATE, max_wait_s=100))

    threads = [Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slots) == 50
    for first, beyond in zip(sorted(slots), sorted(slots)[10:], strict=False):
        assert beyond - first > 1.0


def test_everybody_goes_by_the_limit_that_one_has_learned(fleet_redis):
    one, other = RedisGovernor(fleet_redis), RedisGovernor(fleet_redis)
    one.learn(CREATE, 20)
    slots = slots_of(other, CREATE, 21)
    assert max(slots[:20]) < 0.2
    assert slots[20] > 1
    other.learn(CREATE, 5)
    assert_within(slots_of(RedisGovernor(fleet_redis), CANCEL, 10), limit=10, window_s=WINDOW_S)
    assert fleet_redis.hgetall("governor:{default}:limits") == {CREATE.encode(): b"5"}


def test_a_limit_that_did_not_change_costs_no_round_trip(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    governor.acquire(CREATE, max_wait_s=1)
    before = fleet_redis.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"]
    for _ in range(5):
        governor.learn(CREATE, 10)
    assert fleet_redis.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"] == before


def test_after_a_hit_limit_the_family_is_silent_in_the_whole_fleet(fleet_redis):
    one, other = RedisGovernor(fleet_redis), RedisGovernor(fleet_redis)
    one.pause(CREATE, 0.8)
    one.pause(CREATE, 0.1)  # only ever lengthens
    assert 0.6 < other.pause_left(CREATE) <= 0.81
    assert 0.6 < other.acquire(CREATE, max_wait_s=10) <= 0.8
    assert other.acquire(CANCEL, max_wait_s=10) == 0
    assert other.pause_left(CANCEL) == 0


def test_a_ban_silences_everything(fleet_redis):
    RedisGovernor(fleet_redis).pause(EVERYTHING, 600)
    governor = RedisGovernor(fleet_redis)
    for family in (CREATE, CANCEL, READ, TICKERS):
        assert 590 < governor.acquire(family, max_wait_s=30) <= 600
        assert 590 < governor.pause_left(family) <= 600.1


def test_accounts_do_not_share_their_limits(fleet_redis):
    slots_of(RedisGovernor(fleet_redis, account="a"), CREATE, 30)
    assert RedisGovernor(fleet_redis, account="b").acquire(CREATE, max_wait_s=1) == 0


def test_reads_leave_the_address_s_last_requests_to_creates_and_cancels(fleet_redis):
    governor = RedisGovernor(fleet_redis, ip_limit=20)
    waits = [governor.acquire(TICKERS, max_wait_s=0) for _ in range(30)]
    assert [wait == 0 for wait in waits] == [True] * 16 + [False] * 14
    assert [governor.acquire(CREATE, max_wait_s=0) == 0 for _ in range(4)] == [True, True, False, False]
    assert [governor.acquire(CANCEL, max_wait_s=0) == 0 for _ in range(3)] == [True, False, False]


def test_a_host_that_counts_no_addresses_is_not_slowed(fleet_redis):
    governor = RedisGovernor(fleet_redis, ip_limit=None)
    assert sum(slots_of(governor, TICKERS, 700)) < 700 * 5
    assert all(governor.acquire(TICKERS, max_wait_s=0) == 0 for _ in range(100))


def test_nothing_is_left_in_redis_when_nobody_trades(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    governor.acquire(CREATE, max_wait_s=1)
    governor.pause(CREATE, 1)
    keys = fleet_redis.keys()
    assert len(keys) == 4
    assert all(0 < fleet_redis.pttl(key) < 10_000 for key in keys)


def test_a_script_that_redis_forgot_is_loaded_again(fleet_redis):
    governor = RedisGovernor(fleet_redis)
    governor.acquire(CREATE, max_wait_s=1)
    fleet_redis.script_flush()
    assert governor.acquire(CREATE, max_wait_s=1) == 0


def test_without_redis_trading_goes_on_slowly_and_says_so_once(own_redis, fleet_redis):
    governor = RedisGovernor(fleet_redis, retry_redis_after_s=0.2)
    governor.acquire(CREATE, max_wait_s=1)
    own_redis.stop()
    try:
        with capture_logs() as logs:
            slots = slots_of(governor, CREATE, 6)
            governor.pause(CREATE, 0.1)
            governor.learn(CREATE, 40)
            governor.pause_left(CREATE)
        assert [line["event"] for line in logs] == ["rate_governor_degraded"]
        assert_within(slots, limit=2, window_s=1.0)  # a quarter of ten
        assert slots[-1] < 3 * WINDOW_S + 1
    finally:
        own_redis.start()
    time.sleep(0.25)
    with capture_logs() as logs:
        assert governor.acquire(CREATE, max_wait_s=1) == 0
    assert [line["event"] for line in logs] == ["rate_governor_recovered"]


def test_the_local_governor_keeps_at_least_one_a_second():
    now = [0.0]
    governor = LocalGovernor(share=0.25, clock=lambda: now[0])
    waits = [governor.acquire("/v5/account/fee-rate", max_wait_s=10) for _ in range(4)]
    assert [later - sooner for sooner, later in pairwise(waits)] == pytest.approx([WINDOW_S] * 3)
    assert governor.acquire(TICKERS, max_wait_s=10) == 0
    governor.pause(EVERYTHING, 3)
    assert governor.acquire(TICKERS, max_wait_s=10) == 3
    now[0] = 4.0
    assert governor.pause_left(TICKERS) == 0
    assert governor.acquire("/v5/account/fee-rate", max_wait_s=0.1) > 0.1
    governor.learn("/v5/account/fee-rate", 400)
    assert governor.acquire("/v5/account/fee-rate", max_wait_s=0.1) == 0


def test_no_governor_never_waits():
    governor = NoGovernor()
    governor.pause(CREATE, 600)
    governor.learn(CREATE, 1)
    assert governor.acquire(CREATE, max_wait_s=0) == governor.pause_left(CREATE) == 0
