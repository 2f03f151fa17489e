"""Faults on demand: the next matching requests go wrong in a chosen way."""

from dataclasses import dataclass

KINDS = frozenset(
    {
        "lost_answer",  # processed, then the connection is closed without an answer
        "lost_request",  # the connection is closed, nothing is processed
        "delay",  # `delay_ms` before processing, as a slow network would
        "delay_answer",  # processed at once, answered `delay_ms` later
        "http_500",
        "http_429",
        "html",  # HTTP 502 with a page, as from a CDN
        "ret_code",  # answers `ret_code`, nothing is processed
        "ret_code_after",  # processed, then answers `ret_code`
    }
)


@dataclass(slots=True, kw_only=True)
class Fault:
    """Applies to the next `left` requests of `endpoint` ("*" for any) by `account` ("" for any)."""

    endpoint: str
    kind: str
    left: int
    account: str = ""
    delay_ms: int = 0
    ret_code: int = 10016
    ret_msg: str = "Internal server error"
    applied: int = 0

    def matches(self, endpoint: str, account: str) -> bool:
        return self.endpoint in ("*", endpoint) and self.account in ("", account)


class Faults:
    """Rules in the order in which they were set; each request meets at most one, the oldest that matches."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []
        self.applied = 0

    def add(self, fault: Fault) -> None:
        self.waiting.append(fault)

    def take(self, endpoint: str, account: str) -> Fault | None:
        for fault in self.waiting:
            if fault.matches(endpoint, account):
                fault.left -= 1
                fault.applied += 1
                self.applied += 1
                if fault.left <= 0:
                    self.waiting.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self.waiting.clear()
        self.applied = 0
