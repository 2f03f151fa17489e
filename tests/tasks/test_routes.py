"""Where wake-ups and errands go, on each real broker: seen in the broker, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import kombu

from order_manager.tasks.queues import declared
from tests.servers import broker_connection

ROOT = Path(__file__).parents[2]
SEND = """
from order_manager.consumer import send_execute, send_publish_rejections
from order_manager.tasks.sending import send_cancel_stale, send_open_symbol, wake
from tests.builders import a_signal
send_execute(a_signal(signal_id="s-1", trace_id="t-1"))
wake("BTCUSDT")
send_cancel_stale("BTCUSDT")
send_open_symbol("ETHUSDT")
send_publish_rejections()
"""


def waiting(connection: kombu.Connection, name: str) -> list[tuple[str, list[str], str | None]]:
    """(task, arguments, trace) of everything in a queue."""
    queue, found = declared(name)(connection.default_channel), []
    queue.declare()  # with the arguments that it has, or RabbitMQ refuses
    while (message := queue.get(no_ack=True)) is not None:
        [args, _, _] = json.loads(message.body)
        found.append((message.headers["task"], args, message.headers.get("trace_id")))
    return found


def test_what_is_one_symbol_s_goes_to_its_queue_in_order_and_the_rest_to_maintenance(
    broker: Mapping[str, str],
):
    env = {**os.environ, **broker, "POSTGRES_HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SEND], env=env, cwd=ROOT, check=True, timeout=60)
    with broker_connection(broker) as connection:
        assert waiting(connection, "orders.BTCUSDT") == [
            ("execute_signal", ["s-1", "BTCUSDT"], "t-1"),
            ("wake_lane", ["BTCUSDT"], None),
            ("cancel_stale_symbol", ["BTCUSDT"], None),
        ]
        assert waiting(connection, "maintenance") == [
            ("open_symbol", ["ETHUSDT"], None),
            ("publish_rejections", [], None),
        ]
