"""A process of several loops, each in a thread of its own: stopped together, and none dies alone."""

import contextvars
import signal as unix_signal
import sys
import threading
import time
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)


class Loop(Protocol):
    def run_for_ever(self) -> None:
        """Until `stop`."""

    def stop(self) -> None: ...


class Idle:
    """A loop with nothing to do: its process stays up, as its supervisor expects."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run_for_ever(self) -> None:
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


def run_together(loops: Mapping[str, Loop], *, stop_within_s: float) -> None:
    """Run until SIGTERM or SIGINT, then stop all and wait `stop_within_s` for what they have in hand.

    When one ends by itself all are stopped and the process exits with status 1: a supervisor starts it
    anew, which is better than a process that does half of its work.
    """
    ended: SimpleQueue[str | None] = SimpleQueue()  # its put is safe in a signal's handler; an Event's is not

    def asked_to_stop(*_: Any) -> None:
        ended.put(None)

    unix_signal.signal(unix_signal.SIGTERM, asked_to_stop)
    unix_signal.signal(unix_signal.SIGINT, asked_to_stop)
    threads = [_started(name, loop, ended) for name, loop in loops.items()]
    first = ended.get()
    if first is not None:
        log.error("thread_ended", thread=first)
    for loop in loops.values():
        loop.stop()
    deadline = time.monotonic() + stop_within_s
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
        if thread.is_alive():
            log.warning("thread_left_behind", thread=thread.name, waited_s=stop_within_s)
    if first is not None:
        sys.exit(1)


def _started(name: str, loop: Loop, ended: "SimpleQueue[str | None]") -> threading.Thread:
    def run() -> None:
        try:
            loop.run_for_ever()
        except BaseException:  # told, and the end of the process
            log.critical("thread_failed", thread=name, exc_info=True)
        finally:
            ended.put(name)

    # With the log's context, which a new thread would begin without. A daemon: one that hangs must not
    # keep the process.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name=name, daemon=True)
    thread.start()
    return thread
