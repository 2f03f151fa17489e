"""Remembered answers: a ticker is good for a moment, a symbol's rules for a minute."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """At most one question per symbol and `max_age_s`; 0 asks every time. None is never remembered."""

    def __init__(self, ask: Callable[[str], T], *, max_age_s: float) -> None:
        self._ask = ask
        self._max_age_s = max_age_s
        self._known: dict[str, tuple[float, T]] = {}

    def __call__(self, symbol: str) -> T:
        now = time.monotonic()
        known = self._known.get(symbol)
        if known is not None and now - known[0] <= self._max_age_s:
            return known[1]
        answer = self._ask(symbol)
        if answer is not None:
            self._known[symbol] = (now, answer)
        return answer

    def last(self, symbol: str, *, max_age_s: float) -> T | None:
        """The last answer, if it is not older than this; asks nobody."""
        known = self._known.get(symbol)
        return known[1] if known is not None and time.monotonic() - known[0] <= max_age_s else None
