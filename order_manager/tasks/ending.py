"""The end of a worker, at the latest: a worker step that lets no stop last for ever.

Celery's pool, when it is stopped, waits without end for the rest of a result whose child was killed in the
middle of writing it. Such a worker neither works nor dies, and no supervisor sees that it has to be started
again.
"""

import os
import threading
from typing import Any

import structlog
from celery import bootsteps

log = structlog.get_logger(__name__)

WITHIN_S = 60.0  # longer than any supervisor of ours waits for a warm shutdown


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
