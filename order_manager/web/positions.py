"""Positions, as our fills made them."""

from typing import Any

from flask import Blueprint, request

from order_manager.database import queries
from order_manager.database.queries import StoredPosition
from order_manager.domain.events import position_json
from order_manager.domain.positions import PositionMode
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.paging import page_from, pagination_json
from order_manager.web.parameters import SYMBOL, Parameters

blueprint = Blueprint("positions", __name__, url_prefix="/api/v1/positions")


@blueprint.get("")
def list_positions() -> dict[str, Any]:
    """Positions by asset and mode; a flat one stays listed for its realized PnL."""
    parameters = Parameters(request.args)
    symbol = parameters.symbol("asset")
    mode = parameters.choice("mode", PositionMode)
    page = page_from(parameters)
    parameters.check()
    found, total = queries.list_positions(current_runtime().engine, symbol=symbol, mode=mode, page=page)
    return {
        "positions": [_stored_json(stored) for stored in found],
        "pagination": pagination_json(page, total),
    }


@blueprint.get("/<asset>")
def get_position(asset: str) -> dict[str, Any]:
    """The asset's position, in the account's mode unless `mode` says otherwise."""
    parameters = Parameters(request.args)
    mode = parameters.choice("mode", PositionMode)
    parameters.check()
    is_possible = SYMBOL.fullmatch(asset) is not None
    stored = queries.find_position(current_runtime().engine, asset, mode) if is_possible else None
    if stored is None:
        raise not_found("position", "asset", asset)
    return _stored_json(stored)


def _stored_json(stored: StoredPosition) -> dict[str, Any]:
    return position_json(
        stored.position,
        mark_price=stored.mark_price,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
