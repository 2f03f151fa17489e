"""Signals: what came in, what was decided, why, and what came of it."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from order_manager.database import event_views, signal_views
from order_manager.database.dead_letters import LetterFilter, list_letters
from order_manager.database.event_views import EventFilter
from order_manager.database.queries import Page
from order_manager.database.signal_views import (
    SignalFilter,
    SignalSort,
    SignalState,
)
from order_manager.database.wording import event_json, letter_json, signal_json, story_json
from order_manager.domain.dead_letters import LetterSummary
from order_manager.domain.orders import Side
from order_manager.domain.state import TradingMode
from order_manager.web.answers import Answer, Moment, Number, Pagination, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError, not_found
from order_manager.web.events import Event
from order_manager.web.orders import Order
from order_manager.web.paging import MAX_LIMIT, Spanned
from order_manager.web.parameters import Id, Parameters, Sentence, SignalId, SortOrder, Symbol
from order_manager.web.resources import Resource

blueprint = Resource("signals", prefix="/api/v1/signals", about="What came in, what was decided, and why")

MAX_SIGNAL_ID = 100
MAX_LETTERS = 10  # that the answer names, the newest first


class Signal(Answer):
    signal_id: str
    seq: int = Field(description="order of arrival")
    asset: str
    signal_type: Side
    amount: Number = Field(description="quote")
    confidence: Number | None
    is_urgent: bool
    snapshot_price: Number | None = Field(description="quote per base, as the model saw it")
    snapshot_spread: Number | None = Field(description="quote")
    strategy_id: str | None
    trace_id: str
    attempt: int = Field(description="a signal that failed may be sent again")
    state: SignalState
    code: str | None = Field(description="why it was rejected or failed")
    reason: str | None
    timestamp: Moment | None = Field(description="the sender's")
    received_at: Moment
    decided_at: Moment | None
    finished_at: Moment | None


class Signals(Answer):
    signals: list[Signal]
    pagination: Pagination


class Check(Answer):
    rule: str
    limit: str
    value: str
    passed: bool


class Decision(Answer):
    """Beside these: for a plan what to place, amend and cancel, for a rejection its code, limit and value."""

    model_config = ConfigDict(extra="allow")

    outcome: Literal["plan", "rejection"]
    inputs: dict[str, Any] = Field(description="the market, what was held and open, the balance")
    checks: list[Check] = Field(description="each rule with its numbers, in the order of checking")


class RelatedOrder(Order):
    relation: Literal["placed", "cancelled", "amended"]


class Waits(Answer):
    summary: str = Field(description="all of it in one line, for people")
    has_lane: bool
    is_worked: bool = Field(description="a symbol worker has the lane")
    worker: str | None = Field(description="which, as its database session is called")
    signals_ahead: int = Field(description="signals of the asset that came earlier and have not ended")
    mode: TradingMode = Field(description="the stricter of the account's and the lane's")
    must_reconcile: bool = Field(description="the lane is compared with the exchange first")
    blocked_since: Moment | None
    blocked_reason: str | None
    retry_at: Moment | None


class SignalDetail(Signal):
    waits: Waits | None = Field(description="what it waits for; null once it has ended")
    decision: Decision | None = Field(description="null where none was taken")
    orders: list[RelatedOrder]
    events: list[Event] = Field(description="of the signal and of its orders, oldest first")
    message: str = Field(description="as it came")


class SignalsQuery(Spanned):
    asset: Symbol | None = None
    state: SignalState | None = None
    code: Id | None = Field(None, description="why it was rejected or failed")
    strategy_id: Sentence | None = None
    signal_id: SignalId | None = None
    sort_by: SignalSort = SignalSort.RECEIVED_AT
    sort_order: SortOrder = SortOrder.DESC


class SignalPath(Parameters):
    signal_id: SignalId


@blueprint.get("", responses={200: Signals})
def list_signals(query: SignalsQuery) -> dict[str, Any]:
    """Signals, the last to arrive first unless sorted otherwise; the dates are those of their arrival."""
    wanted = SignalFilter(
        symbol=query.asset,
        state=query.state,
        code=query.code,
        strategy_id=query.strategy_id,
        signal_id=query.signal_id,
        received_from=query.date_from,
        received_to=query.date_to,
    )
    found, total = signal_views.list_signals(
        current_runtime().engine,
        wanted,
        sort=query.sort_by,
        is_descending=query.sort_order is SortOrder.DESC,
        page=query.page,
    )
    return {"signals": [signal_json(one) for one in found], "pagination": query.pagination(total)}


@blueprint.get("/<path:signal_id>", responses={200: SignalDetail, 404: Problem})
def get_signal(path: SignalPath) -> dict[str, Any]:
    """One signal with what it waits for, its decision, its orders, its events and its message."""
    engine, signal_id = current_runtime().engine, path.signal_id
    # A signal_id may hold what is not printable, but nothing that the database would refuse to look for.
    is_possible = len(signal_id) <= MAX_SIGNAL_ID and "\x00" not in signal_id
    story = signal_views.find_signal(engine, signal_id) if is_possible else None
    if story is None:
        raise _unknown(signal_id, is_possible=is_possible)
    events, _ = event_views.list_events(
        engine, EventFilter(signal_id=signal_id), is_descending=False, page=Page(limit=MAX_LIMIT, offset=0)
    )
    return {**story_json(story), "events": [event_json(event) for event in events]}


def _unknown(signal_id: str, *, is_possible: bool) -> ApiError:
    """Not found; a message of that signal_id that could not be used is named."""
    error = not_found("signal", "signal_id", signal_id)
    letters: list[LetterSummary] = []
    if is_possible:
        wanted, page = LetterFilter(signal_id=signal_id), Page(limit=MAX_LETTERS, offset=0)
        letters, _ = list_letters(current_runtime().engine, wanted, is_descending=True, page=page)
    if not letters:
        return error
    message = (
        f"{error.message}, but a message with it could not be used: see /api/v1/dead-letters/{letters[0].id}"
    )
    details = {**error.details, "dead_letters": [letter_json(letter) for letter in letters]}
    return ApiError(error.status, error.code, message, details=details)
