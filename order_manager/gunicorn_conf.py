"""gunicorn: `gunicorn -c python:order_manager.gunicorn_conf 'order_manager.web:create_app()'`."""

from pathlib import Path
from typing import Any

from order_manager import metrics
from order_manager.metrics_server import forget_predecessors

threads = 8
workers = 1  # more need PROMETHEUS_MULTIPROC_DIR, else each tells of itself alone


def on_starting(server: Any) -> None:
    """In the parent, before it has children."""
    if metrics.FOLDER:
        forget_predecessors(Path(metrics.FOLDER))
