"""Dead letters: replay one as it came, or set it aside for good."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import structlog

from order_manager.domain.dead_letters import Letter, LetterState, LetterSummary
from order_manager.errors import UnreadableAnswer

log = structlog.get_logger(__name__)

SOURCES = ("stream", "gateway")  # `source.topic`: an update that reached us and could not be used
REPEATABLE = ("order", "execution")  # topics whose updates never move anything backwards


class TakenLetter(Protocol):
    """Locked until the block ends."""

    @property
    def letter(self) -> Letter: ...

    def resolve(self, state: LetterState) -> LetterSummary: ...


class LetterStore(Protocol):
    def taking(self, number: int) -> AbstractContextManager[TakenLetter | None]: ...


class Receive(Protocol):
    def __call__(self, topic: str, row: Mapping[str, Any], *, source: str, received_at: datetime) -> None:
        """Returns when the update is kept for its lane. Raises UnreadableAnswer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """What a replay works with."""

    store: LetterStore
    consumed: frozenset[str]  # queues that our consumer takes from
    publish: Callable[[bytes, Mapping[str, str], str], None]  # body, headers, queue; raises NotConfirmed
    receive_told: Receive  # an update in Bybit's words
    receive_stored: Receive  # one in ours, as it waited for its lane
    is_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a letter stays as it is."""

    code: str
    message: str


def replay_letter(number: int, *, replaying: Replaying) -> LetterSummary | Refusal | None:
    """Hand a letter in again as it came; None where there is no such letter.

    It counts as replayed only after the broker, or the database for an update, has it. A death in between
    leaves it new, so it may be handed in twice: a signal is dropped as a duplicate by its signal_id, and an
    update moves nothing twice. Raises NotConfirmed: then it is new, and may have been handed in.
    """
    with replaying.store.taking(number) as taken:
        if taken is None:
            return None
        letter = taken.letter
        refusal = _resolved(letter.summary) or _hand_in(letter, replaying)
        if refusal is not None:
            return refusal
        resolved = taken.resolve(LetterState.REPLAYED)
    log.info("dead_letter_replayed", dead_letter=number, queue=resolved.queue, code=resolved.code)
    return resolved


def discard_letter(number: int, *, reason: str | None, store: LetterStore) -> LetterSummary | Refusal | None:
    """Set a letter aside for good; its message is kept. None where there is no such letter."""
    with store.taking(number) as taken:
        if taken is None:
            return None
        if refusal := _resolved(taken.letter.summary):
            return refusal
        resolved = taken.resolve(LetterState.DISCARDED)
    log.info(
        "dead_letter_discarded", dead_letter=number, queue=resolved.queue, code=resolved.code, reason=reason
    )
    return resolved


def _resolved(summary: LetterSummary) -> Refusal | None:
    if summary.state is LetterState.NEW:
        return None
    return Refusal(code="dead_letter_resolved", message=f"this dead letter was {summary.state} before")


def _hand_in(letter: Letter, replaying: Replaying) -> Refusal | None:
    queue = letter.summary.queue
    source, _, topic = queue.partition(".")
    if source in SOURCES:
        return _receive(letter, source, topic, replaying)
    if queue not in replaying.consumed:
        return Refusal(code="queue_not_consumed", message=f"nobody here takes messages from {queue}")
    replaying.publish(letter.body, letter.headers, queue)
    return None


def _receive(letter: Letter, source: str, topic: str, replaying: Replaying) -> Refusal | None:
    if replaying.is_dry_run:
        return Refusal(code="dry_run", message="a dry run takes no notice of real orders")
    if topic not in REPEATABLE:
        message = f"an old {topic} update would pass for news: compare the asset with the exchange instead"
        return Refusal(code="update_outdated", message=message)
    is_ours = letter.summary.code == "update_not_applied"
    receive = replaying.receive_stored if is_ours else replaying.receive_told
    try:
        row = json.loads(letter.body, parse_float=Decimal)
        if not isinstance(row, dict):
            raise UnreadableAnswer("not an object")
        receive(topic, row, source=source, received_at=letter.summary.received_at)
    except (ValueError, RecursionError, UnreadableAnswer) as error:
        return Refusal(code="update_unreadable", message=f"the update can still not be read: {error}")
    return None
