"""Brokers and the database die under load and come back: nothing lost, nothing twice, events in order."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from order_manager.database import migrations
from order_manager.embedded import PostgresServer, RabbitmqServer, RedisServer, free_port
from order_manager.embedded.processes import EmbeddedError, ServerProcess
from order_manager.embedded.rabbitmq import is_installed as rabbitmq_is_installed
from tests.scenarios.house import House, running_house, wait_until
from tests.scenarios.judge import disagreements, event_faults, link_ids, placed
from tests.scenarios.signals import limit_signal, market_signal
from tests.servers import flush, temporary_folder

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PRICES = {"BTCUSDT": 50000, "ETHUSDT": 3000, "SOLUSDT": 150}


def load(tag: str, count: int) -> list[dict[str, Any]]:
    """Market orders and limits that the next one cancels: orders with several events each."""
    signals = []
    for number in range(count):
        symbol, name = SYMBOLS[number % 3], f"{tag}-{number:03d}"
        if number % 2:
            price = PRICES[symbol] * 0.99
            signals.append(limit_signal(name, symbol, price=f"{price:.2f}", spread=PRICES[symbol] // 100))
        else:
            signals.append(market_signal(name, symbol))
    return signals


def assert_all_ended_once(house: House, signals: Sequence[dict[str, Any]]) -> None:
    names = [signal["signal_id"] for signal in signals]
    rows = house.wait_for_end(*names, timeout_s=60)
    assert [row["signal_id"] for row in rows if row["state"] != "executed"] == []
    house.reconcile()
    wait_until(lambda: not disagreements(house), what="agreement", timeout_s=20, pause_s=0.3)
    wanted = link_ids(signals)
    seen = {
        symbol: [link for link in links if link in wanted[symbol]] for symbol, links in placed(house).items()
    }
    assert seen == wanted


def assert_events_complete(house: House) -> None:
    wait_until(
        lambda: house.count("order_events WHERE published_at IS NULL") == 0,
        what="events to be published",
        timeout_s=30,
    )
    assert event_faults(house, house.events()) == []


def wait_for_half(house: House) -> None:
    """In the middle of work."""
    wait_until(
        lambda: house.count("trading_signals WHERE state = 'executed'") >= 10, what="a start", pause_s=0.01
    )


def publish_again_and_again(house: House, signal: dict[str, Any]) -> None:
    """As a sender that keeps what the broker did not take."""

    def publish() -> bool:
        try:
            house.publish(signal)
        except Exception:  # noqa: BLE001 - each client library has its own
            return False
        return True

    wait_until(publish, what="the broker to take a signal", timeout_s=40, pause_s=0.2)


@contextmanager
def own_postgres() -> Iterator[tuple[PostgresServer, ServerProcess, Path]]:
    with temporary_folder() as folder:
        server = PostgresServer(data_dir=folder, port=free_port(), password="test", durable=False)
        server.prepare()
        process = server.process(folder / "postgres.log")
        process.start(server.is_ready)
        try:
            migrations.upgrade(server.create_database("restarts"))
            yield server, process, folder
        finally:
            process.stop()


def start_again(server: PostgresServer, process: ServerProcess) -> None:
    """After a kill its children need a moment to go, and until then it refuses to start."""

    def started() -> bool:
        try:
            server.prepare()
            process.start(server.is_ready)
        except EmbeddedError:
            return False
        return True

    wait_until(started, what="PostgreSQL to start again", timeout_s=30, pause_s=0.3)


@pytest.mark.slow
@pytest.mark.rabbitmq
def test_a_killed_rabbitmq_and_a_killed_database_lose_no_signal_and_no_event(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    if not rabbitmq_is_installed():
        pytest.skip("no RabbitMQ: apt-get install rabbitmq-server")
    flush(redis_server)
    with temporary_folder() as folder, own_postgres() as (postgres, database, _):
        rabbitmq = RabbitmqServer(folder)
        rabbitmq.start()
        try:
            servers = {
                **redis_server.environment(),
                **rabbitmq.environment(),
                **postgres.environment("restarts"),
            }
            with running_house(tmp_path, servers, database_url=postgres.url("restarts")) as house:
                signals = load("rabbit", 60)
                for number, signal in enumerate(signals):
                    if number == 30:
                        wait_for_half(house)
                        rabbitmq.kill()
                        time.sleep(1)  # the workers go on with what they have, and can announce none of it
                        rabbitmq.start()
                    publish_again_and_again(house, signal)
                assert_all_ended_once(house, signals)
                assert_events_complete(house)

                more = load("postgres", 60)
                for number, signal in enumerate(more):
                    house.publish(signal)
                    if number == 20:
                        database.kill()
                        start_again(postgres, database)
                    if number == 40:
                        database.stop()
                        start_again(postgres, database)
                assert_all_ended_once(house, more)
                wait_until(
                    lambda: house.count("order_events WHERE published_at IS NULL") == 0,
                    what="events to be published",
                )
        finally:
            rabbitmq.stop()


@pytest.mark.slow
def test_a_killed_redis_broker_loses_no_signal_and_no_event(tmp_path: Path) -> None:
    with temporary_folder() as folder, own_postgres() as (postgres, _, _):
        redis = RedisServer(data_dir=folder, port=free_port(), password="test")
        redis.prepare()
        process = redis.process(folder / "redis.log")
        process.start(redis.is_ready)
        try:
            servers = {**redis.environment(), **postgres.environment("restarts")}
            with running_house(tmp_path, servers, database_url=postgres.url("restarts")) as house:
                signals = load("redis", 60)
                for number, signal in enumerate(signals):
                    if number == 30:
                        wait_for_half(house)
                        process.kill()
                        time.sleep(1)
                        process.start(redis.is_ready)
                    publish_again_and_again(house, signal)
                assert_all_ended_once(house, signals)
                assert_events_complete(house)
        finally:
            process.stop()
