"""Measuring one subject, ours or the floor, with the same two phases: paced for latency, a burst for rate."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.signals import Publisher, SignalSource
from benchmarks.usage import cpu_seconds

POLL_S = 0.25
STALLED_S = 30.0  # without one more signal ended, the rest is not waited for


class Subject(Protocol):
    """What is measured: a way in, and the moments of acceptance on the other side."""

    source: SignalSource
    publisher: Publisher
    stages: tuple[str, ...]  # the parts of a signal's way, the last one ending at its acceptance

    def mark(self) -> int:
        """A number; what is published from now on counts as after it."""

    def ended_since(self, mark: int) -> int: ...

    def moments_since(self, mark: int) -> dict[str, tuple[float, ...]]:
        """accepted signal -> Unix time at the end of each stage."""

    def pids(self) -> dict[str, int]: ...

    def explain(self, name: str, what: str) -> str:
        """`what` about a process, and the end of its log."""


class MeasuringFailed(Exception):
    """A figure would not mean what it says. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one phase cost."""

    signals: int
    not_accepted: int  # ended in another way, or not within the time
    latency: Latency
    seconds: float  # first publish to last acceptance
    cpu_ms: Mapping[str, float]  # per signal, by process
    stages_ms: Mapping[str, float]  # the median of each part of the way
    slow_stages_ms: Mapping[str, float]  # the same for the slowest twentieth

    @property
    def per_second(self) -> float:
        return (self.signals - self.not_accepted) / self.seconds if self.seconds else 0.0

    @property
    def cpu_ms_in_all(self) -> float:
        return sum(self.cpu_ms.values())


def warm_up(subject: Subject, symbols: int, *, rounds: int = 2) -> None:
    """Open every lane; an even number of rounds leaves every position as it was."""
    for _ in range(rounds):
        mark = subject.mark()
        messages = subject.source.take(symbols)
        subject.publisher.publish_at_once(messages)
        wait_for(subject, mark, len(messages))
        if subject.ended_since(mark) < len(messages):
            raise MeasuringFailed(subject.explain("consumer", "or a worker did not end every signal"))
    time.sleep(1.0)


def paced(subject: Subject, *, rate: float, seconds: float) -> Phase:
    messages = subject.source.take(max(1, round(rate * seconds)))
    return _phase(subject, messages, lambda: subject.publisher.publish_paced(messages, rate))


def burst(subject: Subject, count: int) -> Phase:
    messages = subject.source.take(count)
    return _phase(subject, messages, lambda: subject.publisher.publish_at_once(messages))


def _phase(
    subject: Subject, messages: Sequence[tuple[str, str, bytes]], publish: Callable[[], Mapping[str, float]]
) -> Phase:
    mark, pids = subject.mark(), subject.pids()
    before = cpu_seconds(pids)
    published = publish()
    wait_for(subject, mark, len(messages))
    after = cpu_seconds(pids)
    for name, pid in subject.pids().items():
        if pids.get(name) != pid:
            raise MeasuringFailed(subject.explain(name, "was restarted while it was measured"))
    moments = subject.moments_since(mark)
    ways = [(moment, *moments[name]) for name, moment in published.items() if name in moments]
    ways.sort(key=lambda way: way[-1] - way[0])
    slowest = ways[-max(1, len(ways) // 20) :]
    return Phase(
        signals=len(messages),
        not_accepted=len(messages) - len(ways),
        latency=latency([way[-1] - way[0] for way in ways]),
        seconds=max(way[-1] for way in ways) - min(published.values()) if ways else 0.0,
        cpu_ms={name: (after[name] - before[name]) / len(messages) * 1000 for name in pids},
        stages_ms=stage_medians(subject.stages, ways),
        slow_stages_ms=stage_medians(subject.stages, slowest),
    )


def stage_medians(stages: Sequence[str], ways: Sequence[tuple[float, ...]]) -> dict[str, float]:
    """ms that each stage takes, in the middle of `ways`."""
    if not ways:
        return {}
    return {
        stage: statistics.median(way[number + 1] - way[number] for way in ways) * 1000
        for number, stage in enumerate(stages)
    }


def wait_for(subject: Subject, mark: int, count: int) -> None:
    """Until `count` signals ended after `mark`, or nothing moves any more."""
    ended, moved = 0, time.monotonic()
    while ended < count:
        time.sleep(POLL_S)
        now_ended = subject.ended_since(mark)
        if now_ended > ended:
            ended, moved = now_ended, time.monotonic()
        elif time.monotonic() - moved > STALLED_S:
            return


def latency(seconds: Sequence[float]) -> Latency:
    ordered = sorted(seconds)
    return Latency(p50=_rank(ordered, 0.50), p95=_rank(ordered, 0.95), p99=_rank(ordered, 0.99))


def _rank(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile in ms; NaN of nothing."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000
