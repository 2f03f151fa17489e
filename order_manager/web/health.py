"""Probes: is the process alive, is the service healthy, can it trade. No key needed."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint

from order_manager.domain.events import iso
from order_manager.web.context import current_dependencies, current_runtime
from order_manager.web.dependencies import State

blueprint = Blueprint("health", __name__)


@blueprint.get("/live")
def live() -> dict[str, Any]:
    """The process answers; nothing else is asked."""
    return {"status": "alive", "service": current_runtime().settings.service_name, "timestamp": _now()}


@blueprint.get("/health")
def health() -> tuple[dict[str, Any], HTTPStatus]:
    """503 without the database or the broker."""
    dependencies = current_dependencies()
    states = dependencies.states("database", dependencies.broker)
    is_healthy = all(state is State.AVAILABLE for state in states.values())
    body = {
        "status": "healthy" if is_healthy else "unhealthy",
        "service": current_runtime().settings.service_name,
        "database_connected": states["database"] is State.AVAILABLE,
        "queue_connected": states[dependencies.broker] is State.AVAILABLE,
        "timestamp": _now(),
    }
    return body, _status(is_healthy)


@blueprint.get("/ready")
def ready() -> tuple[dict[str, Any], HTTPStatus]:
    """503 when something that trading needs is configured and does not answer."""
    dependencies = current_dependencies()
    states = dependencies.states()
    is_ready = dependencies.are_enough(states)
    body = {
        "status": "ready" if is_ready else "not_ready",
        "timestamp": _now(),
        "dependencies": {name: state.value for name, state in states.items()},
    }
    return body, _status(is_ready)


def _status(is_well: bool) -> HTTPStatus:
    return HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE


def _now() -> str | None:
    return iso(datetime.now(UTC))
