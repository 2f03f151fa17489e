"""Each process says in Redis, every few seconds, that it lives; whoever reads it sees who has fallen silent.

A thread of its own says it, so a frozen process falls silent, and a Redis that is away disturbs nobody.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import REGISTRY
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from order_manager.metrics import PREFIX
from order_manager.settings import Settings

PROCESSES = "order-manager:processes"  # hash: name@host -> JSON
EVERY_S = 3.0
FORGOTTEN_AFTER_S = 3600  # one that was killed for good is no news for ever
TIMEOUT_S = 1.0

Facts = Callable[[], Mapping[str, Any]]  # what a process tells of itself besides


def redis_for_heartbeats(settings: Settings, *, timeout_s: float = TIMEOUT_S) -> "Redis":
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Heart:
    """Beats in a daemon thread from `start` to `stop`."""

    def __init__(self, redis: "Redis", *, name: str, role: str, facts: Facts) -> None:
        self._redis = redis
        self._facts = facts
        self._field = f"{name}@{socket.gethostname()}"
        self._told = {
            "name": name,
            "role": role,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": datetime.now(UTC).isoformat(),
        }
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """For a process that ends as it was asked to: nobody is to miss it."""
        self._stopping.set()
        self._thread.join(2 * TIMEOUT_S)
        with contextlib.suppress(RedisError):
            self._redis.hdel(PROCESSES, self._field)

    def beat(self) -> None:
        """By Redis' clock, which is the same for all. Raises RedisError."""
        seconds, micros = self._redis.time()
        told = {**self._told, **self._facts(), "at": seconds + micros / 1e6}
        with self._redis.pipeline() as pipeline:
            pipeline.hset(PROCESSES, self._field, json.dumps(told))
            pipeline.expire(PROCESSES, FORGOTTEN_AFTER_S)
            pipeline.execute()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(RedisError):
                self.beat()
            self._stopping.wait(EVERY_S)


_heart: list[Heart] = []  # this process's, if it has begun


def begin_heartbeats(settings: Settings, *, name: str, role: str, facts: Facts = dict) -> None:
    """From now on; a process has one heart."""
    if not _heart and settings.redis_host is not None:
        _heart.append(Heart(redis_for_heartbeats(settings), name=name, role=role, facts=facts))
        _heart[0].start()


def end_heartbeats() -> None:
    """At an end that was asked for; without one the others see that this process is missing."""
    while _heart:
        _heart.pop().stop()


class StreamFacts:
    """Whether the private stream is subscribed, since when, and when it was last heard; of its gauges."""

    def __init__(self) -> None:
        self._is_connected: bool | None = None
        self._since = time.time()

    def __call__(self) -> dict[str, Any]:
        is_connected = bool(_sample("stream_connected"))
        if is_connected is not self._is_connected:
            if self._is_connected is not None:
                self._since = time.time()
            self._is_connected = is_connected
        heard_s = _sample("stream_last_message_timestamp_seconds")
        return {
            "stream": {
                "connected": is_connected,
                "since": _iso(self._since),
                "heard_at": _iso(heard_s) if heard_s else None,
            }
        }


def _sample(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"{PREFIX}{name}", {"stream": "private"})


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat()
