"""Celery's configuration: broker, queues, beat schedule. Data only; the values come from the settings."""

from typing import Any

from order_manager.queues import ANCHOR, MAINTENANCE
from order_manager.settings import load_settings
from order_manager.tasks.queues import declared

_settings = load_settings()


def _every(seconds: float, task: str) -> dict[str, Any]:
    """One that nobody took in time is worth nothing: the next is there already. Nobody reads its result."""
    options = {"queue": MAINTENANCE, "expires": seconds, "ignore_result": True}
    return {"task": task, "schedule": seconds, "options": options}


broker_url = _settings.broker_url
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
if _settings.broker_is_rabbitmq:
    # Without confirms a broker that dies takes accepted messages along; a frozen one must not block us.
    broker_transport_options = {"confirm_publish": True, "confirm_timeout": 5.0}
    broker_heartbeat = 5  # a frozen worker's queues move after two to three of these
else:
    broker_transport_options = {
        "visibility_timeout": 300,  # above the longest task
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "priority_steps": [0],
        "socket_keepalive": True,
    }

result_backend = _settings.redis_url
result_expires = 3600  # of what somebody called by name; what we send ourselves asks for none

imports = ("order_manager.tasks.trading", "order_manager.tasks.maintenance")
task_serializer = result_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
enable_utc = True

# A task is a wake-up: delivered again it finds nothing to do, so it is acked when it is done.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_enable_remote_control = True
worker_hijack_root_logger = False
worker_redirect_stdouts = False
task_time_limit = 240

task_default_queue = MAINTENANCE
task_queues = [declared(MAINTENANCE), declared(ANCHOR)]
task_create_missing_queues = True

# Often enough that an order is stale for a tenth of the time-out at most, and never all the time.
_stale_look_s = max(min(60.0, _settings.cancel_stale_order_timeout_s / 10), 1.0)

beat_scheduler = "order_manager.tasks.beat:LeaderScheduler"
beat_schedule = {
    "sweep": _every(_settings.sweep_interval_s, "sweep"),
    "reconcile-orders": _every(_settings.reconciliation_interval_s, "reconcile_orders"),
    "cancel-stale-orders": _every(_stale_look_s, "cancel_stale_orders"),
    "validate-positions": _every(_settings.position_validation_interval_s, "validate_positions"),
    "snapshot-positions": _every(_settings.position_snapshot_interval_s, "snapshot_positions"),
    "refresh-instruments": _every(_settings.instrument_info_refresh_interval_s, "refresh_instruments"),
}
