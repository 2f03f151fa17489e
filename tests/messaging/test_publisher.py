"""Events go out persistent and confirmed, on whichever broker there is."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal as D
from typing import Any

import kombu
import pytest

from order_manager.domain.events import Event, order_event
from order_manager.messaging.publisher import EventPublisher
from order_manager.queues import EVENTS
from tests.builders import NOW, an_order
from tests.servers import broker_connection, broker_url


@pytest.fixture
def publisher(broker: Mapping[str, str]) -> Iterator[EventPublisher]:
    made = EventPublisher(broker_url(broker), is_rabbitmq="RABBITMQ_HOST" in broker)
    yield made
    made.close()


def an_event(sequence: int = 1) -> Event:
    return order_event("created", an_order(), sequence=sequence, trace_id="trace-1", now=NOW)


def received(broker: Mapping[str, str]) -> list[Any]:
    """Every message that waits in the events' queue."""
    with broker_connection(broker) as connection:
        queue = kombu.Queue(EVENTS)(connection.default_channel)
        messages = []
        while (message := queue.get(no_ack=True)) is not None:
            messages.append(message)
        return messages


def test_an_event_is_persistent_and_carries_its_trace(broker, publisher):
    event = an_event()
    publisher.publish([event])
    [message] = received(broker)
    assert message.properties["delivery_mode"] == 2
    assert message.headers["trace_id"] == "trace-1"
    assert message.headers["event_type"] == "created"
    assert message.content_type == "application/json"
    if "message_id" in message.properties:
        assert message.properties["message_id"] == event.event_id


def test_the_body_is_the_event_with_its_decimals_as_strings(broker, publisher):
    event = an_event()
    publisher.publish([event])
    [message] = received(broker)
    body = json.loads(bytes(message.body) if not isinstance(message.body, str) else message.body)
    assert body == event.body
    assert body["event_id"] == event.event_id
    assert body["order"]["quantity"] == "0.01"
    assert body["order"]["price"] == "49000"


def test_events_arrive_in_the_order_in_which_they_were_given(broker, publisher):
    publisher.publish(an_event(number) for number in range(1, 6))
    bodies = [json.loads(message.body) for message in received(broker)]
    assert [body["sequence"] for body in bodies] == [1, 2, 3, 4, 5]


def test_a_decimal_that_slipped_into_a_body_leaves_as_a_string(broker, publisher):
    plain = an_event()
    event = Event(**{name: getattr(plain, name) for name in Event.__slots__} | {"body": {"x": D("0.10")}})
    publisher.publish([event])
    assert json.loads(received(broker)[0].body) == {"x": "0.10"}


def test_nothing_to_publish_is_fine(broker, publisher):
    publisher.publish([])
    assert received(broker) == []


def test_a_closed_publisher_opens_again(broker, publisher):
    publisher.publish([an_event()])
    publisher.close()
    publisher.publish([an_event(2)])
    assert len(received(broker)) == 2


def test_the_queue_outlives_a_restart_of_the_broker(broker, publisher):
    publisher.publish([])
    with broker_connection(broker) as connection:
        channel = connection.default_channel
        channel.queue_declare(EVENTS, durable=True, auto_delete=False)  # or RabbitMQ refuses


def test_a_broker_that_is_gone_raises(broker):
    is_rabbitmq = "RABBITMQ_HOST" in broker
    scheme = "amqp" if is_rabbitmq else "redis"
    publisher = EventPublisher(f"{scheme}://guest:guest@127.0.0.1:1//", is_rabbitmq=is_rabbitmq)
    with pytest.raises(kombu.exceptions.OperationalError):
        publisher.publish([an_event()])
    publisher.close()


@pytest.mark.rabbitmq
def test_a_connection_that_was_cut_raises_once_and_then_works_again(rabbitmq_server, rabbitmq_env):
    if not hasattr(rabbitmq_server, "evaluate"):
        pytest.skip("only our own server can be told to cut connections")
    publisher = EventPublisher(broker_url(rabbitmq_env), is_rabbitmq=True)
    publisher.publish([an_event(1)])
    rabbitmq_server.evaluate(
        '[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections()].'
    )
    with pytest.raises(Exception, match=r"(?i)connection|reset|closed|pipe|320"):
        publisher.publish([an_event(2)])
    publisher.publish([an_event(2), an_event(3)])
    publisher.close()
    assert [json.loads(message.body)["sequence"] for message in received(rabbitmq_env)] == [1, 2, 3]


def test_a_redis_connection_that_was_cut_is_replaced(redis_server):
    import redis

    env = redis_server.environment()
    publisher = EventPublisher(broker_url(env), is_rabbitmq=False)
    publisher.publish([an_event(1)])
    with redis.Redis.from_url(redis_server.url()) as server:
        server.client_kill_filter(_type="normal", skipme=True)
        for _ in range(2):
            try:
                publisher.publish([an_event(2)])
                break
            except (OSError, redis.RedisError, kombu.exceptions.OperationalError):
                continue
        assert server.llen(EVENTS) >= 2
        server.delete(EVENTS)
    publisher.close()
