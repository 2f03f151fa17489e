"""Messages back to the queue that they came from, as they came, persistent and confirmed."""

from collections.abc import Mapping

from order_manager.errors import NotConfirmed
from order_manager.messaging.confirming import confirming


class Republisher:
    """Each message on a connection of its own: it is a rare thing, and any thread may ask for it."""

    def __init__(self, broker_url: str, *, is_rabbitmq: bool) -> None:
        self._broker_url = broker_url
        self._is_rabbitmq = is_rabbitmq

    def publish(self, body: bytes, headers: Mapping[str, str], queue: str) -> None:
        """Returns when the broker has it in `queue`; raises NotConfirmed: it may have it all the same.

        The queue is another service's: where it does not exist it is not made.
        """
        try:
            with confirming(self._broker_url, is_rabbitmq=self._is_rabbitmq) as connection:
                connection.Producer().publish(
                    body,
                    routing_key=queue,
                    headers=dict(headers),
                    delivery_mode=2,
                    mandatory=self._is_rabbitmq,  # without a queue it would be confirmed and dropped
                )
        except Exception as error:  # whatever the broker's library raises
            raise NotConfirmed(f"the broker did not confirm the message for {queue}: {error!r}") from error
