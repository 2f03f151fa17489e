"""A worker's lanes: a consumer step that leases symbols and consumes their queues.

RabbitMQ's single-active-consumer alone would give every queue to the first worker. Leases share them, find
new symbols and move those of a dead worker; who executes is decided by the lane's lock all the same.
"""

from typing import Any

import structlog
from celery import bootsteps

from order_manager import metrics
from order_manager.database.engine import connect
from order_manager.database.leases import WorkerLeases
from order_manager.queues import ANCHOR, symbol_queue
from order_manager.settings import load_settings

log = structlog.get_logger(__name__)

TURN_S = 0.5


class LaneLeases(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs in the worker's main process, and only in a worker that listens to the anchor queue."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._leases: WorkerLeases | None = None
        self._timers: list[Any] = []

    def include_if(self, consumer: Any) -> bool:
        return ANCHOR in consumer.app.amqp.queues.consume_from

    def start(self, consumer: Any) -> None:
        settings = load_settings()
        engine = connect(settings.postgres_url, pool_size=1, session_timeout_s=settings.session_timeout_s)
        self._leases = WorkerLeases(
            engine, bound_symbols=settings.worker_symbols, reconcile=not settings.enable_dry_run
        )
        # Not at once: until the worker's loop runs nobody takes the messages that one queue delivers while
        # the next is declared, and that ends the worker.
        self._timers = [
            consumer.timer.call_after(0, self._turn, (consumer,)),
            consumer.timer.call_repeatedly(TURN_S, self._turn, (consumer,)),
        ]

    def stop(self, consumer: Any) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        if self._leases is None:
            return
        try:
            # The queues first: whoever takes the lease next should not find us still listening.
            for symbol in self._leases.symbols:
                self._cancel(consumer, symbol)
        finally:
            self._leases.release_all()
            self._leases = None

    def _turn(self, consumer: Any) -> None:
        assert self._leases is not None
        turnover = self._leases.turn()
        for symbol in turnover.lost:
            self._cancel(consumer, symbol)
        for symbol in turnover.gained:
            consumer.add_task_queue(symbol_queue(symbol))
            self._wake(consumer, symbol)
        if turnover.lost or turnover.gained:
            log.info("lanes_leased", lost=turnover.lost, gained=turnover.gained, now=self._leases.symbols)
        metrics.WORKER_LEASES.labels(consumer.hostname).set(len(self._leases.symbols))

    @staticmethod
    def _wake(consumer: Any, symbol: str) -> None:
        """Its comparison with the exchange is due. A wake-up that gets lost is sent again by the sweep."""
        try:
            consumer.app.send_task("wake_lane", args=[symbol], queue=symbol_queue(symbol), ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever the broker's library raises
            log.warning("wake_up_lost", symbol=symbol, error=repr(error))

    @staticmethod
    def _cancel(consumer: Any, symbol: str) -> None:
        consumer.app.amqp.queues.deselect([symbol_queue(symbol)])
        connection = consumer.connection  # None after the broker was lost: nothing to cancel then
        if consumer.task_consumer is not None and connection is not None and connection.connected:
            consumer.task_consumer.cancel_by_queue(symbol_queue(symbol))
