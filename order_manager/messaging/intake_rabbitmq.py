"""Messages off RabbitMQ: acked last, in order, with a connection that comes back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Message, Queue
from kombu.mixins import ConsumerMixin

from order_manager.errors import is_bug
from order_manager.messaging.deliveries import Delivery, HandleAll, ignore_connection

log = structlog.get_logger(__name__)

PREFETCH = 20
HEARTBEAT_S = 10
RETRY_S = 1.0
GATHER_S = 0.005  # for the next message, before those at hand are handled


class RabbitmqIntake(ConsumerMixin):  # type: ignore[misc]
    """Hands up to `batch` messages that wait already to `handle`, and acks them when that returns.

    `arguments` are for queues that nobody has made yet. `on_connected` is told of each connection, the
    first included, once messages can come.
    """

    def __init__(
        self,
        broker_url: str,
        queues: Sequence[str],
        handle: HandleAll,
        *,
        batch: int = 1,
        arguments: Mapping[str, Any] | None = None,
        on_connected: Callable[[], None] = ignore_connection,
    ) -> None:
        self.connection = Connection(broker_url, heartbeat=HEARTBEAT_S, connect_timeout=5)
        self._queues = tuple(queues)
        self._handle = handle
        self._batch = batch
        self._arguments = dict(arguments or {})
        self._on_connected = on_connected
        self._at_hand: list[tuple[Message, Delivery]] = []
        self._current: Connection | None = None

    def stop(self) -> None:
        self.should_stop = True

    def run_for_ever(self) -> None:
        """Until `stop`: returns with the messages in hand finished."""
        for _ in self._runs():
            pass
        self.connection.release()

    def _runs(self) -> Iterator[None]:
        while not self.should_stop:
            self.run()
            yield

    def get_consumers(self, consumer_class: type[Consumer], channel: Any) -> list[Consumer]:
        self._at_hand = []  # of a connection that is gone: they come again
        for name in self._queues:
            self._declare(name)
        # on_message, not callbacks: those come after kombu's own decoder, which would make floats of prices
        # and raise on what is not JSON.
        consumers = [
            consumer_class(
                [Queue(name, durable=True, no_declare=True)],
                on_message=self._taker(name),
                auto_declare=False,
            )
            for name in self._queues
        ]
        for consumer in consumers:
            consumer.qos(prefetch_count=max(PREFETCH, 2 * self._batch))
        return consumers

    def on_consume_ready(self, connection: Connection, *_: Any, **__: Any) -> None:
        self._current = connection
        self._on_connected()

    def on_iteration(self) -> None:
        """Before each wait for a message."""
        while self._at_hand and self._current is not None:
            try:
                self._current.drain_events(timeout=GATHER_S)  # handles a batch when it is full
            except TimeoutError:
                self._handle_at_hand()

    def on_consume_end(self, *_: Any) -> None:
        self._handle_at_hand()

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

    def _declare(self, name: str) -> None:
        """Another service may own the queue: take it as it is, and make it only where there is none."""
        with self.create_connection() as connection:
            try:
                connection.default_channel.queue_declare(name, passive=True)
            except NotFound:
                pass
            else:
                return
        with self.create_connection() as connection:
            connection.default_channel.queue_declare(
                name, durable=True, auto_delete=False, arguments=self._arguments or None
            )

    def _taker(self, queue: str) -> Callable[[Message], None]:
        def take(message: Message) -> None:
            raw = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
            self._at_hand.append((message, Delivery(raw, message.headers or {}, queue)))
            if len(self._at_hand) >= self._batch:
                self._handle_at_hand()

        return take

    def _handle_at_hand(self) -> None:
        at_hand, self._at_hand = self._at_hand, []
        if not at_hand:
            return
        try:
            self._handle([delivery for _, delivery in at_hand])
        except Exception as error:
            log.error(
                "intake_interrupted",
                queues=self._queues,
                error=repr(error),
                retry_s=RETRY_S,
                exc_info=is_bug(error),
            )
            time.sleep(RETRY_S)
            # As if the connection were lost: everything unacked goes back, in its order, and comes again.
            raise ConnectionResetError("a message could not be stored") from error
        at_hand[-1][0].ack(multiple=True)  # one channel: whatever was delivered before is in this batch
