"""The gateway's road: its messages reach the database within a second, and a bad one stops nothing."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kombu
import pytest

from order_manager.queues import ORDER_UPDATES, UPDATE_QUEUE_ARGUMENTS
from tests.scenarios.by_hand import FROZEN, PRICES, dip, rest_one_each
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.judge import wait_for_agreement
from tests.servers import broker_connection


@contextmanager
def gateway() -> Iterator[tuple[int, list[str]]]:
    """Takes every subscription; its port, and the channels that were asked for."""
    channels: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            channels.append(body["channel_type"])
            self.send_response(201 if channels.count(body["channel_type"]) == 1 else 409)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, channels
    finally:
        server.shutdown()
        server.server_close()


def tell(house: House, *bodies: Mapping[str, Any] | bytes) -> None:
    """As the gateway does."""
    with broker_connection(house.env) as connection:
        channel = connection.default_channel
        queue = kombu.Queue(
            ORDER_UPDATES,
            exchange=kombu.Exchange(""),
            routing_key=ORDER_UPDATES,
            durable=True,
            queue_arguments=UPDATE_QUEUE_ARGUMENTS,
        )
        queue(channel).declare()
        producer = kombu.Producer(channel, auto_declare=False)
        for body in bodies:
            producer.publish(
                body if isinstance(body, bytes) else json.dumps(body).encode(),
                routing_key=ORDER_UPDATES,
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=2,
            )


def envelope(row: Mapping[str, Any], *, event_type: str = "order") -> dict[str, Any]:
    return {
        "event_id": "an-event",
        "event_type": event_type,
        "topic": "order",
        "timestamp": "2026-01-01T00:00:00Z",
        "received_at": "2026-01-01T00:00:00Z",
        "payload": row,
        "trace_id": "a-trace",
    }


@pytest.mark.slow
def test_what_the_gateway_tells_is_applied_as_it_comes(house_on: HouseMaker) -> None:
    with (
        gateway() as (port, channels),
        house_on(
            only=("consumer", "lane", "maintenance"),
            exchange_options=FROZEN,
            WS_GATEWAY_HOST="127.0.0.1",
            WS_GATEWAY_PORT=str(port),
        ) as house,
    ):
        for symbol, price in PRICES.items():
            house.paper.set_price(symbol, price)
        ours = rest_one_each(house, "a")
        wait_until(lambda: set(channels) == {"order", "position", "balance"}, what="the subscriptions")
        wait_until(
            lambda: (
                house.count("lanes WHERE reconcile_requested_at IS NOT NULL OR reconciled_orders IS NULL")
                == 0
            ),
            what="the comparison that follows them",
        )
        trader = house.paper.trader()

        def row(symbol: str) -> dict[str, Any]:
            return {**trader.order(ours[symbol], symbol=symbol), "category": "linear"}

        trader.cancel(ours["SOLUSDT"], symbol="SOLUSDT")
        dip(house, "BTCUSDT")
        began = time.monotonic()
        tell(
            house,
            envelope({**row("ETHUSDT"), "orderStatus": "Bewildered"}),
            envelope({"nonsense": 1}),
            b"not json",
            envelope(row("ETHUSDT"), event_type="dance"),
            envelope(row("SOLUSDT")),
            envelope(row("BTCUSDT")),
        )
        ended = "orders WHERE status IN ('filled', 'cancelled')"
        wait_until(lambda: house.count(ended) == 2, what="what was told", timeout_s=10, pause_s=0.01)
        print(f"told within {time.monotonic() - began:.3f} s")
        codes = [row["code"] for row in house.rows("SELECT code FROM dead_letters ORDER BY id")]
        assert sorted(codes) == ["invalid_json", "invalid_value", "unreadable_update", "unreadable_update"]
        house.reconcile()  # the gateway tells of no fills
        wait_for_agreement(house)
