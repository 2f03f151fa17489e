"""Who lives is known by heartbeats; who fell silent is named, and who was stopped is not missed."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from order_manager import heartbeats, metrics
from order_manager.embedded import free_port
from order_manager.heartbeats import PROCESSES, Heart, StreamFacts, redis_for_heartbeats
from order_manager.processes import Intake, concerns, read_intake, read_processes
from order_manager.queues import SIGNALS
from order_manager.settings import Settings, load_settings
from tests.servers import RedisServer

ROLES = {"consumer": "consumer", "lane-1": "worker", "maintenance": "maintenance", "beat": "beat"}
STREAM = {"connected": True, "since": "2026-01-02T03:04:05+00:00", "heard_at": "2026-01-02T03:04:06+00:00"}


@pytest.fixture
def settings(redis_server: RedisServer, redis_url: str) -> Settings:
    return load_settings(_env_file=None, **redis_server.environment())


@pytest.fixture
def redis(settings: Settings) -> Redis:
    client = redis_for_heartbeats(settings)
    client.delete(PROCESSES, SIGNALS, f"{SIGNALS}.in-hand")
    return client


def put(redis: Redis, name: str, role: str, *, age_s: float = 1, **told: Any) -> None:
    entry = {"name": name, "role": role, "host": "far", "pid": 7, "started_at": "2026-01-02T03:04:05+00:00"}
    redis.hset(PROCESSES, f"{name}@far", json.dumps({**entry, "at": time.time() - age_s, **told}))


def put_fleet(redis: Redis, **ages: float) -> None:
    for name, role in ROLES.items():
        put(redis, name, role, age_s=ages.get(name.partition("-")[0], 1))
    put(redis, "stream", "stream", age_s=ages.get("stream", 1), stream=STREAM)


def said(settings: Settings) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in concerns(settings, read_intake(settings, timeout_s=1))]


def test_a_process_is_heard_from_its_begin_to_its_end(settings: Settings, redis: Redis, monkeypatch) -> None:
    monkeypatch.setattr(heartbeats, "EVERY_S", 0.05)
    heartbeats.begin_heartbeats(settings, name="consumer", role="consumer")
    try:
        deadline = time.monotonic() + 5
        while not (found := read_processes(redis)) and time.monotonic() < deadline:
            time.sleep(0.02)
        [one] = found
        assert (one.name, one.role, one.is_heard, one.age_s < 5) == ("consumer", "consumer", True, True)
    finally:
        heartbeats.end_heartbeats()
    assert read_processes(redis) == ()


def test_nothing_is_wrong_with_a_fleet_that_is_heard(settings: Settings, redis: Redis) -> None:
    put_fleet(redis)
    assert said(settings) == []


def test_who_falls_silent_is_named_with_what_waits_for_it(settings: Settings, redis: Redis) -> None:
    put_fleet(redis, consumer=34)
    redis.lpush(SIGNALS, "a", "b")
    redis.lpush(f"{SIGNALS}.in-hand", "c")
    [silent, queue] = said(settings)
    assert silent[0] == queue[0] == "problem"
    assert silent[1].startswith("consumer (pid 7 on far) has not been heard of for 34 s: signals are not")
    assert queue[1] == f"3 messages wait on {SIGNALS}, and no consumer is heard of"


def test_a_silent_one_beside_another_of_its_kind_is_less_bad(settings: Settings, redis: Redis) -> None:
    put_fleet(redis)
    put(redis, "lane-2", "worker", age_s=60)
    assert said(settings) == [("warning", "lane-2 (pid 7 on far) has not been heard of for 60 s")]


def test_who_never_came_is_missed(settings: Settings, redis: Redis) -> None:
    put_fleet(redis)
    redis.hdel(PROCESSES, "beat@far", "stream@far")
    assert [(level, text.partition(":")[0]) for level, text in said(settings)] == [
        ("problem", "no beat is heard of"),
        ("warning", "no stream is heard of"),
    ]


def test_who_was_killed_for_good_is_forgotten_after_an_hour(settings: Settings, redis: Redis) -> None:
    put_fleet(redis)
    put(redis, "lane-9", "worker", age_s=4000)
    assert said(settings) == []
    assert not redis.hexists(PROCESSES, "lane-9@far")


def test_a_stream_that_is_not_connected_is_told_with_since_when(settings: Settings, redis: Redis) -> None:
    put_fleet(redis)
    put(redis, "stream", "stream", stream={**STREAM, "connected": False})
    [(level, text)] = said(settings)
    assert level == "problem"
    assert "is not connected since 2026-01-02 03:04:05 UTC" in text
    just = read_intake(settings, timeout_s=1)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=3)
    assert concerns(settings, just, now=now) == []  # it is coming back


def test_the_stream_tells_by_its_gauges(redis: Redis) -> None:
    facts = StreamFacts()
    metrics.STREAM_CONNECTED.labels("private").set(0)
    lost = facts()["stream"]
    metrics.STREAM_CONNECTED.labels("private").set(1)
    metrics.STREAM_HEARD.labels("private").set(1000)
    found = facts()["stream"]
    assert (lost["connected"], found["connected"]) == (False, True)
    assert found["since"] > lost["since"]
    assert found["heard_at"] == "1970-01-01T00:16:40+00:00"


def test_a_redis_that_is_away_disturbs_nobody(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"redis_port": free_port()})
    heart = Heart(redis_for_heartbeats(nowhere), name="consumer", role="consumer", facts=dict)
    heart.start()
    heart.stop()
    intake = read_intake(nowhere, timeout_s=1)
    assert intake == Intake(processes=None, signals=None)
    assert concerns(nowhere, intake) == []


@pytest.mark.rabbitmq
def test_signals_on_rabbitmq_are_counted(settings: Settings, redis: Redis, rabbitmq_env) -> None:
    import kombu

    from tests.servers import broker_url

    own = load_settings(
        _env_file=None,
        REDIS_HOST=settings.redis_host,
        REDIS_PORT=settings.redis_port,
        REDIS_PASSWORD=settings.redis_password,
        **rabbitmq_env,
    )
    assert read_intake(own, timeout_s=3).signals == 0  # no queue, no signals
    with kombu.Connection(broker_url({**rabbitmq_env})) as connection:
        channel = connection.default_channel
        channel.queue_declare(SIGNALS, durable=True, auto_delete=False)
        for _ in range(2):
            connection.Producer(channel).publish("{}", routing_key=SIGNALS)
        deadline = time.monotonic() + 5
        while read_intake(own, timeout_s=3).signals != 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
