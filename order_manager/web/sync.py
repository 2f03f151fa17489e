"""Sync on demand: a POST has lanes compared with the exchange and waits a while for the result."""

from http import HTTPStatus
from typing import Any, Literal

from pydantic import ConfigDict, Field

from order_manager.database.queries import is_uuid
from order_manager.services.sync_orders import SyncScope, start_sync, sync_json, wait_for_sync
from order_manager.tasks.exchange_updates import build_syncing
from order_manager.web.answers import Answer, Moment, Number, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError, not_found
from order_manager.web.parameters import Fields, Id, Parameters, Symbol
from order_manager.web.resources import CHANGING, Resource

blueprint = Resource("sync", prefix="/api/v1/sync", about="Comparisons with the exchange on demand")

WAIT_S = 8.0

Reply = tuple[dict[str, Any], int]


class SyncError(Answer):
    asset: str
    error: str


class Adjustment(Answer):
    asset: str
    position_idx: int
    size_before: Number
    size_after: Number
    average_price_before: Number | None
    average_price_after: Number | None
    source: Literal["exchange", "fills"] = Field(description="which side was right")
    reason: str
    created_at: Moment


class Sync(Answer):
    task_id: str
    status: Literal["completed", "partial", "failed"]
    sync_id: str
    scope: SyncScope
    asset: str | None
    assets: list[str]
    pending_assets: list[str]
    synced_orders: int = Field(description="looked at")
    updated_orders: int = Field(description="changed")
    position_discrepancies: int = Field(description="corrected")
    position_adjustments: list[Adjustment] = Field(
        description="what was set right on these symbols since it was asked for"
    )
    errors: list[SyncError]
    timestamp: Moment = Field(description="when it was asked for")


class SyncQuery(Parameters):
    """Each here or in the body."""

    scope: SyncScope | None = Field(None, description="active where it is left out")
    asset: Symbol | None = None


class SyncRequest(SyncQuery, Fields):
    model_config = ConfigDict(openapi_extra={"required": False})  # type: ignore[typeddict-unknown-key]


class SyncPath(Parameters):
    task_id: Id


@blueprint.post("", responses={200: Sync, 202: Sync, 404: Problem, 409: Problem, **CHANGING})
def post_sync(query: SyncQuery, body: SyncRequest) -> Reply:
    """Compare with the exchange now; 202 with a task_id where it takes longer."""
    scope = query.scope or body.scope or SyncScope.ACTIVE
    asset = query.asset or body.asset
    runtime = current_runtime()
    if runtime.settings.enable_dry_run:
        message = "a dry run has nothing at the exchange to compare with"
        raise ApiError(HTTPStatus.CONFLICT, "dry_run", message)
    if asset is not None and asset not in runtime.inbox.known_lanes():
        raise not_found("symbol", "asset", asset)
    syncing = build_syncing(runtime)
    run_id = start_sync(scope, asset, syncing=syncing)
    result = wait_for_sync(run_id, syncing=syncing, timeout_s=WAIT_S)
    assert result is not None
    return _answer(result)


@blueprint.get("/<task_id>", responses={200: Sync, 202: Sync, 404: Problem})
def get_sync(path: SyncPath) -> Reply:
    """How far a sync is."""
    run = current_runtime().sync_runs.find(path.task_id) if is_uuid(path.task_id) else None
    if run is None:
        raise not_found("sync", "task_id", path.task_id)
    return _answer(sync_json(run))


def _answer(result: dict[str, Any]) -> Reply:
    is_running = bool(result["pending_assets"]) and not result["errors"]
    status = HTTPStatus.ACCEPTED if is_running else HTTPStatus.OK
    return {"task_id": result["sync_id"], **result}, status.value
