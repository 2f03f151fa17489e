"""The Celery app. Configuration is data and lives in celeryconfig.py."""

from typing import Any

import structlog
from celery import Celery, signals

from order_manager.logs import configure_logs
from order_manager.settings import load_settings
from order_manager.tasks.lane_leases import LaneLeases

app = Celery("order_manager", amqp="order_manager.tasks.queues:SymbolAMQP")
app.config_from_object("celeryconfig")
app.steps["consumer"].add(LaneLeases)


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    """Ours instead of Celery's."""
    configure_logs(load_settings(), process="worker")


@signals.task_prerun.connect
def _bind_task(task: Any, task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect
def _unbind_task(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("task", "task_id")
