"""The Flask application: what each request passes through, and the resources."""

from flask import Flask

from order_manager import wiring
from order_manager.logs import configure_logs
from order_manager.web import auth, errors, health, orders, positions, sync, tracing
from order_manager.web.context import serve
from order_manager.wiring import Runtime

MAX_BODY_BYTES = 64 * 1024
RESOURCES = (health.blueprint, orders.blueprint, positions.blueprint, sync.blueprint)


def create_app(runtime: Runtime | None = None) -> Flask:
    """The application on `runtime`; without one it is a process of its own: settings are read, logs begin.

    Nothing is connected here, so gunicorn may fork after it.
    """
    if runtime is None:
        runtime = wiring.runtime()
        configure_logs(runtime.settings, process="web")
    app = Flask("order_manager", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the provider that Flask comes with
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    serve(app, runtime)
    errors.install(app)
    tracing.install(app)  # before auth: a refused request is logged too
    auth.install(app)
    for blueprint in RESOURCES:
        app.register_blueprint(blueprint)
    return app
