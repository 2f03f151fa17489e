"""A position over time: what the periodic snapshots saved."""

from typing import Any

from pydantic import Field

from order_manager.database import snapshot_views
from order_manager.database.snapshot_views import StoredSnapshot
from order_manager.domain.events import iso
from order_manager.domain.positions import PositionMode
from order_manager.web.answers import Answer, Moment, Number, Pagination, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.paging import Spanned
from order_manager.web.parameters import SYMBOL, SortOrder
from order_manager.web.positions import PositionFields, PositionPath
from order_manager.web.resources import Resource

blueprint = Resource(
    "snapshots", prefix="/api/v1/positions", about="Positions over time; snapshots are kept for 30 days"
)


class ToldLoss(Answer):
    percent: Number = Field(description="of what the leg cost")
    at: Moment


class Losses(Answer):
    """Unrealized losses beyond the threshold that were told of and last, by leg."""

    long: ToldLoss | None = None
    short: ToldLoss | None = None


class Snapshot(PositionFields):
    taken_at: Moment
    is_mark_price_fresh: bool = Field(description="the exchange was asked for mark_price at that moment")
    losses: Losses


class Snapshots(Answer):
    snapshots: list[Snapshot]
    pagination: Pagination


class SnapshotsQuery(Spanned):
    mode: PositionMode | None = None
    sort_order: SortOrder = SortOrder.DESC


@blueprint.get("/<asset>/snapshots", responses={200: Snapshots, 404: Problem})
def list_snapshots(path: PositionPath, query: SnapshotsQuery) -> dict[str, Any]:
    """Snapshots of our own position, newest first; the dates are when they were taken."""
    engine = current_runtime().engine
    if SYMBOL.fullmatch(path.asset) is None:
        raise not_found("position", "asset", path.asset)
    found, total = snapshot_views.list_snapshots(
        engine,
        path.asset,
        mode=query.mode,
        taken_from=query.date_from,
        taken_to=query.date_to,
        is_descending=query.sort_order is SortOrder.DESC,
        page=query.page,
    )
    if not total and not snapshot_views.has_history(engine, path.asset):
        raise not_found("position", "asset", path.asset)
    return {"snapshots": [_snapshot_json(one) for one in found], "pagination": query.pagination(total)}


def _snapshot_json(stored: StoredSnapshot) -> dict[str, Any]:
    return {**stored.values, "taken_at": iso(stored.taken_at)}
