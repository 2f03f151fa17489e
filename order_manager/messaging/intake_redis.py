"""Messages off a Redis list, for the embedded broker.

kombu's Redis transport takes a message out of the list and only then notes that it has it; a process that
dies in between loses it. BLMOVE takes and notes in one step. Both a kombu publisher's envelope and the bare
body that a plain `LPUSH` leaves are read. One consumer per queue.
"""

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import redis
import structlog

from order_manager.errors import is_bug
from order_manager.messaging.deliveries import Delivery, HandleAll, ignore_connection

log = structlog.get_logger(__name__)

BLOCK_S = 1
RETRY_S = 1.0


class RedisIntake:
    """Hands up to `batch` messages that wait already to `handle`, and forgets them when that returns.

    `on_connected` is told of each connection, the first included, before its messages.
    """

    def __init__(
        self,
        redis_url: str,
        queue: str,
        handle: HandleAll,
        *,
        batch: int = 1,
        on_connected: Callable[[], None] = ignore_connection,
    ) -> None:
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=BLOCK_S + 10, socket_connect_timeout=5)
        self._queue = queue
        self._in_hand = f"{queue}.in-hand"
        self._handle = handle
        self._batch = batch
        self._on_connected = on_connected
        self.should_stop = False

    def stop(self) -> None:
        self.should_stop = True

    def run_for_ever(self) -> None:
        """Until `stop`: returns with the messages in hand finished."""
        is_recovered = False
        while not self.should_stop:
            try:
                if not is_recovered:
                    self._put_back()
                    is_recovered = True
                    self._on_connected()
                self._handle_next()
            except Exception as error:  # any failure keeps the messages and tries again
                log.error(
                    "intake_interrupted",
                    queue=self._queue,
                    error=repr(error),
                    retry_s=RETRY_S,
                    exc_info=is_bug(error),
                )
                is_recovered = False
                time.sleep(RETRY_S)
        self._redis.close()

    def _handle_next(self) -> None:
        """What waits, up to a batch; returns after a while when nothing does."""
        raw: Any = self._redis.blmove(self._queue, self._in_hand, BLOCK_S, "RIGHT", "LEFT")
        taken: list[bytes] = []
        while raw is not None:
            taken.append(raw)
            raw = self._take() if len(taken) < self._batch else None
        if not taken:
            return
        self._handle([Delivery(*unwrapped(raw), self._queue) for raw in taken])
        with self._redis.pipeline() as pipeline:
            for raw in taken:
                pipeline.lrem(self._in_hand, 1, raw)
            pipeline.execute()

    def _take(self) -> Any:
        return self._redis.lmove(self._queue, self._in_hand, "RIGHT", "LEFT")

    def _put_back(self) -> None:
        """What a predecessor had in hand is next again, oldest first."""
        while self._redis.lmove(self._in_hand, self._queue, "LEFT", "RIGHT") is not None:
            pass


def unwrapped(raw: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """(body, headers) of a kombu envelope; any other bytes are the body themselves."""
    if not raw.startswith(b"{"):
        return raw, {}
    try:
        envelope = json.loads(raw)
        encoding = envelope["properties"]["body_encoding"]
        body = envelope["body"]
        if encoding != "base64" or not isinstance(body, str):
            return raw, {}
        headers = envelope.get("headers")
        return base64.b64decode(body, validate=True), headers if isinstance(headers, dict) else {}
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return raw, {}
