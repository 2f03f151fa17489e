"""Several queues and several messages at once, on both brokers: nothing lost, nothing out of order."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import kombu
import pytest
from structlog.testing import capture_logs

from order_manager.messaging import intake_rabbitmq, intake_redis
from order_manager.messaging.deliveries import Delivery, HandleAll
from order_manager.messaging.intake_rabbitmq import RabbitmqIntake
from order_manager.messaging.intake_redis import RedisIntake
from order_manager.queues import UPDATE_QUEUE_ARGUMENTS
from tests.servers import broker_connection, broker_url

A, B = "updates.a", "updates.b"
BATCH = 10


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (intake_redis, intake_rabbitmq):
        monkeypatch.setattr(module, "RETRY_S", 0.02)


@contextmanager
def running(
    env: Mapping[str, str], handle: HandleAll, *, on_connected: Callable[[], None] = lambda: None
) -> Iterator[list[Any]]:
    url, intakes = broker_url(env), list[Any]()
    if "RABBITMQ_HOST" in env:
        arguments = UPDATE_QUEUE_ARGUMENTS
        intakes += [
            RabbitmqIntake(url, [A, B], handle, batch=BATCH, arguments=arguments, on_connected=on_connected)
        ]
    else:
        intakes += [RedisIntake(url, q, handle, batch=BATCH, on_connected=on_connected) for q in (A, B)]
    threads = [threading.Thread(target=intake.run_for_ever) for intake in intakes]
    for thread in threads:
        thread.start()
    try:
        yield intakes
    finally:
        for intake in intakes:
            intake.stop()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()


def publish(env: Mapping[str, str], queue: str, *bodies: bytes) -> None:
    with broker_connection(env) as connection:
        producer = kombu.Producer(connection.default_channel)
        kombu.Queue(
            queue,
            exchange=kombu.Exchange(""),
            routing_key=queue,
            durable=True,
            queue_arguments=UPDATE_QUEUE_ARGUMENTS,
        )(connection.default_channel).declare()
        for body in bodies:
            producer.publish(
                body, routing_key=queue, content_type="application/json", headers={"trace_id": "t"}
            )


def waiting(env: Mapping[str, str], queue: str) -> int:
    with broker_connection(env) as connection:
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0  # an empty list is no list, for Redis


def until(is_so: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


def numbers(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


class Taker:
    """Notes the batches; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[Delivery]] = []
        self.failures = failures
        self._lock = threading.Lock()

    def __call__(self, deliveries: Sequence[Delivery]) -> None:
        with self._lock:
            if self.failures and len(self.batches) >= 2:
                self.failures -= 1
                raise RuntimeError("the database is away")
            self.batches.append(list(deliveries))

    def bodies(self, queue: str) -> list[bytes]:
        return [one.body for batch in list(self.batches) for one in batch if one.queue == queue]


def test_messages_that_wait_come_together_and_in_their_order(broker):
    publish(broker, A, *numbers(95))
    publish(broker, B, *numbers(25))
    taker = Taker()
    with running(broker, taker):
        until(lambda: len(taker.bodies(A)) == 95 and len(taker.bodies(B)) == 25)
    assert taker.bodies(A) == numbers(95)
    assert taker.bodies(B) == numbers(25)
    assert max(map(len, taker.batches)) == BATCH
    assert len(taker.batches) < 30
    assert taker.batches[0][0].headers["trace_id"] == "t"
    assert (waiting(broker, A), waiting(broker, B)) == (0, 0)


def test_a_batch_that_cannot_be_handled_comes_again_whole_and_before_what_follows(broker):
    publish(broker, A, *numbers(50))
    taker = Taker(failures=2)
    with running(broker, taker):
        until(lambda: len(taker.bodies(A)) >= 50)
    assert taker.failures == 0
    assert taker.bodies(A) == numbers(50)  # none twice: what was handled had been acked
    assert waiting(broker, A) == 0


@pytest.mark.parametrize(("error", "is_bug"), [(KeyError("side"), True), (ConnectionError("away"), False)])
def test_a_bug_that_holds_messages_up_is_told_with_its_traceback(broker, error, is_bug):
    failures = [error]

    def handle(deliveries: Sequence[Delivery]) -> None:
        if failures:
            raise failures.pop()
        handled.set()

    handled = threading.Event()
    publish(broker, A, b"1")
    with capture_logs() as logs, running(broker, handle):
        assert handled.wait(10)
    [told] = [line for line in logs if line["event"] == "intake_interrupted"]
    assert (told["error"], told["exc_info"]) == (repr(error), is_bug)


def test_a_message_that_comes_alone_is_not_kept_waiting(broker):
    publish(broker, A)
    taker, is_connected = Taker(), threading.Event()
    with running(broker, taker, on_connected=is_connected.set):
        assert is_connected.wait(10)
        publish(broker, A, b"1")
        began = time.monotonic()
        until(lambda: taker.bodies(A) == [b"1"])
        assert time.monotonic() - began < 0.5


def test_a_stop_lets_the_batch_in_hand_be_finished(broker):
    publish(broker, A, *numbers(BATCH * 3))
    seen: list[bytes] = []
    holder: list[Any] = []

    def handle(deliveries: Sequence[Delivery]) -> None:
        until(lambda: holder)
        for intake in holder[0]:
            intake.stop()
        seen.extend(one.body for one in deliveries)

    with running(broker, handle) as intakes:
        holder.append(intakes)
        until(lambda: seen)
    assert seen == numbers(len(seen))
    until(lambda: waiting(broker, A) == BATCH * 3 - len(seen))


@pytest.mark.rabbitmq
def test_every_connection_is_told_of_and_a_foreign_queue_is_taken_as_it_is(rabbitmq_env, rabbitmq_server):
    if not hasattr(rabbitmq_server, "evaluate"):
        pytest.skip("only our own server can be told to cut connections")
    with broker_connection(rabbitmq_env) as connection:
        connection.default_channel.queue_declare(
            A, durable=True, auto_delete=False, arguments={"x-max-length": 7}
        )
    taker, told = Taker(), list[float]()
    with running(rabbitmq_env, taker, on_connected=lambda: told.append(time.monotonic())):
        until(lambda: told)
        rabbitmq_server.evaluate(
            '[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections()].'
        )
        until(lambda: len(told) == 2, seconds=20)
    with broker_connection(rabbitmq_env) as connection:  # B was made with our arguments, or this raises
        connection.default_channel.queue_declare(
            B, durable=True, auto_delete=False, arguments=UPDATE_QUEUE_ARGUMENTS
        )
