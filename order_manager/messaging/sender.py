"""Signals by hand: out of a text, and onto the signal queue, persistent and confirmed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kombu import Connection

from order_manager.errors import MalformedMessage, NotConfirmed
from order_manager.messaging.confirming import confirming
from order_manager.messaging.signals import parse_signal
from order_manager.queues import SIGNALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One signal of a text, where it began, and what is wrong with it."""

    place: str  # "line 3", "element 2"
    body: bytes
    signal_id: str | None = None
    error: MalformedMessage | None = None


def written_signals(text: bytes, *, is_checked: bool, max_bytes: int) -> list[Written]:
    """The signals in a JSON object, an array of objects, or lines of objects, each as it was written."""
    return [_checked(place, body, is_checked, max_bytes) for place, body in _bodies(text)]


def _bodies(text: bytes) -> Iterator[tuple[str, bytes]]:
    whole = text.strip()
    if whole.startswith(b"["):
        yield from _elements(whole)
    elif whole and (_is_json(whole) or not _is_json(whole.splitlines()[0])):
        yield "the message", whole  # one; if it is not JSON, the parser says where not
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield f"line {number}", line.strip()


def _elements(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Of an array, each with its numbers as they were written."""
    try:
        elements = json.loads(whole, parse_float=_Verbatim, parse_int=_Verbatim)
    except (ValueError, RecursionError):
        yield "the array", whole  # the parser says what is wrong with it
        return
    for number, element in enumerate(elements, start=1):
        yield f"element {number}", _dumped(element).encode("utf-8", "surrogatepass")


class _Verbatim(str):
    """A number as it was written."""


def _dumped(value: Any) -> str:
    if isinstance(value, _Verbatim):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_dumped(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dumped, value)) + "]"
    return json.dumps(value)


def _is_json(whole: bytes) -> bool:
    try:
        json.loads(whole)
    except (ValueError, RecursionError):
        return False
    return True


def _checked(place: str, body: bytes, is_checked: bool, max_bytes: int) -> Written:
    if not is_checked:
        return Written(place=place, body=body)
    try:
        signal = parse_signal(body, max_bytes=max_bytes)
    except MalformedMessage as error:
        return Written(place=place, body=body, signal_id=error.signal_id, error=error)
    return Written(place=place, body=body, signal_id=signal.signal_id)


def send_signals(
    bodies: Iterable[bytes], broker_url: str, *, is_rabbitmq: bool, headers: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Publish one after the other; yields how many the broker has, after each.

    An existing queue is taken as it is, and one that does not exist is made, plain and durable, as the
    consumer would. Raises NotConfirmed: the broker may have the one that was under way.
    """
    try:
        with confirming(broker_url, is_rabbitmq=is_rabbitmq) as connection:
            if is_rabbitmq:
                _ensure_queue(connection)
            producer = connection.Producer()
            for count, body in enumerate(bodies, start=1):
                producer.publish(
                    body,
                    routing_key=SIGNALS,
                    content_type="application/json",
                    content_encoding="utf-8",
                    headers=dict(headers or {}),
                    delivery_mode=2,
                    mandatory=is_rabbitmq,
                )
                yield count
    except Exception as error:  # whatever the broker's library raises
        raise NotConfirmed(f"the broker did not confirm a message for {SIGNALS}: {error!r}") from error


def _ensure_queue(connection: Connection) -> None:
    from amqp.exceptions import NotFound

    try:
        connection.channel().queue_declare(SIGNALS, passive=True)
    except NotFound:
        connection.channel().queue_declare(SIGNALS, durable=True, auto_delete=False)
