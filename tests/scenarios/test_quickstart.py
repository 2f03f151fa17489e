"""The quickstart message, published as written by a plain client, ends as an accepted order."""

import json
from collections.abc import Mapping

import amqp
import redis

from order_manager.domain.identity import client_order_id
from order_manager.queues import SIGNALS
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.signals import QUICKSTART


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


def test_quickstart_message_ends_as_an_accepted_order_with_its_event(house_on: HouseMaker) -> None:
    with house_on() as house:
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
