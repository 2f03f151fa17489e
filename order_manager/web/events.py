"""Events: every change of an order and every end of a signal, as others are told."""

from typing import Any

from pydantic import Field

from order_manager.database import event_views, queries
from order_manager.database.event_views import EventFilter
from order_manager.database.wording import event_json
from order_manager.web.answers import Answer, Moment, Pagination
from order_manager.web.context import current_runtime
from order_manager.web.paging import Spanned
from order_manager.web.parameters import Id, SignalId, SortOrder, Symbol
from order_manager.web.resources import Resource

blueprint = Resource("events", prefix="/api/v1/events", about="What others are told on the event queue")


class Event(Answer):
    event_id: str
    event_type: str = Field(json_schema_extra={"example": "partially_filled"})
    order_id: str | None = Field(description="our id of the order")
    signal_id: str | None
    asset: str | None
    sequence: int = Field(description="of the order's events, from 1")
    trace_id: str
    created_at: Moment
    published_at: Moment | None = Field(description="when the broker had it; null while it waits")
    message: dict[str, Any] = Field(description="as it is published, see docs/events.md")


class Events(Answer):
    events: list[Event]
    pagination: Pagination


class EventsQuery(Spanned):
    order_id: Id | None = Field(None, description="Bybit's, ours or the client order id")
    signal_id: SignalId | None = Field(None, description="of the signal, or of the order's signal")
    asset: Symbol | None = None
    event_type: Id | None = None
    sort_order: SortOrder = SortOrder.DESC


@blueprint.get("", responses={200: Events})
def list_events(query: EventsQuery) -> dict[str, Any]:
    """Events, newest first; the dates are when they came to be."""
    engine = current_runtime().engine
    order_id = query.order_id
    if order_id is not None:
        order = queries.find_order(engine, order_id)
        if order is None:
            return {"events": [], "pagination": query.pagination(0)}
        order_id = order.id
    wanted = EventFilter(
        order_id=order_id,
        signal_id=query.signal_id,
        symbol=query.asset,
        event_type=query.event_type,
        created_from=query.date_from,
        created_to=query.date_to,
    )
    found, total = event_views.list_events(
        engine, wanted, is_descending=query.sort_order is SortOrder.DESC, page=query.page
    )
    return {"events": [event_json(event) for event in found], "pagination": query.pagination(total)}
