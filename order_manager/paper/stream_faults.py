"""Stream faults on demand: chosen messages go out twice, late, out of order or not at all."""

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from random import Random

KINDS = frozenset(
    {
        "duplicate",  # sent twice in a row
        "delay",  # sent `delay_ms` late; later messages overtake it
        "reorder",  # sent after the next message of the same rule, or after `delay_ms` when none comes
        "drop",  # never sent
    }
)

_SPENT_KEPT = 1000


@dataclass(slots=True, kw_only=True, eq=False)
class StreamFault:
    """Applies to messages of `topic` ("*" for any, "order" also for "order.linear") to `account` ("" any).

    To the next `left` of them (None: without end), each with `chance`, drawn by the seed.
    """

    kind: str
    topic: str = "*"
    account: str = ""
    left: int | None = 1
    chance: float = 1.0
    seed: int = 7
    delay_ms: int = 1000
    applied: int = 0
    dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)

    def matches(self, topic: str, account: str) -> bool:
        return self.account in ("", account) and self.covers(topic)

    def covers(self, topic: str) -> bool:
        return self.topic in ("*", topic, topic.partition(".")[0])


@dataclass(slots=True)
class Refusal:
    """Connections turned away at the door: the next `left` of them, and all until `until_ms`."""

    left: int = 0
    until_ms: int = 0

    def takes(self, now_ms: int) -> bool:
        """Whether the connection that arrives now is refused; uses one up."""
        if now_ms < self.until_ms:
            return True
        if self.left:
            self.left -= 1
            return True
        return False


class StreamFaults:
    """Rules in the order in which they were set; a message meets at most one, the oldest that strikes."""

    def __init__(self) -> None:
        self.waiting: list[StreamFault] = []
        self.spent: deque[StreamFault] = deque(maxlen=_SPENT_KEPT)  # used up, since the last clear
        self.refusal = Refusal()
        self.applied = 0

    def add(self, fault: StreamFault) -> None:
        self.waiting.append(fault)

    def take(self, topic: str, account: str, *, busy: Container[StreamFault] = ()) -> StreamFault | None:
        """What befalls this message. Rules that are `busy` holding another one back let it pass."""
        for fault in self.waiting:
            if fault in busy or not fault.matches(topic, account):
                continue
            if fault.chance < 1 and fault.dice.random() >= fault.chance:
                continue
            fault.applied += 1
            self.applied += 1
            if fault.left is not None:
                fault.left -= 1
                if not fault.left:
                    self.waiting.remove(fault)
                    self.spent.append(fault)
            return fault
        return None

    def clear(self) -> None:
        self.waiting.clear()
        self.spent.clear()
        self.refusal = Refusal()
        self.applied = 0
