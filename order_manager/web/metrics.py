"""/metrics of the web process: what it counted, and the state of the house as the database has it."""

import threading
import time
from collections.abc import Iterable
from typing import cast

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from order_manager import metrics
from order_manager.database import state_gauges as gauges
from order_manager.database.state_gauges import StateGauge
from order_manager.database.state_metrics import Reading, read_state
from order_manager.metrics_server import registry_of_tree, tell_build
from order_manager.web.context import current_dependencies, current_runtime
from order_manager.web.dependencies import Dependencies, State
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)

MAX_AGE_S = 5.0  # the state is read at most so often, however many ask
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
EXPOSITION = "order_manager.metrics"

blueprint = Blueprint("metrics", __name__)


class Exposition:
    """All that this process has to tell."""

    def __init__(self, runtime: Runtime, dependencies: Dependencies) -> None:
        state = CollectorRegistry()
        state.register(StateCollector(runtime, dependencies))
        self._registries = (registry_of_tree(), state)

    def text(self) -> bytes:
        return b"".join(generate_latest(registry) for registry in self._registries)


class StateCollector(Collector):
    """The state gauges, at most a few seconds old."""

    def __init__(self, runtime: Runtime, dependencies: Dependencies) -> None:
        self._runtime = runtime
        self._dependencies = dependencies
        self._lock = threading.Lock()
        self._readings: list[Reading] = []
        self._read_at = float("-inf")
        self._is_up = True

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() - self._read_at > MAX_AGE_S:
                self._readings = self._read()
                self._read_at = time.monotonic()
            readings = self._readings
        families: dict[StateGauge, GaugeMetricFamily] = {}
        for one in readings:
            gauge = one.gauge
            family = families.setdefault(
                gauge, GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels)
            )
            family.add_metric(one.labels, one.value)
        return families.values()

    def _read(self) -> list[Reading]:
        settings = self._runtime.settings
        readings = [
            Reading(gauges.DRY_RUN, (), settings.enable_dry_run),
            Reading(gauges.EXPOSURE_LIMIT, (), float(settings.max_exposure)),
            Reading(gauges.LOSS_LIMIT, (), float(settings.unrealized_loss_warning_threshold) / 100),
        ]
        for name, state in self._dependencies.states().items():
            if state is not State.NOT_CONFIGURED:
                readings.append(Reading(gauges.DEPENDENCY_UP, (name,), state is State.AVAILABLE))
        began, is_up = time.perf_counter(), True
        try:
            found = read_state(self._runtime.engine, is_dry_run=settings.enable_dry_run)
        except SQLAlchemyError as error:
            is_up = False
            if self._is_up:
                log.warning("state_not_read", error=str(error).partition("\n")[0])
        else:
            readings += found
            values = (gauges.POSITION_VALUE, gauges.ORDER_VALUE)
            exposure = sum(one.value for one in found if one.gauge in values)
            readings.append(Reading(gauges.EXPOSURE, (), exposure))
            readings.append(Reading(gauges.STATE_SECONDS, (), time.perf_counter() - began))
        self._is_up = is_up
        readings.append(Reading(gauges.STATE_UP, (), is_up))
        return readings


@blueprint.record
def _begin(setup: BlueprintSetupState) -> None:
    tell_build("web")
    with cast(Flask, setup.app).app_context():
        exposition = Exposition(current_runtime(), current_dependencies())
    setup.app.extensions[EXPOSITION] = exposition


@blueprint.get("/metrics")
def show_metrics() -> Response:
    exposition: Exposition = current_app.extensions[EXPOSITION]
    return Response(exposition.text(), content_type=CONTENT_TYPE_LATEST)


@blueprint.after_app_request
def count_request(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else ""
    method = request.method if request.method in METHODS else "other"
    metrics.HTTP_REQUESTS.labels(method, route, str(response.status_code)).inc()
    started_at = g.get("started_at")
    if started_at is not None:
        metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - started_at)
    return response
