"""How Celery declares our queues: a symbol's queue always with the same arguments, whoever names it first.

A stock `add_consumer` would declare it without single-active-consumer, which RabbitMQ answers with 406 and
which ends the worker.
"""

from typing import Any

from celery.app.amqp import AMQP, Queues
from kombu import Exchange, Queue

from order_manager.queues import SYMBOL_QUEUE_ARGUMENTS, is_symbol_queue

EXCHANGE = Exchange("order-manager.tasks", type="direct", durable=True)


def declared(name: str) -> Queue:
    arguments = dict(SYMBOL_QUEUE_ARGUMENTS) if is_symbol_queue(name) else None
    return Queue(name, exchange=EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


class SymbolQueues(Queues):  # type: ignore[misc]
    """Celery's table of queues, with ours in it."""

    def new_missing(self, name: str) -> Queue:
        return declared(name)

    def add_compat(self, name: str, **options: Any) -> Queue:
        return self._add(declared(name))


class SymbolAMQP(AMQP):  # type: ignore[misc]
    queues_cls = SymbolQueues
