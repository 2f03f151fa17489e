"""Positions, as our fills made them, or as the Position Manager tells them where one is configured."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field

from order_manager.database import queries
from order_manager.domain.events import iso, position_json, stored_position_json, text
from order_manager.domain.portfolio import Holding
from order_manager.domain.positions import PositionMode
from order_manager.domain.state import PositionSource
from order_manager.errors import PositionManagerAway
from order_manager.partners.position_manager import PositionManager
from order_manager.web.answers import Answer, Moment, Number, Pagination, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError, not_found
from order_manager.web.paging import Paged
from order_manager.web.parameters import SYMBOL, Parameters, Symbol
from order_manager.web.resources import Resource

blueprint = Resource("positions", prefix="/api/v1/positions", about="What is held, now and over time")


class PositionFields(Answer):
    asset: str
    mode: PositionMode
    side: Literal["long", "short", "both", "flat"]
    size: Number = Field(description="base, signed; net of both legs in hedge mode")
    average_entry_price: Number | None
    long_size: Number | None
    long_average_price: Number | None
    short_size: Number | None = Field(description="zero or more")
    short_average_price: Number | None
    realized_pnl: Number | None = Field(description="quote, after fees")
    fees: Number | None = Field(description="quote, already deducted from realized_pnl")
    unrealized_pnl: Number | None = Field(description="quote, at mark_price, before the fees of closing")
    mark_price: Number | None = Field(
        description="quote, as of the last comparison with the exchange, fill or snapshot, whichever was last"
    )
    created_at: Moment | None
    updated_at: Moment | None


class Position(PositionFields):
    source: PositionSource | None = Field(None, description="only where a Position Manager is configured")


class Positions(Answer):
    positions: list[PositionFields]
    pagination: Pagination
    source: PositionSource | None = Field(None, description="only where a Position Manager is configured")


class PositionsQuery(Paged):
    asset: Symbol | None = None
    mode: PositionMode | None = None


class PositionPath(Parameters):
    asset: Symbol


class PositionQuery(Parameters):
    mode: PositionMode | None = Field(None, description="the account's where it is left out")


@blueprint.get("", responses={200: Positions})
def list_positions(query: PositionsQuery) -> dict[str, Any]:
    """Positions by asset and mode; a flat one stays listed for its realized PnL."""
    symbol, mode, page = query.asset, query.mode, query.page
    theirs = _theirs(lambda manager: manager.holdings())
    if theirs is not None:
        wanted = [one for one in theirs if symbol in {None, one.symbol} and mode in {None, _mode(one)}]
        listed = [_holding_json(one) for one in wanted[page.offset : page.offset + page.limit]]
        total, source = len(wanted), PositionSource.POSITION_MANAGER
    else:
        found, total = queries.list_positions(current_runtime().engine, symbol=symbol, mode=mode, page=page)
        listed, source = [stored_position_json(stored) for stored in found], PositionSource.OURS
    return _told_by(source, {"positions": listed, "pagination": query.pagination(total)})


@blueprint.get("/<asset>", responses={200: Position, 404: Problem})
def get_position(path: PositionPath, query: PositionQuery) -> dict[str, Any]:
    """The asset's position, in the account's mode unless `mode` says otherwise."""
    asset, mode = path.asset, query.mode
    if SYMBOL.fullmatch(asset) is None:
        raise not_found("position", "asset", asset)
    theirs = _theirs(lambda manager: _known(manager.find(asset)))
    if theirs is not None:
        wanted = [_holding_json(one) for one in theirs if mode in {None, _mode(one)}]
        source = PositionSource.POSITION_MANAGER
    else:
        stored = queries.find_position(current_runtime().engine, asset, mode)
        wanted, source = [stored_position_json(stored)] if stored else [], PositionSource.OURS
    if not wanted:
        raise not_found("position", "asset", asset)
    return _told_by(source, wanted[0])


def _theirs(ask: Callable[[PositionManager], Sequence[Holding]]) -> Sequence[Holding] | None:
    """What the Position Manager tells; None where our own books are to answer."""
    runtime = current_runtime()
    if runtime.position_manager is None:
        return None
    try:
        return ask(runtime.position_manager)
    except PositionManagerAway as error:
        if runtime.settings.position_manager_fallback == "own":
            return None
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "position_manager_unavailable",
            "the Position Manager does not answer; ask again in a moment",
            headers={"Retry-After": "1"},
        ) from error


def _told_by(source: PositionSource, body: dict[str, Any]) -> dict[str, Any]:
    """Whose numbers these are, where it can be either's."""
    return body if current_runtime().position_manager is None else {**body, "source": source.value}


def _known(holding: Holding | None) -> list[Holding]:
    return [] if holding is None else [holding]


def _mode(holding: Holding) -> PositionMode:
    """As it tells, or as it looks."""
    if holding.mode is not None:
        return holding.mode
    return PositionMode.HEDGE if holding.long_size and holding.short_size else PositionMode.ONE_WAY


def _holding_json(holding: Holding) -> dict[str, Any]:
    """In the same words; null is what the Position Manager does not tell."""
    position = holding.as_position(_mode(holding))
    told = position_json(position, mark_price=holding.mark_price)
    return {
        **told,
        "realized_pnl": text(holding.realized_pnl),
        "fees": text(holding.fees),
        "unrealized_pnl": text(holding.unrealized_pnl) or told["unrealized_pnl"],
        "created_at": iso(holding.created_at),
        "updated_at": iso(holding.updated_at),
    }
