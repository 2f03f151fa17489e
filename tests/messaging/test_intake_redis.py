"""Messages off a Redis list: in order, kept until they are handled, put back after a crash."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import kombu
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from order_manager.messaging import intake_redis
from order_manager.messaging.deliveries import Delivery, HandleAll
from order_manager.messaging.intake_redis import RedisIntake, unwrapped

QUEUE = "signals"
Handle = Callable[[bytes, Mapping[str, Any], str], None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_redis, "RETRY_S", 0.02)


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def each(handle: Handle) -> HandleAll:
    def handle_all(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            handle(delivery.body, delivery.headers, delivery.queue)

    return handle_all


@contextmanager
def running(redis_url: str, handle: Handle) -> Iterator[RedisIntake]:
    intake = RedisIntake(redis_url, QUEUE, each(handle))
    thread = threading.Thread(target=intake.run_for_ever)
    thread.start()
    try:
        yield intake
    finally:
        intake.stop()
        thread.join(10)
        assert not thread.is_alive()


def until(is_so: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.01)


def publish(redis_url: str, *bodies: bytes, **headers: str) -> None:
    """As any service with kombu would."""
    with kombu.Connection(redis_url) as connection:
        producer = kombu.Producer(connection.default_channel)
        queue = kombu.Queue(QUEUE, exchange=kombu.Exchange(""), routing_key=QUEUE)
        queue(connection.default_channel).declare()
        for body in bodies:
            producer.publish(
                body,
                routing_key=QUEUE,
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers,
            )


def test_a_kombu_envelope_is_opened(redis_url, server):
    publish(redis_url, b'{"amount": 0.10}', trace_id="t-1")
    raw = server.rpop(QUEUE)
    body, headers = unwrapped(raw)
    assert body == b'{"amount": 0.10}'
    assert headers["trace_id"] == "t-1"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"{",
        b"{}",
        b"[1]",
        b'{"signal_id": "s-1", "amount": 1}',
        b'{"body": "plain", "properties": {}}',
        b'{"body": "plain", "properties": null}',
        b'{"body": "plain", "properties": {"body_encoding": "utf-8"}}',
        b'{"body": "not base64!", "properties": {"body_encoding": "base64"}}',
        b'{"body": 5, "properties": {"body_encoding": "base64"}}',
        b'{"a":' * 30_000,
        b"{\xff\xfe}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_no_envelope_is_the_body_itself(raw):
    assert unwrapped(raw) == (raw, {})


def test_an_envelope_whose_headers_are_no_object_has_none():
    envelope = {"body": base64.b64encode(b"x").decode(), "properties": {"body_encoding": "base64"}}
    assert unwrapped(json.dumps(envelope | {"headers": [1]}).encode()) == (b"x", {})
    assert unwrapped(json.dumps(envelope).encode()) == (b"x", {})


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: ("{" + text).encode()))
def test_any_bytes_can_be_unwrapped(raw):
    body, headers = unwrapped(raw)
    assert isinstance(body, bytes)
    assert isinstance(headers, dict)


def test_messages_are_handled_in_order_and_then_forgotten(redis_url, server):
    publish(redis_url, b"1", b"2")
    server.lpush(QUEUE, b"3")  # a bare body among envelopes
    seen: list[tuple[bytes, str]] = []
    with running(redis_url, lambda body, headers, queue: seen.append((body, queue))):
        until(lambda: len(seen) == 3)
    assert seen == [(b"1", QUEUE), (b"2", QUEUE), (b"3", QUEUE)]
    assert server.keys(f"{QUEUE}*") == []


def test_a_handler_that_raises_gets_the_message_again_before_the_next_one(redis_url, server):
    server.lpush(QUEUE, b"1", b"2", b"3")
    seen: list[bytes] = []
    kept: list[int] = []

    def handle(body: bytes, headers: Mapping[str, Any], queue: str) -> None:
        seen.append(body)
        if seen.count(b"2") < 3 and body == b"2":
            kept.append(server.llen(f"{QUEUE}.in-hand"))
            raise RuntimeError("the database is away")

    with running(redis_url, handle):
        until(lambda: b"3" in seen and server.llen(f"{QUEUE}.in-hand") == 0)
    assert seen == [b"1", b"2", b"2", b"2", b"3"]
    assert kept == [1, 1]
    assert server.keys(f"{QUEUE}*") == []


def test_what_a_dead_predecessor_had_in_hand_comes_first_and_in_order(redis_url, server):
    server.lpush(QUEUE, b"1", b"2", b"3", b"4")
    for _ in range(2):  # taken, never forgotten: it died
        server.blmove(QUEUE, f"{QUEUE}.in-hand", 1, "RIGHT", "LEFT")
    seen: list[bytes] = []
    with running(redis_url, lambda body, headers, queue: seen.append(body)):
        until(lambda: len(seen) == 4)
    assert seen == [b"1", b"2", b"3", b"4"]


def test_two_equal_messages_are_two_messages(redis_url, server):
    server.lpush(QUEUE, b"same", b"same")
    seen: list[bytes] = []
    with running(redis_url, lambda body, headers, queue: seen.append(body)):
        until(lambda: len(seen) == 2 and not server.exists(QUEUE, f"{QUEUE}.in-hand"))
    assert seen == [b"same", b"same"]


def test_a_stop_lets_the_message_in_hand_be_finished_and_takes_no_more(redis_url, server):
    server.lpush(QUEUE, b"1", b"2")
    seen: list[bytes] = []
    holder: list[RedisIntake] = []

    def handle(body: bytes, headers: Mapping[str, Any], queue: str) -> None:
        holder[0].stop()
        seen.append(body)

    intake = RedisIntake(redis_url, QUEUE, each(handle))
    holder.append(intake)
    intake.run_for_ever()
    assert seen == [b"1"]
    assert server.lrange(QUEUE, 0, -1) == [b"2"]
    assert not server.exists(f"{QUEUE}.in-hand")


def test_a_redis_that_comes_back_is_used_again(redis_url, server):
    """Its connections are cut: as after a restart."""
    seen: list[bytes] = []
    with running(redis_url, lambda body, headers, queue: seen.append(body)):
        server.lpush(QUEUE, b"1")
        until(lambda: len(seen) == 1)
        for client in server.client_list():
            if client["cmd"] == "blmove":
                server.client_kill_filter(_id=client["id"])
        server.lpush(QUEUE, b"2")
        until(lambda: len(seen) == 2)
    assert seen == [b"1", b"2"]
