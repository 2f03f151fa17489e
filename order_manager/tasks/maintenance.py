"""Tasks that are not one symbol's business, or that fan out to the symbols."""

from dataclasses import asdict
from typing import Any

from order_manager.services import open_symbol as opening
from order_manager.services import refresh_instruments as refreshing
from order_manager.services import snapshot_positions as snapshotting
from order_manager.services import sweep as sweeping
from order_manager.services.desk import utc_now
from order_manager.tasks.app import app
from order_manager.tasks.sending import send_open_symbol, send_reconcile, wake
from order_manager.wiring import runtime

UNATTENDED_S = 1.0  # what waits longer than this has lost its wake-up


@app.task(name="open_symbol")
def open_symbol(symbol: str) -> bool:
    """A first signal for a symbol: open its lane if the exchange lists it, else reject what waits."""
    rt = runtime()
    is_listed = opening.open_symbol(
        symbol, store=rt.inbox, exchange=rt.exchange, category=rt.desk.category, wake=wake, now=utc_now()
    )
    publish_rejections()
    return is_listed


@app.task(name="publish_rejections")
def publish_rejections() -> int:
    """Publish events of signals that were rejected at the door."""
    rt = runtime()
    return sweeping.publish_without_lane(store=rt.inbox, publisher=rt.publisher)


@app.task(name="sweep")
def sweep() -> int:
    """Wake what was forgotten; returns how many symbols."""
    rt = runtime()
    return sweeping.sweep(
        store=rt.inbox,
        publisher=rt.publisher,
        wake=wake,
        open_symbol=send_open_symbol,
        older_than_s=UNATTENDED_S,
    )


@app.task(name="reconcile_orders")
def reconcile_orders() -> list[str]:
    """Have every symbol with open orders compared with the exchange; returns the symbols."""
    symbols = runtime().inbox.symbols_with_open_orders()
    for symbol in symbols:
        send_reconcile(symbol)
    return symbols


@app.task(name="refresh_instruments")
def refresh_instruments() -> int:
    """Read every symbol's trading rules again; returns how many there are."""
    rt = runtime()
    return refreshing.refresh_instruments(store=rt.inbox, exchange=rt.exchange)


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
