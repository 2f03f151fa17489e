"""Sending tasks by name: wake-ups to a symbol's queue, errands to maintenance."""

from order_manager.queues import MAINTENANCE, symbol_queue
from order_manager.tasks.app import app


def wake(symbol: str) -> None:
    """Have somebody look at the symbol's lane."""
    app.send_task("wake_lane", args=[symbol], queue=symbol_queue(symbol), ignore_result=True)


def send_open_symbol(symbol: str) -> None:
    app.send_task("open_symbol", args=[symbol], queue=MAINTENANCE, ignore_result=True)


def send_reconcile(symbol: str) -> None:
    app.send_task("reconcile_symbol", args=[symbol], queue=symbol_queue(symbol), ignore_result=True)
