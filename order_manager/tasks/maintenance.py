"""Tasks that are not one symbol's business, or that fan out to the symbols; they return what they did."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from order_manager.services import open_symbol as opening
from order_manager.services import refresh_instruments as refreshing
from order_manager.services import snapshot_positions as snapshotting
from order_manager.services import sweep as sweeping
from order_manager.services.desk import utc_now
from order_manager.services.reconcile_account import reconcile_account
from order_manager.services.sync_orders import SyncScope, start_sync, wait_for_sync
from order_manager.tasks.app import app
from order_manager.tasks.exchange_updates import build_syncing, request_reconciliation
from order_manager.tasks.sending import send_cancel_stale, send_open_symbol, wake
from order_manager.wiring import Runtime, runtime

SYNC_WAIT_S = 5.0  # other errands wait meanwhile
UNATTENDED_S = 1.0  # what waits longer than this has lost its wake-up


@app.task(name="open_symbol")
def open_symbol(symbol: str) -> dict[str, Any]:
    """A first signal for a symbol: open its lane if the exchange lists it, else reject what waits."""
    is_listed = _open(runtime(), symbol)
    publish_rejections()
    return {"listed": is_listed}


@app.task(name="publish_rejections")
def publish_rejections() -> dict[str, Any]:
    """Publish events of signals that were rejected at the door."""
    rt = runtime()
    return {"published": sweeping.publish_without_lane(store=rt.inbox, publisher=rt.publisher)}


@app.task(name="sweep")
def sweep() -> dict[str, Any]:
    """Wake what was forgotten; returns how many symbols."""
    rt = runtime()
    woken = sweeping.sweep(
        store=rt.inbox,
        publisher=rt.publisher,
        wake=wake,
        open_symbol=send_open_symbol,
        older_than_s=UNATTENDED_S,
    )
    return {"woken": woken}


@app.task(name="reconcile_orders")
def reconcile_orders() -> dict[str, Any]:
    """Have every symbol compared with the exchange, and what is not one symbol's."""
    return {"requested": request_reconciliation(), **_reconcile_account(runtime())}


@app.task(name="validate_positions")
def validate_positions() -> dict[str, Any]:
    """Have every position recounted from its fills and compared with the exchange."""
    return {"requested": request_reconciliation(validate=True)}


@app.task(name="discover_symbols")
def discover_symbols() -> dict[str, Any]:
    """Open lanes for symbols that somebody else trades on our account, and compare the balance."""
    return _reconcile_account(runtime())


@app.task(name="sync_orders")
def sync_orders(scope: str = "active", asset: str | None = None) -> dict[str, Any]:
    """Compare with the exchange now; returns the result, or how far it is after a few seconds."""
    rt = runtime()
    if scope not in list(SyncScope):
        return _no_sync(scope, asset, f"scope must be one of {', '.join(SyncScope)}")
    if asset is not None and asset not in rt.inbox.known_lanes():
        return _no_sync(scope, asset, "there is no symbol with this asset")
    syncing = build_syncing(rt)
    run_id = start_sync(SyncScope(scope), asset, syncing=syncing)
    return wait_for_sync(run_id, syncing=syncing, timeout_s=SYNC_WAIT_S) or {}


@app.task(name="cancel_stale_orders")
def cancel_stale_orders() -> dict[str, Any]:
    """Have orders that rest for too long cancelled; returns the symbols with such orders."""
    rt = runtime()
    limit = rt.desk.now() - timedelta(seconds=rt.desk.patience.stale_s)
    symbols = rt.inbox.symbols_with_open_orders(created_before=limit)
    for symbol in symbols:
        send_cancel_stale(symbol)
    return {"requested": symbols}


@app.task(name="refresh_instruments")
def refresh_instruments() -> dict[str, Any]:
    """Read every symbol's trading rules again; returns how many there are."""
    rt = runtime()
    return {"instruments": refreshing.refresh_instruments(store=rt.inbox, exchange=rt.exchange)}


@app.task(name="snapshot_positions")
def snapshot_positions() -> dict[str, Any]:
    """Save every held position at today's prices and warn of large losses; returns what was done."""
    rt = runtime()
    outcome = snapshotting.snapshot_positions(
        store=rt.snapshots,
        market=rt.desk.market,
        threshold=rt.settings.unrealized_loss_warning_threshold,
        wake=wake,
        now=rt.desk.now,
    )
    return asdict(outcome)


def _no_sync(scope: str, asset: str | None, why: str) -> dict[str, Any]:
    """What was asked for makes no sense: a person mistyped, and no task of ours failed."""
    return {"status": "failed", "scope": scope, "asset": asset, "errors": [{"asset": asset, "error": why}]}


def _reconcile_account(rt: Runtime) -> dict[str, Any]:
    if rt.desk.rules.is_dry_run:
        return {}
    return reconcile_account(
        looks=rt.inbox,
        balances=rt.updates,
        exchange=rt.exchange,
        open_symbol=lambda symbol: _open(rt, symbol),
        now=rt.desk.now,
    )


def _open(rt: Runtime, symbol: str) -> bool:
    return opening.open_symbol(
        symbol, store=rt.inbox, exchange=rt.exchange, category=rt.desk.category, wake=wake, now=utc_now()
    )
