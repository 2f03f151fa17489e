"""Messages back to the queue that they came from, as they came, persistent and confirmed."""

from collections.abc import Mapping
from typing import Any

from kombu import Connection

from order_manager.errors import NotConfirmed

CONFIRM_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
RETRY = {"max_retries": 1, "interval_start": 0.2}  # of connecting


class Republisher:
    """Each message on a connection of its own: it is a rare thing, and any thread may ask for it."""

    def __init__(self, broker_url: str, *, is_rabbitmq: bool) -> None:
        self._broker_url = broker_url
        self._is_rabbitmq = is_rabbitmq
        self._options: dict[str, Any] = {**RETRY, "socket_timeout": CONFIRM_TIMEOUT_S}
        if is_rabbitmq:
            self._options = {
                **RETRY,
                "confirm_publish": True,
                "confirm_timeout": CONFIRM_TIMEOUT_S,
            }

    def publish(self, body: bytes, headers: Mapping[str, str], queue: str) -> None:
        """Returns when the broker has it in `queue`; raises NotConfirmed: it may have it all the same.

        The queue is another service's: where it does not exist it is not made.
        """
        try:
            with Connection(
                self._broker_url,
                heartbeat=0,
                connect_timeout=CONNECT_TIMEOUT_S,
                transport_options=self._options,
            ) as connection:
                connection.Producer().publish(
                    body,
                    routing_key=queue,
                    headers=dict(headers),
                    delivery_mode=2,
                    mandatory=self._is_rabbitmq,  # without a queue it would be confirmed and dropped
                )
        except Exception as error:  # whatever the broker's library raises
            raise NotConfirmed(f"the broker did not confirm the message for {queue}: {error!r}") from error
