"""Tasks of one symbol: they run on its queue, under its lane, and return what they did."""

from typing import Any

from order_manager.services.run_lane import run_cancel_stale, run_lane
from order_manager.tasks.app import app
from order_manager.tasks.sending import wake
from order_manager.wiring import runtime


@app.task(name="execute_signal")
def execute_signal(signal_id: str, symbol: str) -> dict[str, Any]:
    """A signal arrived: work its symbol's lane. The argument is for the reader; the inbox has the order."""
    return _work(symbol)


@app.task(name="wake_lane")
def wake_lane(symbol: str) -> dict[str, Any]:
    """Work a symbol's lane: updates, reconciliation, signals; returns how many signals ended."""
    return _work(symbol)


@app.task(name="cancel_stale_symbol")
def cancel_stale_symbol(symbol: str) -> dict[str, Any]:
    """Cancel a symbol's orders that have rested for too long; returns how many ended."""
    rt = runtime()
    return {"orders_ended": run_cancel_stale(symbol, lanes=rt.lanes, desk=rt.desk, wake=wake)}


def _work(symbol: str) -> dict[str, Any]:
    rt = runtime()
    ended = run_lane(symbol, lanes=rt.lanes, desk=rt.desk, batch=rt.settings.lane_batch, wake=wake)
    return {"signals_ended": ended}
