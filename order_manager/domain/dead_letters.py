"""Dead letters: messages that could not be used, kept whole until somebody resolves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LetterState(StrEnum):
    NEW = "new"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSummary:
    """A letter without its message."""

    id: int
    queue: str  # where it came from; stream.* and gateway.* are no queues: our own stream, or the gateway's
    code: str
    field: str
    reason: str
    state: LetterState
    received_at: datetime
    resolved_at: datetime | None
    signal_id: str | None  # the sender's, where it could be read
    size: int  # bytes of the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter with its message, or the beginning of a large one."""

    summary: LetterSummary
    body: bytes
    headers: Mapping[str, str]
