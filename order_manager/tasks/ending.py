"""The end of a worker, at the latest: a worker step that lets no stop last for ever.

Celery's pool, when it is stopped, waits without end for the rest of a result whose child was killed in the
middle of writing it. Such a worker neither works nor dies, and no supervisor sees that it has to be started
again.

And a child waits at its end until its results were read, for up to half a minute. Of a task that had only
just begun when the worker was stopped nobody reads one: the parent has not heard of it, and has dropped it.
"""

import os
import threading
from typing import Any

import structlog
from billiard import pool as billiard_pool
from celery import bootsteps

log = structlog.get_logger(__name__)

WITHIN_S = 60.0  # longer than any supervisor of ours waits for a warm shutdown
UNREAD_WITHIN_S = 2.0  # what a child has written, its parent finds in the pipe after its end, too

billiard_pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(
    UNREAD_WITHIN_S / billiard_pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
)


class EndAtLast(bootsteps.StartStopStep):  # type: ignore[misc]
    """Stopped before the pool, as it requires it."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Nothing begins here."""

    def stop(self, worker: Any) -> None:
        timer = threading.Timer(WITHIN_S, _end)
        timer.daemon = True
        timer.start()

    terminate = stop


def _end() -> None:
    log.critical("worker_end_forced", after_s=WITHIN_S)
    os._exit(1)
