"""Turns trading signals into Bybit orders, once and in order."""

from typing import Any


def __getattr__(name: str) -> Any:
    # `celery -A order_manager` looks for `app`; everything else imports the package without Celery.
    if name in {"app", "celery"}:
        from order_manager.tasks.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
