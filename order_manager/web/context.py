"""What views work with: the application's runtime and its dependencies."""

from flask import Flask, current_app

from order_manager.web.dependencies import Dependencies, dependencies_of
from order_manager.web.sessions import Ended, ended_sessions
from order_manager.wiring import Runtime

_RUNTIME, _DEPENDENCIES = "order_manager.runtime", "order_manager.dependencies"
_ENDED = "order_manager.ended_sessions"


def serve(app: Flask, runtime: Runtime) -> None:
    """Give the application what its views ask for below."""
    app.extensions[_RUNTIME] = runtime
    app.extensions[_DEPENDENCIES] = dependencies_of(runtime)
    app.extensions[_ENDED] = ended_sessions(runtime.settings)


def current_runtime() -> Runtime:
    runtime: Runtime = current_app.extensions[_RUNTIME]
    return runtime


def current_dependencies() -> Dependencies:
    dependencies: Dependencies = current_app.extensions[_DEPENDENCIES]
    return dependencies


def current_ended_sessions() -> Ended:
    ended: Ended = current_app.extensions[_ENDED]
    return ended
