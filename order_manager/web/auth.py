"""The API key: asked for everywhere but at the open paths, so that a new path is closed by default."""

import hmac
from http import HTTPStatus

from flask import Flask, request

from order_manager.web.context import current_runtime
from order_manager.web.errors import ApiError

HEADER = "X-API-Key"
PROBES = frozenset({"/health", "/live", "/ready"})
OPEN_PATHS = PROBES | {"/metrics"}


def install(app: Flask) -> None:
    app.before_request(require_key)


def require_key() -> None:
    """Raises ApiError 401 before anything is looked up, for unknown paths too."""
    if request.path in OPEN_PATHS:
        return
    given = request.headers.get(HEADER, "").encode("latin-1", "replace")  # the bytes as they were sent
    expected = current_runtime().settings.api_key.get_secret_value().encode()
    if given and hmac.compare_digest(given, expected):
        return
    problem = "wrong" if given else "missing"
    raise ApiError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        f"the API key is {problem}: send it in the header {HEADER}",
        details={"header": HEADER, "problem": problem},
        headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'},
    )
