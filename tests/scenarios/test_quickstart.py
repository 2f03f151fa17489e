"""The quickstart message, published as written by a plain client, ends as an accepted order.

And Celery's own tools, for whoever operates the house, tell so: what a task did, to people, and no password.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import amqp
import redis
import requests
from celery import Celery

from order_manager.domain.identity import client_order_id
from order_manager.embedded import free_port
from order_manager.queues import SIGNALS
from order_manager.tasks.queues import declared
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import ROOT, House, wait_until
from tests.scenarios.signals import QUICKSTART, market_signal
from tests.servers import broker_url

PASSWORD = ("desk", "a-password-of-flower")


def publish_plainly(env: Mapping[str, str], body: bytes) -> None:
    """Without kombu: the AMQP or the Redis client alone."""
    if "RABBITMQ_HOST" in env:
        host = f"{env['RABBITMQ_HOST']}:{env['RABBITMQ_PORT']}"
        with amqp.Connection(
            host, userid=env["RABBITMQ_USER"], password=env["RABBITMQ_PASSWORD"]
        ) as connection:
            channel = connection.channel()
            channel.queue_declare(SIGNALS, durable=True, auto_delete=False)
            channel.basic_publish(amqp.Message(body), routing_key=SIGNALS)
        return
    address = (env["REDIS_HOST"], int(env["REDIS_PORT"]))
    with redis.Redis(*address, password=env["REDIS_PASSWORD"]) as client:
        client.lpush(SIGNALS, body)


def created_event(house: House) -> bool:
    return house.count("order_events WHERE event_type = 'created' AND published_at IS NOT NULL") == 1


def client_of(env: Mapping[str, str]) -> Celery:
    """Somebody's own Celery, with the addresses and nothing else of ours."""
    results = f"redis://:{env['REDIS_PASSWORD']}@{env['REDIS_HOST']}:{env['REDIS_PORT']}/0"
    return Celery(broker=broker_url(env), backend=results)


@contextmanager
def running_flower(house: House) -> Iterator[str]:
    """Its address; started as docker-compose.yml does."""
    port = free_port()
    argv = [sys.executable, "-m", "celery", "-A", "order_manager", "flower", "--address=127.0.0.1"]
    env = {**os.environ, **house.env, "FLOWER_BASIC_AUTH": ":".join(PASSWORD)}
    with house.fleet.log_path("flower").open("ab") as log:
        process = subprocess.Popen([*argv, f"--port={port}"], cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthcheck", timeout=2).ok
    except requests.RequestException:
        return False


def check_what_celery_tells(house: House) -> None:
    """Every task that is called by name says what it did, a mistyped one what was wrong."""
    with client_of(house.env) as client:

        def call(task: str, queue: str = "maintenance", **given: Any) -> Any:
            return client.send_task(task, queue=declared(queue), **given).get(timeout=20)

        synced = call("sync_orders", kwargs={"scope": "orders", "asset": "BTCUSDT"})
        assert (synced["status"], synced["assets"]) == ("completed", ["BTCUSDT"])
        for given, why in (({"scope": "wrong"}, "active, orders"), ({"asset": "NOPEUSDT"}, "no symbol")):
            refused = call("sync_orders", kwargs=given)
            assert refused["status"] == "failed"
            assert why in refused["errors"][0]["error"]
        assert call("reconcile_orders")["requested"] == ["BTCUSDT"]
        assert call("validate_positions")["requested"] == ["BTCUSDT"]
        assert call("snapshot_positions")["snapshots"] == 1
        assert call("cancel_stale_orders") == {"requested": []}
        assert call("discover_symbols")["discovered"] == []
        assert call("refresh_instruments")["instruments"] > 1
        assert call("sweep") == {"woken": 0}
        assert call("wake_lane", queue="orders.BTCUSDT", args=["BTCUSDT"]) == {"signals_ended": 0}
        worker, *_ = client.control.inspect(limit=1, timeout=10).ping()  # by name all answer at once
        look = client.control.inspect([worker], timeout=10)
        told = json.dumps([look.conf(), look.stats(), look.report(), look.registered()], default=str)
    assert "execute_signal" in told
    check_no_secret(told, house.env)


def check_what_flower_shows(url: str, house: House) -> None:
    def ask(path: str) -> requests.Response:
        return requests.get(url + path, auth=PASSWORD, timeout=10)

    wait_until(lambda: answers(url), what="Flower to listen")
    assert requests.get(f"{url}/api/tasks", timeout=10).status_code == 401
    assert requests.get(url, timeout=10).status_code == 401

    def of_the_signal() -> list[Any]:
        return list(ask("/api/tasks?taskname=execute_signal&state=SUCCESS").json().values())

    house.publish(market_signal("second", "BTCUSDT"))
    wait_until(lambda: of_the_signal() != [], what="Flower to hear of the task")
    (task,) = of_the_signal()
    assert task["args"] == "['second', 'BTCUSDT']"
    assert task["result"] == "{'signals_ended': 1}"
    assert task["runtime"] > 0
    pages = [ask(path).text for path in ("/", "/api/workers", f"/worker/{task['worker']}")]
    assert "broker_url" in pages[-1]
    check_no_secret("".join(pages), house.env)
    check_no_secret(house.log("flower"), house.env)


def check_no_secret(text: str, env: Mapping[str, str]) -> None:
    assert text
    for name, value in env.items():
        if value not in {"", "guest"} and name.endswith(("PASSWORD", "SECRET", "API_KEY")):
            assert f":{value}@" not in text, name
            assert len(value) < 8 or value not in text, name
    assert "guest:guest" not in text


def test_quickstart_message_ends_as_an_accepted_order_with_its_event(house_on: HouseMaker) -> None:
    with house_on() as house, running_flower(house) as flower:
        publish_plainly(house.env, json.dumps(QUICKSTART).encode())
        (signal,) = house.wait_for_end("test-signal-001")
        wait_until(lambda: created_event(house), what="the event to be published")

        assert signal["state"] == "executed"
        (seen,) = house.paper.orders()
        assert seen["link_id"] == client_order_id("test-signal-001", attempt=1, slice_number=0)
        assert (seen["symbol"], seen["side"], seen["order_type"]) == ("BTCUSDT", "Buy", "Market")
        (order,) = house.rows("SELECT * FROM orders")
        assert order["exchange_order_id"] == seen["order_id"]
        event = house.events()[0]
        assert event["event_type"] == "created"
        assert event["trace_id"] == "test-trace-001"
        assert event["sequence"] == 1
        assert event["order"]["order_id"] == seen["order_id"]
        assert event["order"]["quantity"] == seen["qty"]
        assert event["signal"]["strategy_id"] == "test-strategy"
        assert float(event["execution_details"]["execution_latency_seconds"]) > 0
        check_what_celery_tells(house)
        check_what_flower_shows(flower, house)
