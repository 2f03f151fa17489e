"""The event publisher: outbox rows to `order-manager.order_events`, persistent and confirmed."""

import json
from collections.abc import Iterable
from typing import Any

from kombu import Connection, Exchange, Producer, Queue

from order_manager.domain.events import Event
from order_manager.queues import EVENTS

CONFIRM_TIMEOUT_S = 5.0  # a frozen broker must not hold a lane for ever


class EventPublisher:
    """Publishes in the order given; returns only when the broker has confirmed. Not for several threads."""

    def __init__(self, broker_url: str, *, is_rabbitmq: bool) -> None:
        self._is_rabbitmq = is_rabbitmq
        options: dict[str, Any] = {"max_retries": 1}  # of connecting: a lane is held meanwhile
        if is_rabbitmq:
            options |= {"confirm_publish": True, "confirm_timeout": CONFIRM_TIMEOUT_S}
        self._connection = Connection(broker_url, heartbeat=0, connect_timeout=5, transport_options=options)
        self._queue = Queue(EVENTS, exchange=Exchange(""), routing_key=EVENTS, durable=True)
        self._producer: Producer | None = None

    def publish(self, events: Iterable[Event]) -> None:
        """Raises whatever the broker's library raises; then nothing after the failing event was sent."""
        try:
            producer = self._ready()
            for event in events:
                producer.publish(
                    json.dumps(event.body, separators=(",", ":"), default=str).encode(),
                    routing_key=EVENTS,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode=2,
                    message_id=event.event_id,
                    headers={"trace_id": event.trace_id, "event_type": event.event_type},
                    mandatory=self._is_rabbitmq,
                )
        except Exception:
            self.close()  # the next publish starts on a new connection
            raise

    def close(self) -> None:
        self._producer = None
        self._connection.release()

    def _ready(self) -> Producer:
        if self._producer is None or not self._connection.connected:
            channel = self._connection.default_channel
            self._queue(channel).declare()
            self._producer = Producer(channel, auto_declare=False)
        return self._producer
