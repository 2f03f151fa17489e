"""Who listens to a stream in the tests: a desk that notes what it is told."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from order_manager.bybit.stream import PrivateStream, Timing
from tests.bybit.pretend_stream import KEY, SECRET

QUICK = Timing(
    connect_s=1,
    answer_s=0.3,
    ping_every_s=0.15,
    pong_within_s=0.1,
    healthy_s=0.1,
    first_pause_s=0.02,
    longest_pause_s=0.1,
    denied_pause_s=0.3,
    insist_s=0.5,
    insist_pause_s=0.01,
    gap_every_s=0.05,
)


@dataclass
class Desk:
    """Notes what it is told; `fail` is asked before each note and may raise."""

    told: list[Any] = field(default_factory=list)
    calls: list[tuple[str, list[Mapping[str, Any]]]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    fail: Callable[[str], None] = lambda what: None

    def rows(self, told: Mapping[str, Sequence[Mapping[str, Any]]], received_at: datetime) -> None:
        for topic in told:
            self.fail(topic)
        for topic, rows in told.items():
            self.calls.append((topic, list(rows)))
            self.times.append(received_at)
            self.told += [(topic, row["id"]) for row in rows]

    def gap(self, reason: str) -> None:
        self.fail("gap")
        self.told.append(reason)


SUBSCRIBED = "stream subscribed"


@contextmanager
def following(
    url: str, desk: Desk, *, key: str = KEY, secret: str = SECRET, timing: Timing = QUICK
) -> Iterator[PrivateStream]:
    stream = PrivateStream(
        url, api_key=key, api_secret=secret, on_rows=desk.rows, on_gap=desk.gap, timing=timing
    )
    thread = threading.Thread(target=stream.run_for_ever)
    thread.start()
    try:
        yield stream
        assert thread.is_alive()
    finally:
        began = time.monotonic()
        stream.stop()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1.5


def until(is_so: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.005)
