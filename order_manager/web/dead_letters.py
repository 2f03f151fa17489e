"""Dead letters: messages that could not be used; look at them, replay them, set them aside."""

import base64
import codecs
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from order_manager.database import dead_letters
from order_manager.database.dead_letters import SHOWN_BYTES, LetterFilter
from order_manager.database.wording import letter_json
from order_manager.domain.dead_letters import LetterState, LetterSummary
from order_manager.services.dead_letters import Refusal, discard_letter, replay_letter
from order_manager.tasks.dead_letters import build_replaying
from order_manager.web.answers import Answer, Moment, Pagination, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError, not_found
from order_manager.web.paging import Spanned
from order_manager.web.parameters import Fields, Limit, Parameters, Sentence, SignalId, SortOrder
from order_manager.web.resources import CHANGING, Resource, Responses

blueprint = Resource("dead_letters", prefix="/api/v1/dead-letters", about="Messages that could not be used")

MAX_NUMBER = 2**63 - 1


class DeadLetterSummary(Answer):
    id: int
    queue: str = Field(description="stream.* and gateway.*: an update of the exchange that could not be used")
    code: str
    field: str = Field(description="the culprit; empty for the whole message")
    reason: str
    state: LetterState
    received_at: Moment
    resolved_at: Moment | None
    signal_id: str | None = Field(description="the sender's, where it could be read")
    size: int = Field(description="bytes of the message")


class DeadLetter(DeadLetterSummary):
    headers: dict[str, str]
    body: str | None = Field(description=f"its first {SHOWN_BYTES} bytes; null where they are no UTF-8")
    body_base64: str | None = Field(description="the same, where body is null")


class DeadLetters(Answer):
    dead_letters: list[DeadLetterSummary]
    pagination: Pagination


class DeadLettersQuery(Spanned):
    queue: SignalId | None = None
    code: SignalId | None = None
    state: LetterState | None = None
    signal_id: SignalId | None = None
    sort_order: SortOrder = SortOrder.DESC


class DeadLetterPath(Parameters):
    id: Annotated[str, Field(json_schema_extra={"pattern": "^[0-9]{1,18}$"}), Limit("a whole number")]


class Discard(Fields):
    model_config = ConfigDict(openapi_extra={"required": False})  # type: ignore[typeddict-unknown-key]

    reason: Sentence | None = Field(None, description="for the log")


RESOLVED: Responses = {200: DeadLetterSummary, 404: Problem, 409: Problem, **CHANGING}


@blueprint.get("", responses={200: DeadLetters})
def list_dead_letters(query: DeadLettersQuery) -> dict[str, Any]:
    """Dead letters without their messages, newest first; the dates are when they came."""
    wanted = LetterFilter(
        queue=query.queue,
        code=query.code,
        state=query.state,
        signal_id=query.signal_id,
        received_from=query.date_from,
        received_to=query.date_to,
    )
    found, total = dead_letters.list_letters(
        current_runtime().engine,
        wanted,
        is_descending=query.sort_order is SortOrder.DESC,
        page=query.page,
    )
    return {
        "dead_letters": [letter_json(letter) for letter in found],
        "pagination": query.pagination(total),
    }


@blueprint.get("/<id>", responses={200: DeadLetter, 404: Problem})
def get_dead_letter(path: DeadLetterPath) -> dict[str, Any]:
    """One dead letter with its message."""
    letter = dead_letters.find_letter(current_runtime().engine, _number(path))
    if letter is None:
        raise _unknown(path)
    body = _text(letter.body, is_whole=len(letter.body) == letter.summary.size)
    return {
        **letter_json(letter.summary),
        "headers": letter.headers,
        "body": body,
        "body_base64": base64.b64encode(letter.body).decode() if body is None else None,
    }


@blueprint.post("/<id>/replay", responses=RESOLVED)
def replay_dead_letter(path: DeadLetterPath) -> dict[str, Any]:
    """Hand it in again as it came; 409 where it can't be. After a 503 it may be replayed again safely."""
    return _resolved(path, replay_letter(_number(path), replaying=build_replaying(current_runtime())))


@blueprint.post("/<id>/discard", responses=RESOLVED)
def discard_dead_letter(path: DeadLetterPath, body: Discard) -> dict[str, Any]:
    """Set it aside for good; its message is kept."""
    store = dead_letters.DeadLetterStore(current_runtime().engine)
    return _resolved(path, discard_letter(_number(path), reason=body.reason, store=store))


def _resolved(path: DeadLetterPath, outcome: LetterSummary | Refusal | None) -> dict[str, Any]:
    if outcome is None:
        raise _unknown(path)
    if isinstance(outcome, Refusal):
        raise ApiError(HTTPStatus.CONFLICT, outcome.code, outcome.message, details={"id": path.id})
    return letter_json(outcome)


def _number(path: DeadLetterPath) -> int:
    is_number = path.id.isascii() and path.id.isdigit() and len(path.id) <= len(str(MAX_NUMBER))
    if not is_number or int(path.id) > MAX_NUMBER:
        raise _unknown(path)
    return int(path.id)


def _unknown(path: DeadLetterPath) -> ApiError:
    return not_found("dead_letter", "id", path.id)


def _text(body: bytes, *, is_whole: bool) -> str | None:
    """A beginning may end within a character."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(body, final=is_whole)
    except UnicodeDecodeError:
        return None
