"""The exchange's clock, which can be set wrong on purpose."""

import time


def wall_ms() -> int:
    """UTC now, in milliseconds."""
    return time.time_ns() // 1_000_000


class Clock:
    """What the exchange believes the time is: market/time, timestamps and the window check all follow it."""

    def __init__(self) -> None:
        self.offset_ms = 0  # positive: the exchange is ahead of the world

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def now_ns(self) -> int:
        return time.time_ns() + self.offset_ms * 1_000_000
