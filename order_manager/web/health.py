"""Probes: is the process alive, is the service healthy, can it trade. No key needed."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

from flask_openapi3 import APIBlueprint, Tag

from order_manager.domain.events import iso
from order_manager.web.answers import Answer, Moment, Problem
from order_manager.web.context import current_dependencies, current_runtime
from order_manager.web.dependencies import State
from order_manager.web.resources import operation_id

# No Resource: a probe answers whatever a prober's query says.
blueprint = APIBlueprint(
    "probes",
    __name__,
    abp_tags=[Tag(name="probes", description="For whoever watches the process; no key needed")],
    abp_responses={500: Problem},
    operation_id_callback=operation_id,
)


class Alive(Answer):
    status: Literal["alive"]
    service: str
    timestamp: Moment


class Health(Answer):
    status: Literal["healthy", "unhealthy"]
    service: str
    database_connected: bool
    queue_connected: bool
    timestamp: Moment


class DependencyStates(Answer):
    database: State
    rabbitmq: State
    redis: State
    bybit_api: State
    ws_gateway: State


class Ready(Answer):
    status: Literal["ready", "not_ready"]
    timestamp: Moment
    dependencies: DependencyStates


@blueprint.get("/live", responses={200: Alive})
def live() -> dict[str, Any]:
    """The process answers; nothing else is asked."""
    return {"status": "alive", "service": current_runtime().settings.service_name, "timestamp": _now()}


@blueprint.get("/health", responses={200: Health, 503: Health})
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


@blueprint.get("/ready", responses={200: Ready, 503: Ready})
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
