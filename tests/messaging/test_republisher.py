"""A message goes back to its queue as it came, and counts as sent only when the broker has it."""

import socket
import time
from collections.abc import Mapping

import kombu
import pytest

from order_manager.errors import NotConfirmed
from order_manager.messaging.republisher import Republisher
from order_manager.queues import SIGNALS
from tests.servers import broker_connection, broker_url

BODY, HEADERS = b'\xff {"amount": 1000.10}', {"trace_id": "trace-1", "x-try": "2"}


def is_rabbitmq(broker: Mapping[str, str]) -> bool:
    return "RABBITMQ_HOST" in broker


def test_a_message_goes_back_as_it_came_and_is_persistent(broker: Mapping[str, str]) -> None:
    with broker_connection(broker) as connection:
        queue = kombu.Queue(SIGNALS, durable=True)(connection.default_channel)
        queue.declare()
        republisher = Republisher(broker_url(broker), is_rabbitmq=is_rabbitmq(broker))

        republisher.publish(BODY, HEADERS, SIGNALS)

        message = queue.get(no_ack=True)
        assert message is not None
        assert bytes(message.body) == BODY
        assert {name: message.headers[name] for name in HEADERS} == HEADERS
        assert message.properties["delivery_mode"] == 2
        assert queue.get(no_ack=True) is None


@pytest.mark.rabbitmq
def test_a_queue_that_does_not_exist_takes_nothing_and_is_not_made(rabbitmq_env: dict[str, str]) -> None:
    republisher = Republisher(broker_url(rabbitmq_env), is_rabbitmq=True)

    with pytest.raises(NotConfirmed, match="nowhere"):
        republisher.publish(BODY, HEADERS, "nowhere")
    with pytest.raises(NotConfirmed):
        republisher.publish(BODY, HEADERS, "nowhere")


def test_a_broker_that_is_away_confirms_nothing() -> None:
    republisher = Republisher("amqp://guest:guest@127.0.0.1:1//", is_rabbitmq=True)

    with pytest.raises(NotConfirmed):
        republisher.publish(BODY, HEADERS, SIGNALS)


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_frozen_broker_does_not_hold_the_caller(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_manager.messaging.confirming.CONFIRM_TIMEOUT_S", 0.3)
    monkeypatch.setattr("order_manager.messaging.confirming.CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{scheme}://guest:guest@127.0.0.1:{mute.getsockname()[1]}//"
        began = time.monotonic()
        with pytest.raises(NotConfirmed):
            Republisher(url, is_rabbitmq=scheme == "amqp").publish(BODY, HEADERS, SIGNALS)

    assert time.monotonic() - began < 5
