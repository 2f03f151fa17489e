"""Beat that may run twice: only the one that holds the lock sends, the others stand by."""

import os
import socket
import threading
from typing import Any

import structlog
from celery.beat import PersistentScheduler

from order_manager import metrics
from order_manager.database.engine import connect
from order_manager.database.leadership import Leadership
from order_manager.database.locks import BEAT_LOCK
from order_manager.heartbeats import end_heartbeats
from order_manager.settings import load_settings

log = structlog.get_logger(__name__)

LOOK_S = 1.0  # between looks at the lock
END_WITHIN_S = 5.0  # after its schedule was saved


class LeaderScheduler(PersistentScheduler):  # type: ignore[misc]
    """Celery's scheduler, silent while another beat leads or the database is away.

    Who takes over sends what is overdue by its own schedule file, each entry once: the tasks are errands
    that may be done once too often, and must not be left out.
    """

    def __init__(self, *args: Any, lazy: bool = False, **kwargs: Any) -> None:
        self._is_leading: bool | None = None  # nothing said yet
        if not lazy:  # a lazy one only describes itself
            structlog.contextvars.bind_contextvars(process="beat")
            settings = load_settings()
            engine = connect(settings.postgres_url, pool_size=1, session_timeout_s=settings.session_timeout_s)
            self._leadership = Leadership(engine, lock=(BEAT_LOCK, 0))
        super().__init__(*args, lazy=lazy, **kwargs)
        if not lazy:
            for name, entry in self.schedule.items():
                metrics.SCHEDULE_INTERVAL.labels(name).set(entry.schedule.run_every.total_seconds())
                metrics.SCHEDULE_SENT.labels(name).set(entry.last_run_at.timestamp())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Sends at most one entry; returns the seconds until the next look."""
        metrics.HEARTBEAT.labels("beat").set_to_current_time()
        if not self._leads():
            return LOOK_S
        return min(super().tick(*args, **kwargs), LOOK_S)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        # Between tick's look and here beat may have waited for the broker, long enough to be replaced.
        if self._leads():
            super().apply_entry(entry, producer=producer)

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().apply_async(entry, *args, **kwargs)  # raises when the broker does not take it
        metrics.SCHEDULE_SENT.labels(entry.name).set_to_current_time()
        return result

    def sync(self) -> None:
        """Save the schedule. A file that cannot be saved costs a run too many at the next start, not beat."""
        try:
            super().sync()
        except Exception as error:  # noqa: BLE001 - whatever the machine's dbm raises
            log.warning("beat_schedule_not_saved", file=self.schedule_filename, error=repr(error))

    def close(self) -> None:
        # Interrupted anywhere, in the middle of a message, too: the broker's library may then wait for ever.
        timer = threading.Timer(END_WITHIN_S, os._exit, (0,))
        timer.daemon = True
        timer.start()
        self._leadership.resign()  # first, so that another beat can go on at once
        super().close()
        end_heartbeats()

    def _leads(self) -> bool:
        is_leading = self._leadership.is_ours()
        if is_leading is not self._is_leading:
            self._is_leading = is_leading
            log.info("beat_leading" if is_leading else "beat_standing_by")
            metrics.BEAT_LEADING.labels(f"{socket.gethostname()}:{os.getpid()}").set(is_leading)
        return is_leading
