"""The Flask application: what each request passes through, and the resources."""

from importlib.metadata import version

from flask_openapi3 import Info, OpenAPI

from order_manager import wiring
from order_manager.logs import configure_logs
from order_manager.web import (
    auth,
    console,
    dead_letters,
    documents,
    errors,
    events,
    health,
    lanes,
    metrics,
    orders,
    overview,
    positions,
    signals,
    snapshots,
    sync,
    tracing,
    trading_state,
)
from order_manager.web.answers import Problem
from order_manager.web.context import serve
from order_manager.web.resources import SECURITY
from order_manager.wiring import Runtime

MAX_BODY_BYTES = 64 * 1024
RESOURCES = (
    overview.blueprint,
    orders.blueprint,
    signals.blueprint,
    events.blueprint,
    positions.blueprint,
    snapshots.blueprint,
    lanes.blueprint,
    trading_state.blueprint,
    sync.blueprint,
    dead_letters.blueprint,
    health.blueprint,
)


def create_app(runtime: Runtime | None = None) -> OpenAPI:
    """The application on `runtime`; without one it is a process of its own: settings are read, logs begin.

    Nothing is connected here, so gunicorn may fork after it.
    """
    if runtime is None:
        runtime = wiring.runtime()
        configure_logs(runtime.settings, process="web")
    app = OpenAPI(
        "order_manager",
        info=Info(title="order manager", version=version("order-manager"), description=documents.ABOUT),
        security_schemes={SECURITY: {"type": "apiKey", "in": "header", "name": auth.HEADER}},
        validation_error_status=400,
        validation_error_model=Problem,
        doc_ui=False,  # ours is web/documents.py
        static_folder=None,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the provider that Flask comes with
    app.url_map.merge_slashes = False  # a signal_id may hold two
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    serve(app, runtime)
    errors.install(app)
    tracing.install(app)  # before auth: a refused request is logged too
    auth.install(app)
    app.register_blueprint(console.blueprint)
    app.register_blueprint(documents.blueprint)
    app.register_blueprint(metrics.blueprint)
    for resource in RESOURCES:
        app.register_api(resource)
    return app
