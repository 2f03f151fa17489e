"""Lanes: one per symbol; what waits in it, and how it stands with the exchange."""

from typing import Any, Literal

from pydantic import Field

from order_manager.database.lane_views import list_lanes
from order_manager.database.wording import lane_json
from order_manager.domain.positions import PositionMode
from order_manager.domain.state import TradingMode
from order_manager.web.answers import Answer, Moment, Pagination
from order_manager.web.context import current_runtime
from order_manager.web.paging import Paged
from order_manager.web.parameters import Symbol
from order_manager.web.resources import Resource

blueprint = Resource("lanes", prefix="/api/v1/lanes", about="What waits, symbol by symbol")


class Reconciliation(Answer):
    """The last comparison with the exchange; the numbers are those of the last complete one."""

    result: Literal["completed", "failed", "never"]
    requested_at: Moment | None = Field(description="one is due since then")
    validation_requested_at: Moment | None = Field(description="with a recount of the position")
    completed_at: Moment | None = Field(description="when the last complete one began")
    orders: int | None = Field(description="looked at")
    corrected_orders: int | None
    position_discrepancies: int | None = Field(description="corrected")
    failed_at: Moment | None
    error: str | None


class Lane(Answer):
    asset: str
    mode: TradingMode = Field(description="the lane's own; the stricter of it and the account's counts")
    position_mode: PositionMode
    opened_at: Moment
    depth: int = Field(description="signals that wait or are being carried out")
    oldest_signal_age_s: float | None
    open_orders: int
    in_flight_orders: int = Field(description="of the open ones, without an answer of the exchange yet")
    cancelling_orders: int = Field(description="of the open ones, to be cancelled")
    waiting_updates: int = Field(description="of the exchange, not applied yet")
    oldest_update_age_s: float | None
    blocked_since: Moment | None
    blocked_reason: str | None
    retry_at: Moment | None = Field(description="nothing is tried before")
    reconciliation: Reconciliation


class Lanes(Answer):
    lanes: list[Lane]
    pagination: Pagination


class LanesQuery(Paged):
    asset: Symbol | None = None
    mode: TradingMode | None = None


@blueprint.get("", responses={200: Lanes})
def get_lanes(query: LanesQuery) -> dict[str, Any]:
    """Lanes by asset."""
    found, total = list_lanes(current_runtime().engine, symbol=query.asset, mode=query.mode, page=query.page)
    return {"lanes": [lane_json(lane) for lane in found], "pagination": query.pagination(total)}
