"""Messages off RabbitMQ: the queue as its owner made it, acked last, in order."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import kombu
import pytest

from order_manager.messaging import intake_rabbitmq
from order_manager.messaging.deliveries import Delivery
from order_manager.messaging.intake_rabbitmq import RabbitmqIntake
from tests.servers import broker_url

pytestmark = pytest.mark.rabbitmq
QUEUE = "signals"
FOREIGN = {"x-message-ttl": 86_400_000, "x-max-length": 100_000, "x-overflow": "drop-head"}
Handle = Callable[[bytes, Mapping[str, Any], str], None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_rabbitmq, "RETRY_S", 0.02)


@pytest.fixture
def url(rabbitmq_env: dict[str, str]) -> str:
    return broker_url(rabbitmq_env)


@contextmanager
def channel_to(url: str) -> Iterator[Any]:
    with kombu.Connection(url) as connection:
        yield connection.default_channel


@contextmanager
def running(url: str, handle: Handle) -> Iterator[RabbitmqIntake]:
    def handle_all(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            handle(delivery.body, delivery.headers, delivery.queue)

    intake = RabbitmqIntake(url, [QUEUE], handle_all)
    thread = threading.Thread(target=intake.run_for_ever)
    thread.start()
    try:
        yield intake
    finally:
        intake.stop()
        thread.join(15)
        assert not thread.is_alive()


def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


def declare(url: str, **arguments: Any) -> None:
    with channel_to(url) as channel:
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=arguments or None)


def publish(url: str, *bodies: bytes, headers: Mapping[str, Any] | None = None, content: str = "") -> None:
    with channel_to(url) as channel:
        for body in bodies:
            message = channel.prepare_message(
                body,
                headers=dict(headers or {}),
                content_type=content or None,
                content_encoding="binary" if content else None,
            )
            channel.basic_publish(message, exchange="", routing_key=QUEUE)


def waiting(url: str) -> int:
    with channel_to(url) as channel:
        return int(channel.queue_declare(QUEUE, passive=True).message_count)


def test_a_queue_that_another_service_made_is_taken_as_it_is(url):
    declare(url, **FOREIGN)
    publish(url, b"1", headers={"trace_id": "t-1"})
    seen: list[tuple[bytes, Any, str]] = []
    with running(url, lambda body, headers, queue: seen.append((body, headers.get("trace_id"), queue))):
        until(lambda: len(seen) == 1)
    assert seen == [(b"1", "t-1", QUEUE)]
    declare(url, **FOREIGN)  # its arguments are as before, or this raises


def test_a_queue_that_is_not_there_is_made_durable(url):
    seen: list[bytes] = []
    with running(url, lambda body, headers, queue: seen.append(body)):

        def is_made() -> bool:
            try:
                return waiting(url) == 0
            except kombu.exceptions.OperationalError:
                return False
            except Exception as error:  # noqa: BLE001 - amqp's NotFound
                return "NOT_FOUND" not in str(error)

        until(is_made)
        declare(url)  # durable and plain, or this raises
        publish(url, b"1")
        until(lambda: seen == [b"1"])


def test_a_handler_that_raises_gets_everything_unacked_again_in_order(url):
    declare(url)
    publish(url, b"1", b"2", b"3", b"4")
    seen: list[bytes] = []

    def handle(body: bytes, headers: Mapping[str, Any], queue: str) -> None:
        seen.append(body)
        if body == b"2" and seen.count(b"2") < 3:
            raise RuntimeError("the database is away")

    with running(url, handle):
        until(lambda: b"4" in seen)
    assert seen == [b"1", b"2", b"2", b"2", b"3", b"4"]
    until(lambda: waiting(url) == 0)


def test_a_body_that_is_not_json_reaches_the_handler_as_it_came(url):
    declare(url)
    publish(url, b"\xff\x00 not json", content="application/json")
    publish(url, b'{"amount": 0.10}', content="application/json")
    publish(url, b"\x80\x02}q\x00.", content="application/x-python-serialize")
    publish(url, b"bare")
    seen: list[bytes] = []
    with running(url, lambda body, headers, queue: seen.append(body)):
        until(lambda: len(seen) == 4)
    assert seen == [b"\xff\x00 not json", b'{"amount": 0.10}', b"\x80\x02}q\x00.", b"bare"]


def test_a_message_is_acked_only_after_it_was_handled(url):
    declare(url)
    publish(url, b"1")
    is_in, may_end = threading.Event(), threading.Event()

    def handle(body: bytes, headers: Mapping[str, Any], queue: str) -> None:
        is_in.set()
        may_end.wait(10)

    with running(url, handle) as intake:
        assert is_in.wait(10)
        intake.stop()
        may_end.set()
    until(lambda: waiting(url) == 0)


def test_a_connection_that_is_cut_comes_back_and_nothing_is_lost(url, rabbitmq_server):
    if not hasattr(rabbitmq_server, "evaluate"):
        pytest.skip("only our own server can be told to cut connections")
    declare(url)
    seen: list[bytes] = []
    with running(url, lambda body, headers, queue: seen.append(body)):
        publish(url, b"1")
        until(lambda: seen == [b"1"])
        rabbitmq_server.evaluate(
            '[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections()].'
        )
        publish(url, b"2")
        until(lambda: b"2" in seen, seconds=20)
    assert seen == [b"1", b"2"]
