"""Tasks are counted by how they end, and what turns says so."""

import time
from types import SimpleNamespace

import pytest
from celery import signals
from prometheus_client import REGISTRY

from order_manager.settings import Settings
from order_manager.tasks import measuring


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"order_manager_{name}", labels) or 0.0


class ATask:
    def __init__(self, name: str) -> None:
        self.name = name


def run(task: str, state: str) -> None:
    sender = ATask(task)
    signals.task_prerun.send(sender=sender, task_id="1", task=sender, args=(), kwargs={})
    signals.task_postrun.send(sender=sender, task_id="1", task=sender, state=state)


def test_a_task_is_counted_by_how_it_ends() -> None:
    name = "a task of the tests"
    for state in ("SUCCESS", "FAILURE", "SUCCESS"):
        run(name, state)
    assert value("tasks_total", task=name, state="SUCCESS") == 2
    assert value("tasks_total", task=name, state="FAILURE") == 1
    assert value("task_seconds_count", task=name) == 3
    assert value("task_last_success_timestamp_seconds", task=name) == pytest.approx(time.time(), abs=5)
    assert not measuring._started


def test_a_task_that_failed_has_not_succeeded() -> None:
    run("a task that fails", "FAILURE")
    assert value("task_last_success_timestamp_seconds", task="a task that fails") == 0


def test_a_worker_says_that_its_loop_turns() -> None:
    signals.heartbeat_sent.send(sender=None)
    assert value("heartbeat_timestamp_seconds", process="worker") == pytest.approx(time.time(), abs=5)


def test_failures_begin_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody is told of the first one."""
    monkeypatch.setattr(measuring, "load_settings", Settings)
    queues = SimpleNamespace(consume_from={})
    app = SimpleNamespace(
        tasks=("a task that never ran", "celery.chord"), amqp=SimpleNamespace(queues=queues)
    )
    measuring._serve_worker(sender=SimpleNamespace(app=app, hostname="lane-1@here"))
    begun = [
        REGISTRY.get_sample_value("order_manager_tasks_total", {"task": task, "state": "FAILURE"})
        for task in app.tasks
    ]
    assert begun == [0, None]
