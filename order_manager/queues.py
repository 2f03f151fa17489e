"""Queue names and the arguments they are declared with: said once, used everywhere."""

from typing import Any

SIGNALS = "model-service.trading_signals"  # another service owns it
EVENTS = "order-manager.order_events"
# The gateway's: it may have made them, with arguments of its own
ORDER_UPDATES = "ws-gateway.order"
POSITION_UPDATES = "ws-gateway.position"
BALANCE_UPDATES = "ws-gateway.balance"
UPDATES = (ORDER_UPDATES, POSITION_UPDATES, BALANCE_UPDATES)
MAINTENANCE = "maintenance"
ANCHOR = "orders"  # a symbol worker listens here while it leases no symbol; carries nothing
SYMBOL_PREFIX = "orders."

SYMBOL_QUEUE_ARGUMENTS: dict[str, Any] = {"x-single-active-consumer": True}

UPDATE_QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-message-ttl": 86_400_000,
    "x-max-length": 100_000,
    "x-overflow": "drop-head",
}


def symbol_queue(symbol: str) -> str:
    """The Celery queue of one symbol's lane."""
    return f"{SYMBOL_PREFIX}{symbol}"


def is_symbol_queue(name: str) -> bool:
    return name.startswith(SYMBOL_PREFIX)
