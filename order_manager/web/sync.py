"""Sync on demand: a POST has lanes compared with the exchange and waits a while for the result."""

import json
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, request
from werkzeug.datastructures import MultiDict

from order_manager.services.sync_orders import SyncScope, start_sync, sync_json, wait_for_sync
from order_manager.tasks.exchange_updates import build_syncing
from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError, not_found
from order_manager.web.parameters import Parameters

blueprint = Blueprint("sync", __name__, url_prefix="/api/v1/sync")

WAIT_S = 8.0

Answer = tuple[dict[str, Any], int]


@blueprint.post("")
def post_sync() -> Answer:
    """`scope` and `asset` in the query or as JSON; 202 with a task_id where it takes longer."""
    parameters = Parameters(_given())
    scope = parameters.choice("scope", SyncScope) or SyncScope.ACTIVE
    asset = parameters.symbol("asset")
    parameters.check()
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


@blueprint.get("/<task_id>")
def get_sync(task_id: str) -> Answer:
    """How far a sync is."""
    Parameters(request.args).check()
    run = current_runtime().sync_runs.find(task_id) if _is_uuid(task_id) else None
    if run is None:
        raise not_found("sync", "task_id", task_id)
    return _answer(sync_json(run))


def _answer(result: dict[str, Any]) -> Answer:
    is_running = bool(result["pending_assets"]) and not result["errors"]
    return {"task_id": result["sync_id"], **result}, (
        HTTPStatus.ACCEPTED if is_running else HTTPStatus.OK
    ).value


def _given() -> MultiDict[str, str]:
    """The query's parameters and those of the body's object; null is left out."""
    given = MultiDict(request.args)
    if not request.get_data():
        return given
    body = request.get_json(silent=True, force=True)
    if not isinstance(body, dict):
        message = 'the body must be a JSON object, like {"scope": "active", "asset": "BTCUSDT"}'
        raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_body", message)
    for name, value in body.items():
        if value is not None:
            given.add(name, value if isinstance(value, str) else json.dumps(value))
    return given


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
