"""The floor's processes: the bare path on the same broker, with the same delivery promises and no rules.

kombu consume, one INSERT, a no-op Celery task; in its body two reads, a write, one HTTP POST, a write.
`python -m benchmarks.floor` is its consumer, `celery -A benchmarks.floor worker -Q floor.1` a worker.
"""

import json
import os
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any

import requests
from celery import Celery
from kombu import Connection, Consumer, Exchange, Message, Queue
from kombu.mixins import ConsumerMixin
from sqlalchemy import Connection as Session
from sqlalchemy import create_engine, text

SIGNALS = "floor.signals"
PREFETCH = 20
BROKER_URL = os.environ["BENCH_BROKER_URL"]
WORKERS = int(os.environ["BENCH_WORKERS"])

RECEIVE = text("INSERT INTO floor_signals (signal_id, symbol, body) VALUES (:signal_id, :symbol, :body)")
READ_SIGNAL = text("SELECT * FROM floor_signals WHERE signal_id = :signal_id")
READ_ACCOUNT = text("SELECT * FROM floor_account WHERE id = 1")
PLAN = text("INSERT INTO floor_orders (id, signal_id) VALUES (:id, :signal_id)")
ACCEPT = text("UPDATE floor_orders SET exchange_order_id = :number, accepted_at = :now WHERE id = :id")

app = Celery("floor", broker=BROKER_URL)
# Everything about delivery as in celeryconfig.py.
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    task_create_missing_queues=True,
    broker_connection_retry_on_startup=True,
)
if BROKER_URL.startswith("amqp"):
    app.conf.broker_transport_options = {"confirm_publish": True, "confirm_timeout": 5.0}
    app.conf.broker_heartbeat = 10
else:
    app.conf.broker_transport_options = {
        "visibility_timeout": 300,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "priority_steps": [0],
        "socket_keepalive": True,
    }


@cache
def session() -> Session:
    """This process's one connection, opened after the fork."""
    return create_engine(os.environ["BENCH_POSTGRES_URL"], isolation_level="AUTOCOMMIT").connect()


@cache
def http() -> requests.Session:
    return requests.Session()


def queue_name(number: int) -> str:
    return f"floor.{number}"


@app.task(name="floor_execute")  # type: ignore[untyped-decorator]
def floor_execute(signal_id: str) -> None:
    row = session().execute(READ_SIGNAL, {"signal_id": signal_id}).mappings().one()
    session().execute(READ_ACCOUNT).mappings().one()
    order_id = str(uuid.uuid4())
    session().execute(PLAN, {"id": order_id, "signal_id": signal_id})
    answer = (
        http()
        .post(
            os.environ["BENCH_EXCHANGE_URL"],
            data=json.dumps({"symbol": row["symbol"], "orderLinkId": order_id}),
            headers={"Content-Type": "application/json"},
            timeout=10,
        )
        .json()
    )
    now = datetime.now(UTC)
    session().execute(ACCEPT, {"id": order_id, "number": answer["result"]["orderId"], "now": now})


class FloorConsumer(ConsumerMixin):  # type: ignore[misc]
    """Stores, wakes the worker that has the symbol, acks."""

    def __init__(self) -> None:
        self.connection = Connection(BROKER_URL, heartbeat=10)
        self._numbers: dict[str, int] = {}

    def get_consumers(self, consumer_class: type[Consumer], channel: Any) -> list[Consumer]:
        queue = Queue(SIGNALS, exchange=Exchange(""), routing_key=SIGNALS, durable=True)
        consumer = consumer_class([queue], on_message=self.on_message)
        consumer.qos(prefetch_count=PREFETCH)
        return [consumer]

    def on_message(self, message: Message) -> None:
        raw = message.body if isinstance(message.body, str) else bytes(message.body).decode()
        signal = json.loads(raw)
        signal_id, symbol = signal["signal_id"], signal["asset"]
        session().execute(RECEIVE, {"signal_id": signal_id, "symbol": symbol, "body": raw})
        number = self._numbers.setdefault(symbol, len(self._numbers) % WORKERS + 1)
        app.send_task("floor_execute", args=[signal_id], queue=queue_name(number), ignore_result=True)
        message.ack()


if __name__ == "__main__":
    FloorConsumer().run()
