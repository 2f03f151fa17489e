"""Sync on demand: have lanes compared with the exchange now, and tell how far that is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import structlog

from order_manager.domain.events import iso, text
from order_manager.domain.syncing import SyncRun

log = structlog.get_logger(__name__)

POLL_S = 0.1


class SyncScope(StrEnum):
    """What is compared. Every scope does a lane's orders, fills and position; they choose the lanes."""

    ACTIVE = "active"  # lanes with open orders
    ORDERS = "orders"  # every lane
    POSITIONS = "positions"  # every lane, and positions are recounted from their fills
    ALL = "all"  # that, and symbols that are in use at the exchange and not here


class SyncStore(Protocol):
    def start(self, scope: str, asset: str | None, symbols: Sequence[str]) -> str: ...

    def find(self, run_id: str) -> SyncRun | None: ...


class LaneRequests(Protocol):
    def request_reconciliation(
        self, symbols: Sequence[str] | None = None, *, validate: bool = False
    ) -> list[str]: ...


class Symbols(Protocol):
    def known_lanes(self) -> Any: ...

    def symbols_with_open_orders(self) -> list[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing:
    """What a sync works with."""

    runs: SyncStore
    lanes: LaneRequests
    symbols: Symbols
    wake: Callable[[str], None]
    discover: Callable[[], None]


def start_sync(scope: SyncScope, asset: str | None, *, syncing: Syncing) -> str:
    """Ask for the comparison; returns the run's id. With `asset` that lane alone, whatever the scope chooses.

    An asset without a lane has nothing to compare.
    """
    if asset is None and scope is SyncScope.ACTIVE:
        symbols = sorted(syncing.symbols.symbols_with_open_orders())
    else:
        symbols = sorted(symbol for symbol in syncing.symbols.known_lanes() if asset in (None, symbol))
    run_id = syncing.runs.start(scope.value, asset, symbols)
    is_validation = scope in {SyncScope.POSITIONS, SyncScope.ALL}
    requested = syncing.lanes.request_reconciliation(symbols, validate=is_validation)
    try:
        if scope is SyncScope.ALL and asset is None:
            syncing.discover()
        for symbol in requested:
            syncing.wake(symbol)
    except Exception as error:  # noqa: BLE001 - whatever the broker's library raises: the sweep wakes them
        log.warning("wake_up_lost", sync=run_id, error=repr(error))
    log.info("sync_requested", sync=run_id, scope=scope.value, asset=asset, symbols=len(symbols))
    return run_id


def wait_for_sync(run_id: str, *, syncing: Syncing, timeout_s: float) -> dict[str, Any] | None:
    """The run's result once it is complete, or as it stands when time is up; None: no such run."""
    deadline = time.monotonic() + timeout_s
    while (run := syncing.runs.find(run_id)) is not None:
        result = sync_json(run)
        told = {*result["pending_assets"]} == {error["asset"] for error in result["errors"]}
        if told or time.monotonic() >= deadline:
            return result
        time.sleep(POLL_S)
    return None


def sync_json(run: SyncRun) -> dict[str, Any]:
    """completed: every lane; failed: not one lane, and the exchange could not be asked; else partial."""
    done = [lane for lane in run.lanes if lane.is_done]
    errors = [
        {"asset": lane.symbol, "error": lane.error}
        for lane in run.lanes
        if not lane.is_done and lane.error is not None
    ]
    pending = [lane.symbol for lane in run.lanes if not lane.is_done]
    status = "completed" if not pending else "failed" if errors and not done else "partial"
    return {
        "status": status,
        "sync_id": run.id,
        "scope": run.scope,
        "asset": run.asset,
        "assets": [lane.symbol for lane in run.lanes],
        "pending_assets": pending,
        "synced_orders": sum(lane.seen for lane in done),
        "updated_orders": sum(lane.corrected for lane in done),
        "position_discrepancies": sum(lane.discrepancies for lane in done),
        "position_adjustments": [
            {
                "asset": one.asset,
                "position_idx": one.position_idx,
                "size_before": text(one.size_before),
                "size_after": text(one.size_after),
                "average_price_before": text(one.average_price_before),
                "average_price_after": text(one.average_price_after),
                "source": one.source,
                "reason": one.reason,
                "created_at": iso(one.created_at),
            }
            for one in run.adjustments
        ],
        "errors": errors,
        "timestamp": iso(run.requested_at),
    }
