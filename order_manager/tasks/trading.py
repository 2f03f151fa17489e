"""Tasks of one symbol: they run on its queue, under its lane."""

from order_manager.services.run_lane import run_cancel_stale, run_lane
from order_manager.tasks.app import app
from order_manager.tasks.sending import wake
from order_manager.wiring import runtime


@app.task(name="execute_signal")
def execute_signal(signal_id: str, symbol: str) -> int:
    """A signal arrived: work its symbol's lane. The argument is for the reader; the inbox has the order."""
    return wake_lane(symbol)


@app.task(name="wake_lane")
def wake_lane(symbol: str) -> int:
    """Work a symbol's lane: updates, reconciliation, signals; returns how many signals ended."""
    rt = runtime()
    return run_lane(symbol, lanes=rt.lanes, desk=rt.desk, batch=rt.settings.lane_batch, wake=wake)


@app.task(name="cancel_stale_symbol")
def cancel_stale_symbol(symbol: str) -> int:
    """Cancel a symbol's orders that have rested for too long; returns how many ended."""
    rt = runtime()
    return run_cancel_stale(symbol, lanes=rt.lanes, desk=rt.desk, wake=wake)
