"""A connection for what is sent by hand: each message is confirmed, or soon known not to be."""

from typing import Any

from kombu import Connection

CONFIRM_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0


def confirming(broker_url: str, *, is_rabbitmq: bool) -> Connection:
    options: dict[str, Any] = {"max_retries": 1, "interval_start": 0.2}  # of connecting
    options |= (
        {"confirm_publish": True, "confirm_timeout": CONFIRM_TIMEOUT_S}
        if is_rabbitmq
        else {"socket_timeout": CONFIRM_TIMEOUT_S}
    )
    return Connection(broker_url, heartbeat=0, connect_timeout=CONNECT_TIMEOUT_S, transport_options=options)
