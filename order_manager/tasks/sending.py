"""Sending tasks by name: wake-ups to a symbol's queue, errands to maintenance."""

from order_manager.queues import MAINTENANCE, symbol_queue
from order_manager.tasks.app import app


def wake(symbol: str) -> None:
    """Have somebody look at the symbol's lane."""
    app.send_task("wake_lane", args=[symbol], queue=symbol_queue(symbol), ignore_result=True)


def send_open_symbol(symbol: str) -> None:
    app.send_task("open_symbol", args=[symbol], queue=MAINTENANCE, ignore_result=True)


def send_cancel_stale(symbol: str) -> None:
    app.send_task("cancel_stale_symbol", args=[symbol], queue=symbol_queue(symbol), ignore_result=True)


def send_discover_symbols() -> None:
    app.send_task("discover_symbols", queue=MAINTENANCE, ignore_result=True)
