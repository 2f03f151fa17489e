"""The worker's own step: leases end with it, whatever the broker does."""

from types import SimpleNamespace
from typing import Any

from order_manager.tasks.lane_leases import LaneLeases


class Leases:
    symbols = ("BTCUSDT",)

    def __init__(self) -> None:
        self.released = False

    def release_all(self) -> tuple[str, ...]:
        self.released = True
        return self.symbols


def stopped(connection: Any, task_consumer: Any) -> Leases:
    deselected: list[str] = []
    queues = SimpleNamespace(deselect=deselected.extend)
    consumer = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)),
        connection=connection,
        task_consumer=task_consumer,
    )
    step, leases = LaneLeases.__new__(LaneLeases), Leases()
    step._leases, step._timers = leases, []
    step.stop(consumer)
    assert deselected == ["orders.BTCUSDT"]
    return leases


def test_leases_are_let_go_after_the_broker_was_lost() -> None:
    assert stopped(None, None).released
    assert stopped(None, object()).released
    assert stopped(SimpleNamespace(connected=False), object()).released


def test_a_queue_is_cancelled_while_the_broker_is_there() -> None:
    cancelled: list[str] = []
    assert stopped(
        SimpleNamespace(connected=True), SimpleNamespace(cancel_by_queue=cancelled.append)
    ).released
    assert cancelled == ["orders.BTCUSDT"]
