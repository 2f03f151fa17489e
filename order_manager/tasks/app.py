"""The Celery app. Configuration is data and lives in celeryconfig.py."""

from typing import Any

import structlog
from celery import Celery, signals

from order_manager.errors import Retryable
from order_manager.logs import configure_logs
from order_manager.queues import MAINTENANCE
from order_manager.settings import load_settings
from order_manager.tasks import measuring as measuring  # connects its signals
from order_manager.tasks.ending import EndAtLast
from order_manager.tasks.lane_leases import LaneLeases

CATCH_UP = ("discover_symbols", "validate_positions", "refresh_instruments")
CATCH_UP_WITHIN_S = 60.0

app = Celery("order_manager", amqp="order_manager.tasks.queues:SymbolAMQP")
app.config_from_object("celeryconfig")
app.Task.throws = (Retryable,)  # an exchange that is away is no error of the task's, and wants no traceback
app.steps["consumer"].add(LaneLeases)
app.steps["worker"].add(EndAtLast)


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    """Ours instead of Celery's."""
    configure_logs(load_settings(), process="worker")


@signals.worker_ready.connect
def _catch_up(sender: Any, **_: Any) -> None:
    """A maintenance worker that starts does not wait for the schedule: much may have happened meanwhile."""
    if MAINTENANCE not in sender.app.amqp.queues.consume_from:
        return
    for errand in CATCH_UP:
        try:
            sender.app.send_task(errand, queue=MAINTENANCE, expires=CATCH_UP_WITHIN_S, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever the broker's library raises: the schedule comes
            structlog.get_logger(__name__).warning("errand_not_sent", task=errand, error=repr(error))


@signals.task_failure.connect
def _tell_put_off(sender: Any, exception: BaseException, **_: Any) -> None:
    """The schedule, or the sweep, sends it again."""
    if isinstance(exception, Retryable):
        structlog.get_logger(__name__).warning("task_put_off", task=sender.name, error=exception.message)


@signals.task_prerun.connect
def _bind_task(task: Any, task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@signals.task_postrun.connect
def _unbind_task(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("task", "task_id")
