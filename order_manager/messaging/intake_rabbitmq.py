"""Messages off RabbitMQ: acked last, in order, with a connection that comes back."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Message, Queue
from kombu.mixins import ConsumerMixin

log = structlog.get_logger(__name__)

PREFETCH = 20
HEARTBEAT_S = 10
RETRY_S = 1.0

Handle = Callable[[bytes, Mapping[str, Any], str], None]


class RabbitmqIntake(ConsumerMixin):  # type: ignore[misc]
    """Hands each message to `handle(body, headers, queue)` and acks it when that returns."""

    def __init__(self, broker_url: str, queue: str, handle: Handle) -> None:
        self.connection = Connection(broker_url, heartbeat=HEARTBEAT_S, connect_timeout=5)
        self._name = queue
        self._handle = handle

    def stop(self) -> None:
        self.should_stop = True

    def run_for_ever(self) -> None:
        """Until `stop`: returns with the message in hand finished."""
        for _ in self._runs():
            pass
        self.connection.release()

    def _runs(self) -> Iterator[None]:
        while not self.should_stop:
            self.run()
            yield

    def get_consumers(self, consumer_class: type[Consumer], channel: Any) -> list[Consumer]:
        self._declare()
        queue = Queue(self._name, durable=True, no_declare=True)
        # on_message, not callbacks: those come after kombu's own decoder, which would make floats of prices
        # and raise on what is not JSON.
        consumer = consumer_class([queue], on_message=self._on_message, auto_declare=False)
        consumer.qos(prefetch_count=PREFETCH)
        return [consumer]

    def create_connection(self) -> Connection:
        return self.connection.clone()

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """Every second, without the mixin's growing pauses: signals wait meanwhile."""
        with self.create_connection() as connection:
            connection.ensure_connection(
                self.on_connection_error, None, interval_start=RETRY_S, interval_step=0, interval_max=RETRY_S
            )
            yield connection

    def on_connection_error(self, error: Exception, interval: float) -> None:
        if self.should_stop:
            raise ConnectionAbortedError("stopped while the broker was away")
        log.warning("broker_away", error=repr(error), retry_s=interval)

    def _declare(self) -> None:
        """Another service owns the queue: take it as it is, and make it only where there is none."""
        with self.create_connection() as connection:
            try:
                connection.default_channel.queue_declare(self._name, passive=True)
            except NotFound:
                pass
            else:
                return
        with self.create_connection() as connection:
            connection.default_channel.queue_declare(self._name, durable=True, auto_delete=False)

    def _on_message(self, message: Message) -> None:
        raw = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        try:
            self._handle(raw, message.headers or {}, self._name)
        except Exception as error:
            log.error("intake_interrupted", queue=self._name, error=repr(error), retry_s=RETRY_S)
            time.sleep(RETRY_S)
            # As if the connection were lost: everything unacked goes back, in its order, and comes again.
            raise ConnectionResetError("a message could not be stored") from error
        message.ack()
