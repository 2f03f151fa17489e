"""Positions, as our fills made them."""

from decimal import Decimal
from typing import Any

from flask import Blueprint, request

from order_manager.database import queries
from order_manager.database.queries import StoredPosition
from order_manager.domain.events import iso, text
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.paging import page_from, pagination_json
from order_manager.web.parameters import SYMBOL, Parameters

blueprint = Blueprint("positions", __name__, url_prefix="/api/v1/positions")

PNL_DECIMALS = 8  # of quote currency; size times price has up to 36


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
        "positions": [position_json(stored) for stored in found],
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
    return position_json(stored)


def position_json(stored: StoredPosition) -> dict[str, Any]:
    """A position in the words of the interface.

    `size` is signed, net of both legs in hedge mode; `long_size` and `short_size` are zero or more in both
    modes. `realized_pnl` is after fees, and `fees` says how much was paid and is already deducted.
    `unrealized_pnl` is at `mark_price`, before the fees of closing; null while no mark price is known.
    """
    position = stored.position
    long, short = _long_leg(position), _short_leg(position)
    legs = (position.net, position.long, position.short)
    fees = sum((leg.fees for leg in legs), Decimal(0))
    realized = sum((leg.realized_pnl for leg in legs), Decimal(0)) - fees
    return {
        "asset": position.symbol,
        "mode": position.mode.value,
        "side": _side(long, short),
        "size": text(long.size + short.size),
        "average_entry_price": text(_average_entry_price(long, short)),
        "long_size": text(long.size),
        "long_average_price": text(long.average_price),
        "short_size": text(abs(short.size)),
        "short_average_price": text(short.average_price),
        "realized_pnl": text(realized),
        "fees": text(fees),
        "unrealized_pnl": text(unrealized_pnl((long, short), stored.mark_price)),
        "mark_price": text(stored.mark_price),
        "created_at": iso(stored.created_at),
        "updated_at": iso(stored.updated_at),
    }


def unrealized_pnl(legs: tuple[Leg, ...], mark_price: Decimal | None) -> Decimal | None:
    """Quote that closing everything at the mark price would bring, before fees; None without the price."""
    held = [leg for leg in legs if leg.size]
    if not held:
        return Decimal(0)
    if mark_price is None:
        return None
    total = Decimal(0)
    for leg in held:
        if leg.average_price is None:
            return None
        total += leg.size * (mark_price - leg.average_price)
    return round(total, PNL_DECIMALS) + 0  # + 0: no minus before a zero


def _long_leg(position: Position) -> Leg:
    """What is held long, size zero or more."""
    if position.mode is PositionMode.HEDGE:
        return position.long
    return position.net if position.net.size > 0 else Leg()


def _short_leg(position: Position) -> Leg:
    """What is held short, size zero or less."""
    if position.mode is PositionMode.HEDGE:
        return position.short
    return position.net if position.net.size < 0 else Leg()


def _side(long: Leg, short: Leg) -> str:
    if long.size and short.size:
        return "both"
    if long.size:
        return "long"
    return "short" if short.size else "flat"


def _average_entry_price(long: Leg, short: Leg) -> Decimal | None:
    """Of the one leg that is held; two legs have no common entry price."""
    if long.size and short.size:
        return None
    return long.average_price if long.size else short.average_price if short.size else None
