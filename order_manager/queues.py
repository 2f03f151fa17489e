"""Queue names and the arguments they are declared with: said once, used everywhere."""

from typing import Any

SIGNALS = "model-service.trading_signals"  # another service owns it
EVENTS = "order-manager.order_events"
MAINTENANCE = "maintenance"
ANCHOR = "orders"  # a symbol worker listens here while it leases no symbol; carries nothing
SYMBOL_PREFIX = "orders."

SYMBOL_QUEUE_ARGUMENTS: dict[str, Any] = {"x-single-active-consumer": True}


def symbol_queue(symbol: str) -> str:
    """The Celery queue of one symbol's lane."""
    return f"{SYMBOL_PREFIX}{symbol}"


def is_symbol_queue(name: str) -> bool:
    return name.startswith(SYMBOL_PREFIX)
