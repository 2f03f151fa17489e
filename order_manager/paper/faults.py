"""Faults on demand: chosen requests go wrong in a chosen way."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

KINDS = frozenset(
    {
        "lost_answer",  # processed, then the connection is closed without an answer
        "lost_request",  # the connection is closed, nothing is processed
        "reset",  # like lost_request, with a TCP reset instead of a clean close
        "delay",  # `delay_ms` before processing, as a slow network would
        "delay_answer",  # processed at once, answered `delay_ms` later
        "trickle",  # processed, then answered one byte every `delay_ms`
        "truncated",  # processed, then answered with half of the JSON
        "http_500",
        "http_429",
        "http_error",  # HTTP `status`, 4xx or 5xx
        "html",  # HTTP 502 with a page, as from a CDN
        "ret_code",  # answers `ret_code`, nothing is processed
        "ret_code_after",  # processed, then answers `ret_code`
        "cancel_race",  # of a cancel: the order fills just before, and its second Filled record is streamed
    }
)
# Kinds that leave open whether the request is processed before it goes wrong: not, unless asked for.
EITHER_WAY = frozenset({"reset", "http_500", "http_429", "http_error", "html", "ret_code"})
_SPENT_KEPT = 1000

DEFAULT_MESSAGES = {
    10000: "Server Timeout",
    10002: "invalid request, please check your server timestamp or recv_window param.",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10016: "Internal server error",
    110001: "order not exists or too late to cancel",
    110007: "ab not enough for new order",
    110072: "OrderLinkedID is duplicate",
    170007: "Timeout waiting for response from backend server.",
    170141: "Duplicate clientOrderId",
}


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """Applies to the next `left` requests of `endpoint` ("*" for any) by `account` ("" for any).

    To all of them until cleared when `left` is None; to each with `chance`, drawn by the seed.
    """

    endpoint: str
    kind: str
    left: int | None = 1
    account: str = ""
    chance: float = 1.0
    seed: int = 7
    delay_ms: int = 0
    status: int = 503  # of http_error
    ret_code: int = 10016
    ret_msg: str = "Internal server error"
    is_processed: bool = False  # of the kinds in EITHER_WAY
    number: int = 0  # names the rule; given when it is set
    applied: int = 0
    dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)

    def matches(self, endpoint: str, account: str) -> bool:
        return self.endpoint in ("*", endpoint) and self.account in ("", account)

    def strikes(self) -> bool:
        """Whether a matching request is hit, as the dice fall."""
        return self.chance >= 1 or self.dice.random() < self.chance


class Faults:
    """Rules in the order in which they were set; each request meets at most one, the oldest that strikes."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.spent: deque[Fault] = deque(maxlen=_SPENT_KEPT)  # used up, since the last clear
        self.applied = 0
        self._count = 0

    def add(self, fault: Fault) -> None:
        self._count += 1
        fault.number = self._count
        self.waiting.append(fault)

    def take(self, endpoint: str, account: str) -> Fault | None:
        for fault in self.waiting:
            if fault.matches(endpoint, account) and fault.strikes():
                fault.applied += 1
                self.applied += 1
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self.waiting.remove(fault)
                        self.spent.append(fault)
                return fault
        return None

    def lift(self, number: int) -> bool:
        """Take one rule away; False when none has that number."""
        for fault in self.waiting:
            if fault.number == number:
                self.waiting.remove(fault)
                self.spent.append(fault)
                return True
        return False

    def clear(self) -> None:
        self.waiting.clear()
        self.spent.clear()
        self.applied = 0
