"""The trading state: what may be traded, and how to stop it."""

from typing import Any

from flask import request
from pydantic import Field

from order_manager.database.trading_states import LaneMode, TradingStateStore
from order_manager.database.wording import changed_json
from order_manager.domain.events import iso
from order_manager.domain.state import TradingMode, stricter_mode
from order_manager.services.trading_state import change_trading_state
from order_manager.web.answers import Answer, Moment, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.parameters import Fields, Sentence, Symbol
from order_manager.web.resources import CHANGING, Resource, Responses

blueprint = Resource(
    "trading_state",
    prefix="/api/v1/trading-state",
    about="active: all; reducing: only what reduces a position; halted: nothing",
)


class Remembered(Answer):
    """The last change; null where there was none yet."""

    reason: str | None = Field(description="of the last change, as its changer said")
    changed_at: Moment | None
    changed_by: str | None = Field(description="user and machine, or the address that called the API")


class LaneState(Remembered):
    asset: str
    mode: TradingMode = Field(description="the lane's own")
    effective_mode: TradingMode = Field(description="the stricter of it and the account's")


class BlockedLane(Answer):
    asset: str
    since: Moment
    reason: str | None
    retry_at: Moment | None


class TradingState(Remembered):
    mode: TradingMode = Field(description="the account's")
    lanes: list[LaneState] = Field(description="every lane, by asset")
    blocked_lanes: list[BlockedLane] = Field(description="those where signals wait for the exchange")


class Change(Fields):
    reason: Sentence = Field(description="kept with the mode, and logged")
    asset: Symbol | None = Field(None, description="one symbol; left out, the account")


CHANGED: Responses = {200: TradingState, 404: Problem, **CHANGING}


@blueprint.get("", responses={200: TradingState})
def get_trading_state() -> dict[str, Any]:
    """What may be traded now."""
    return _state_json()


@blueprint.post("/halt", responses=CHANGED)
def halt_trading(body: Change) -> dict[str, Any]:
    """Let nothing through, from the next decision on; open orders stay open."""
    return _change(TradingMode.HALTED, body)


@blueprint.post("/reduce", responses=CHANGED)
def reduce_trading(body: Change) -> dict[str, Any]:
    """Let through only what reduces a position, from the next decision on."""
    return _change(TradingMode.REDUCING, body)


@blueprint.post("/resume", responses=CHANGED)
def resume_trading(body: Change) -> dict[str, Any]:
    """Trade again; the account and a symbol are resumed each for itself."""
    return _change(TradingMode.ACTIVE, body)


def _change(mode: TradingMode, change: Change) -> dict[str, Any]:
    by = f"API, {request.remote_addr or 'unknown'}"
    before = change_trading_state(mode, symbol=change.asset, reason=change.reason, by=by, store=_store())
    if before is None:
        raise not_found("symbol", "asset", change.asset or "")
    return _state_json()


def _state_json() -> dict[str, Any]:
    modes = _store().modes()
    return {
        "mode": modes.account.value,
        **changed_json(modes.account_changed),
        "lanes": [
            {
                "asset": lane.symbol,
                "mode": lane.mode.value,
                **changed_json(lane.changed),
                "effective_mode": stricter_mode(modes.account, lane.mode).value,
            }
            for lane in modes.lanes
        ],
        "blocked_lanes": [_blocked_json(lane) for lane in modes.lanes if lane.blocked_since is not None],
    }


def _store() -> TradingStateStore:
    return TradingStateStore(current_runtime().engine)


def _blocked_json(lane: LaneMode) -> dict[str, Any]:
    return {
        "asset": lane.symbol,
        "since": iso(lane.blocked_since),
        "reason": lane.blocked_reason,
        "retry_at": iso(lane.retry_at),
    }
