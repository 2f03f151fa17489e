"""What is told of workers and beat: that they live and turn, their tasks, and /metrics on a port."""

import time
from typing import Any

import structlog
from celery import signals

from order_manager import metrics
from order_manager.heartbeats import begin_heartbeats, end_heartbeats
from order_manager.metrics_server import serve_metrics
from order_manager.queues import MAINTENANCE
from order_manager.settings import load_settings

log = structlog.get_logger(__name__)

_started: dict[str, float] = {}  # task id -> when; a child runs one at a time


@signals.worker_init.connect
def _serve_worker(sender: Any, **_: Any) -> None:
    """Before the pool has children."""
    settings = load_settings()
    metrics.begin_tasks(name for name in sender.app.tasks if not name.startswith("celery."))
    if settings.metrics_port and not metrics.FOLDER:
        log.warning("metrics_of_parent_only", missing="PROMETHEUS_MULTIPROC_DIR")  # the child does the work
    serve_metrics(settings, process="worker")
    role = "maintenance" if MAINTENANCE in sender.app.amqp.queues.consume_from else "worker"
    begin_heartbeats(settings, name=sender.hostname.partition("@")[0], role=role)


@signals.worker_shutdown.connect
def _worker_ended(**_: Any) -> None:
    end_heartbeats()


@signals.beat_init.connect
def _serve_beat(**_: Any) -> None:
    settings = load_settings()
    serve_metrics(settings, process="beat")
    begin_heartbeats(settings, name="beat", role="beat")


@signals.heartbeat_sent.connect
def _turned(**_: Any) -> None:
    """Every two seconds while the worker's main loop runs and has the broker."""
    metrics.HEARTBEAT.labels("worker").set_to_current_time()


@signals.task_prerun.connect
def _begun(task_id: str, **_: Any) -> None:
    _started[task_id] = time.perf_counter()


@signals.task_postrun.connect
def _ended(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    metrics.TASKS.labels(task.name, state or "").inc()
    if state == "SUCCESS":
        metrics.TASK_SUCCEEDED.labels(task.name).set_to_current_time()
    began = _started.pop(task_id, None)
    if began is not None:
        metrics.TASK_SECONDS.labels(task.name).observe(time.perf_counter() - began)
