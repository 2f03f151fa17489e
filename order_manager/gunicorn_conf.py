"""gunicorn: `gunicorn -c python:order_manager.gunicorn_conf 'order_manager.web:create_app()'`."""

from pathlib import Path
from typing import Any

from order_manager import metrics
from order_manager.heartbeats import begin_heartbeats, end_heartbeats
from order_manager.metrics_server import forget_predecessors
from order_manager.settings import load_settings

threads = 8
workers = 1  # more need PROMETHEUS_MULTIPROC_DIR, else each tells of itself alone


def on_starting(server: Any) -> None:
    """In the parent, before it has children."""
    if metrics.FOLDER:
        forget_predecessors(Path(metrics.FOLDER))


def post_worker_init(worker: Any) -> None:
    """In the child that answers."""
    begin_heartbeats(load_settings(), name="web", role="web")


def worker_exit(server: Any, worker: Any) -> None:
    end_heartbeats()
