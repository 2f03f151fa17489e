"""The gateway's updates on their way in: kept by the receiver, or as dead letters with their reason."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from order_manager.errors import MalformedMessage
from order_manager.messaging.deliveries import Delivery
from order_manager.messaging.updates import Update, parse_update

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    def receive(
        self, told: Mapping[str, Sequence[Mapping[str, Any]]], *, source: str, received_at: datetime
    ) -> None: ...


class DeadLetters(Protocol):
    def record_dead_letter(
        self, *, queue: str, code: str, field: str, reason: str, body: bytes, headers: Mapping[str, Any]
    ) -> int: ...


class UpdateIntake:
    """Safe for several threads, which take turns: updates of one symbol stay in their order."""

    def __init__(self, *, receiver: Receiver, dead_letters: DeadLetters, now: Callable[[], datetime]) -> None:
        self._receiver = receiver
        self._dead_letters = dead_letters
        self._now = now
        self._turn = threading.Lock()

    def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Raises what the database or the broker raises: then nothing may be acked, and all come again."""
        updates: list[Update] = []
        malformed: list[tuple[Delivery, MalformedMessage]] = []
        for delivery in deliveries:
            try:
                update = parse_update(delivery.body, queue=delivery.queue)
            except MalformedMessage as error:
                malformed.append((delivery, error))
            else:
                updates.append(update)
        with self._turn:
            if updates:
                self._receive(updates)
            # Last, as only the rest is safe to repeat.
            for delivery, reason in malformed:
                self._dead_letter(delivery, reason)

    def _receive(self, updates: Sequence[Update]) -> None:
        now = self._now()
        told: dict[str, list[Mapping[str, Any]]] = {}
        for update in updates:
            told.setdefault(update.topic, []).append(update.row)
        self._receiver.receive(
            told,
            source="gateway",
            # The oldest's: who asks how old these are must not be told too little. Never the future: the
            # gateway's clock is not ours.
            received_at=min(now, *(update.received_at or now for update in updates)),
        )

    def _dead_letter(self, delivery: Delivery, error: MalformedMessage) -> None:
        number = self._dead_letters.record_dead_letter(
            queue=delivery.queue,
            code=error.code,
            field=error.field,
            reason=error.message,
            body=delivery.body,
            headers=delivery.headers,
        )
        log.warning(
            "update_dead_lettered",
            dead_letter=number,
            queue=delivery.queue,
            code=error.code,
            field=error.field,
            reason=error.message,
        )
