"""API keys: asked for everywhere but at the open paths, so that a new path is closed by default.

A key either operates or only reads. There may be several of each kind, so that they can be changed one after
the other. The console's cookie stands for a key where something is only read.
"""

import hashlib
import hmac
from collections.abc import Iterable
from http import HTTPStatus

from flask import Flask, g, request

from order_manager.settings import Settings
from order_manager.web import sessions
from order_manager.web.context import current_ended_sessions, current_runtime
from order_manager.web.errors import ApiError

HEADER = "X-API-Key"
PROBES = frozenset({"/health", "/live", "/ready"})
DOCUMENTS = frozenset({"/openapi.json", "/docs"})  # they say nothing that the source does not say
OPEN_PATHS = PROBES | DOCUMENTS | {"/metrics", "/"}  # "/" is the console, or the form to sign in to it
OPEN_FOLDERS = ("/docs/", "/console/")
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: Flask) -> None:
    app.before_request(require_key)


def require_key() -> None:
    """Raises ApiError 401, or 403 for a reading key, before anything is looked up, for unknown paths too."""
    if request.path in OPEN_PATHS or request.path.startswith(OPEN_FOLDERS):
        return
    settings = current_runtime().settings
    given = request.headers.get(HEADER, "").encode("latin-1", "replace")  # the bytes as they were sent
    may_sign_in = not given and request.method in sessions.READING
    if may_sign_in and sessions.is_signed_in(settings, current_ended_sessions()):
        g.is_console = True
        return
    may_operate, may_read = permissions(given, settings)
    if may_operate or (may_read and request.method in READING):
        return
    if may_read:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "read_only_key",
            "this API key may only read: use one that may operate",
            details={"header": HEADER, "method": request.method},
        )
    problem = "wrong" if given else "missing"
    raise ApiError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        f"the API key is {problem}: send it in the header {HEADER}",
        details={"header": HEADER, "problem": problem},
        headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'},
    )


def permissions(given: bytes, settings: Settings) -> tuple[bool, bool]:
    """(may operate, may read); takes as long whichever key it is, and whether it is one at all."""
    may_operate = _is_one_of(given, settings.operating_keys)
    may_read = _is_one_of(given, settings.reading_keys)
    return may_operate, may_operate or may_read


def _is_one_of(given: bytes, keys: Iterable[str]) -> bool:
    # Digests are of equal length, else the time would tell a key's; and all are compared, found or not.
    digest = hashlib.sha256(given).digest()
    found = [hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest()) for key in keys]
    return any(found)
