"""The processes that hear the exchange, on real servers: what is told is stored, and they end when asked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu
import pytest
from sqlalchemy import Engine, create_engine, text

from order_manager import queues
from tests.bybit.pretend_stream import KEY, SECRET, PretendStream, a_stream, data
from tests.partners.test_ws_gateway import CHANNELS, Gateway, a_gateway
from tests.servers import broker_connection

ORDERS = json.loads((Path(__file__).parent / "data/bybit/order_realtime.json").read_text())


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM exchange_updates"))
        connection.execute(text("DELETE FROM dead_letters"))
    yield engine
    engine.dispose()


def an_order(**changes: Any) -> dict[str, Any]:
    [row, *_] = ORDERS["response"]["result"]["list"]
    return {**row, "symbol": "BTCUSDT", "category": "linear", **changes}


@contextmanager
def running(command: str, env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "order_manager.cli", command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1]), **env},
        cwd="/",
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(process: "subprocess.Popen[str]") -> tuple[int, float, str]:
    """Exit status, seconds that it took, and what was logged."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=15)
    return process.returncode, time.monotonic() - began, logged


def stored(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT symbol, kind, source FROM exchange_updates ORDER BY id"))
        return [tuple(row) for row in rows]


def dead_letters(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT queue, code, field FROM dead_letters"))]


def until(is_so: Callable[[], Any], process: "subprocess.Popen[str]", seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(process.communicate()[1])
        time.sleep(0.02)


def stream_env(exchange: PretendStream) -> dict[str, str]:
    url = exchange.url.replace("ws", "http", 1).removesuffix("/v5/private")
    return {"BYBIT_PAPER_URL": url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET}


def test_the_stream_stores_what_the_exchange_says_and_stops_at_once(database_env, broker, engine):
    with (
        a_stream() as exchange,
        running("stream", {**database_env, **broker, **stream_env(exchange)}) as process,
    ):
        until(lambda: "subscribe" in exchange.ops(), process)
        exchange.send(data("order", an_order()))
        until(lambda: stored(engine), process)
        status, seconds, logged = stopped(process)
    assert stored(engine) == [("BTCUSDT", "order", "stream")]
    assert (status, seconds < 2) == (0, True), (seconds, logged)
    assert '"process":"stream"' in logged.replace(" ", "")


def test_a_stream_whose_exchange_is_away_stops_at_once(database_env, redis_server):
    env = {**database_env, **redis_server.environment(), "BYBIT_PAPER_URL": "http://127.0.0.1:1"}
    with running("stream", env) as process:
        assert process.stderr is not None
        while "stream_lost" not in process.stderr.readline():
            pass
        status, seconds, logged = stopped(process)
    assert (status, seconds < 2) == (0, True), logged


def test_a_dry_run_follows_no_stream(database_env, redis_server):
    with a_stream() as exchange:
        env = {**database_env, **redis_server.environment(), **stream_env(exchange)}
        with running("stream", {**env, "ORDERMANAGER_ENABLE_DRY_RUN": "true"}) as process:
            assert process.stderr is not None
            while "stream_not_followed" not in process.stderr.readline():
                pass
            time.sleep(0.2)
            status, seconds, _ = stopped(process)
        assert exchange.connections == []
    assert (status, seconds < 2) == (0, True)


def publish(env: Mapping[str, str], queue: str, *bodies: bytes) -> None:
    arguments = queues.UPDATE_QUEUE_ARGUMENTS if queue in queues.UPDATES else None
    with broker_connection(env) as connection:
        channel = connection.default_channel
        kombu.Queue(queue, kombu.Exchange(""), routing_key=queue, durable=True, queue_arguments=arguments)(
            channel
        ).declare()
        for body in bodies:
            kombu.Producer(channel).publish(body, routing_key=queue, content_type="application/json")


def gateway_env(gateway: Gateway) -> dict[str, str]:
    return {
        "WS_GATEWAY_HOST": "127.0.0.1",
        "WS_GATEWAY_PORT": str(gateway.server_port),
        "WS_GATEWAY_API_KEY": "gateway-key",
    }


def test_the_consumer_subscribes_at_the_gateway_and_stores_its_updates(database_env, broker, engine):
    envelope = {"event_type": "order", "payload": an_order()}
    signal_body = {"signal_id": str(uuid4()), "signal_type": "buy", "asset": "BTCUSDT", "amount": 10}
    publish(broker, queues.ORDER_UPDATES, json.dumps(envelope).encode(), b"nonsense")
    publish(broker, queues.POSITION_UPDATES, json.dumps({"event_type": "position", "payload": 7}).encode())
    publish(broker, queues.SIGNALS, json.dumps(signal_body).encode())
    with a_gateway(status=409) as gateway:
        with running("consumer", {**database_env, **broker, **gateway_env(gateway)}) as process:
            until(lambda: stored(engine) and len(dead_letters(engine)) == 2, process)
            until(lambda: len(gateway.asked) >= 3, process)
            status, seconds, logged = stopped(process)
        assert [body["channel_type"] for *_, body in gateway.asked[:3]] == CHANNELS
    assert stored(engine) == [("BTCUSDT", "order", "gateway")]
    assert set(dead_letters(engine)) == {
        (queues.ORDER_UPDATES, "invalid_json", ""),
        (queues.POSITION_UPDATES, "invalid_type", "payload"),
    }
    assert (status, seconds < 5) == (0, True), (seconds, logged)
    assert "signal_received" in logged
    assert "reconciliation_requested" in logged


@pytest.mark.parametrize("changed", [{"ORDERMANAGER_ENABLE_DRY_RUN": "true"}, {"WS_GATEWAY_HOST": ""}])
def test_without_a_gateway_or_in_a_dry_run_updates_are_left_alone(database_env, redis_server, changed):
    with a_gateway() as gateway:
        env = {**database_env, **redis_server.environment(), **gateway_env(gateway), **changed}
        with running("consumer", env) as process:
            assert process.stderr is not None
            while "consumer_started" not in process.stderr.readline():
                pass
            time.sleep(1.3)
            status, _, _ = stopped(process)
        assert gateway.asked == []
    assert status == 0
