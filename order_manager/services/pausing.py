"""Pauses that keep a lane's session alive, and end at once when it is gone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLICE_S = 2.0


class Pause:
    """Sleeps; while a lane is guarded it looks every other second whether the lane still is ours."""

    def __init__(self) -> None:
        self._touch: Callable[[], None] | None = None

    def __call__(self, seconds: float) -> None:
        """Raises what the guarded lane's touch raises (LaneLost)."""
        remaining = seconds
        while remaining > 0:
            time.sleep(min(remaining, SLICE_S))
            remaining -= SLICE_S
            if self._touch is not None and seconds >= 1:
                self._touch()

    @contextmanager
    def guarding(self, touch: Callable[[], None]) -> Iterator[None]:
        self._touch = touch
        try:
            yield
        finally:
            self._touch = None
