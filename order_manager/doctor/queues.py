"""Are the queues declared as we declare them, and does anybody take from them?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import ChannelError, NotFound
from kombu import Connection
from redis import Redis

from order_manager.doctor.findings import Finding, first_line, ok, problem, warning
from order_manager.queues import (
    ANCHOR,
    EVENTS,
    MAINTENANCE,
    SIGNALS,
    SYMBOL_QUEUE_ARGUMENTS,
    UPDATE_QUEUE_ARGUMENTS,
    UPDATES,
    symbol_queue,
)
from order_manager.settings import Settings

TIMEOUT_S = 3.0
MANY = 10_000  # messages that wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A queue as we would declare it."""

    name: str
    arguments: Mapping[str, Any]
    is_ours: bool = True  # else another service's: taken as it is
    is_consumed: bool = True  # by us


def expected_queues(settings: Settings, symbols: Iterable[str]) -> list[Expected]:
    hears_gateway = settings.ws_gateway_host is not None and not settings.enable_dry_run
    return [
        Expected(name=SIGNALS, arguments={}, is_ours=False),
        Expected(name=EVENTS, arguments={}, is_consumed=False),
        Expected(name=MAINTENANCE, arguments={}),
        Expected(name=ANCHOR, arguments={}, is_consumed=False),
        *(Expected(name=symbol_queue(one), arguments=SYMBOL_QUEUE_ARGUMENTS) for one in symbols),
        *(
            Expected(name=name, arguments=UPDATE_QUEUE_ARGUMENTS, is_ours=False)
            for name in (UPDATES if hears_gateway else ())
        ),
    ]


def look_at_queues(settings: Settings, symbols: Iterable[str]) -> list[Finding]:
    """On RabbitMQ each declared passively, then as ours; on Redis, which knows none, the lengths."""
    expected = expected_queues(settings, symbols)
    found = _on_rabbitmq(settings, expected) if settings.broker_is_rabbitmq else _on_redis(settings, expected)
    if all(not one.mend for one in found):
        kind = "declared as ours are" if settings.broker_is_rabbitmq else "Redis knows no arguments"
        return [ok("queues", f"{len(expected)} looked at, {kind}")]
    return [one for one in found if one.mend]


def _on_rabbitmq(settings: Settings, expected: Iterable[Expected]) -> list[Finding]:
    limits = {"read_timeout": TIMEOUT_S, "write_timeout": TIMEOUT_S, "max_retries": 1}
    with Connection(
        settings.broker_url, connect_timeout=TIMEOUT_S, heartbeat=0, transport_options=limits
    ) as connection:
        return [finding for queue in expected for finding in _rabbitmq_queue(connection, queue)]


def _rabbitmq_queue(connection: Any, queue: Expected) -> list[Finding]:
    try:
        with connection.channel() as channel:
            declared = channel.queue_declare(queue.name, passive=True)
    except NotFound:
        mend = "start the consumer and the workers: they make it"
        return [warning("queues", f"{queue.name} does not exist", mend)]
    except ChannelError as error:
        return [warning("queues", f"{queue.name}: {first_line(error)}", "give our user the rights for it")]
    found = []
    try:
        with connection.channel() as channel:
            channel.queue_declare(
                queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments) or None
            )
    except ChannelError as error:
        found.append(_differs(queue, first_line(error)))
    if queue.is_consumed and not declared.consumer_count:
        found.append(
            problem("queues", f"{queue.name}: nobody takes from it", "start the consumer and the workers")
        )
    return found + _length(queue.name, declared.message_count)


def _differs(queue: Expected, why: str) -> Finding:
    if queue.is_ours:
        mend = "stop the fleet, delete the queue when it is empty, start the fleet: it declares it anew"
        return problem("queues", f"{queue.name} is declared otherwise: {why}", mend)
    mend = "nothing, if its owner means it: it is taken as it is"
    return warning("queues", f"{queue.name} is declared otherwise: {why}", mend)


def _on_redis(settings: Settings, expected: Iterable[Expected]) -> list[Finding]:
    with Redis.from_url(
        settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None
    ) as client:
        return [
            finding for queue in expected for finding in _length(queue.name, int(client.llen(queue.name)))
        ]


def _length(name: str, waiting: int) -> list[Finding]:
    if waiting <= MANY:
        return [ok("queues", f"{name}: {waiting} wait")]
    who = "whoever listens to it" if name == EVENTS else "the consumer and the workers"
    return [warning("queues", f"{name}: {waiting} messages wait", f"see whether {who} can keep up")]
