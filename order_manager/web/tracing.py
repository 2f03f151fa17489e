"""A name for each request, in every log line and in the answer, and one line for its outcome."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

from order_manager.web.auth import PROBES
from order_manager.web.context import current_runtime
from order_manager.web.errors import shown

log = structlog.get_logger(__name__)

REQUEST_ID, TRACE_ID = "X-Request-ID", "X-Trace-ID"
QUIET = PROBES | {"/metrics"}  # asked by machines, every few seconds
ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


def install(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_forget)


def _begin() -> None:
    g.started_at = time.perf_counter()
    g.request_id = _given(REQUEST_ID) or uuid.uuid4().hex
    # Service and process too: what the main thread bound is not seen in gunicorn's threads.
    bound = {
        "service": current_runtime().settings.service_name,
        "process": "web",
        "request_id": g.request_id,
    }
    if trace_id := _given(TRACE_ID):
        bound["trace_id"] = trace_id
    g.bound = structlog.contextvars.bind_contextvars(**bound)


def _given(header: str) -> str | None:
    value = request.headers.get(header, "")
    return value if ACCEPTABLE_ID.fullmatch(value) else None


def _finish(response: Response) -> Response:
    response.headers[REQUEST_ID] = g.request_id
    response.headers.setdefault(
        "Cache-Control", "no-store"
    )  # orders and positions are true for a moment only
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A console asks every other second; what it is refused is worth a line all the same.
    is_quiet = request.path in QUIET or (g.get("is_console") and response.status_code < 400)
    say = log.debug if is_quiet else log.info
    say(
        "http_request_served",
        method=request.method,
        path=shown(request.path),
        status=response.status_code,
        duration_ms=round((time.perf_counter() - g.started_at) * 1000, 1),
    )
    return response


def _forget(_: BaseException | None) -> None:
    structlog.contextvars.reset_contextvars(**g.pop("bound", {}))
