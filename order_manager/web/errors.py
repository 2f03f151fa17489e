"""Errors as answers: every error, whatever its status, leaves as {error, code, details}."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, jsonify, request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from order_manager.errors import NotConfirmed

log = structlog.get_logger(__name__)

MAX_SHOWN = 200  # characters of what somebody sent


class ApiError(Exception):
    """An answer other than the one asked for; `code` is for machines, `details` for whoever mends it."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def not_found(kind: str, name: str, value: str) -> ApiError:
    """The answer where nothing is known by that name."""
    message = f"there is no {kind.replace('_', ' ')} with this {name}"
    return ApiError(HTTPStatus.NOT_FOUND, f"{kind}_not_found", message, details={name: shown(value)})


def shown(value: str) -> str:
    """What somebody sent, short enough to be sent back."""
    return value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…"


def install(app: Flask) -> None:
    app.register_error_handler(ApiError, _as_asked)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(DBAPIError, _from_database)
    app.register_error_handler(PoolTimeout, _from_database)
    app.register_error_handler(NotConfirmed, _from_broker)
    app.register_error_handler(Exception, _unexpected)


def _answer(status: int, code: str, message: str, details: Mapping[str, Any]) -> Response:
    response = jsonify(error=message, code=code, details=details)
    response.status_code = status
    return response


def _as_asked(error: ApiError) -> Response:
    response = _answer(error.status, error.code, error.message, error.details)
    response.headers.update(error.headers)
    return response


def _from_http(error: HTTPException) -> Response:
    """Flask's own: no such path, wrong method, too large, and so on."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    code = re.sub(r"[^a-z]+", "_", error.name.lower())
    details = {"method": request.method, "path": shown(request.path)}
    response = _answer(status, code, error.description or error.name, details)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _from_database(error: Exception) -> Response:
    is_away = isinstance(error, OperationalError | InterfaceError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
    if not is_away:
        return _unexpected(error)
    # The first line says what; the rest repeats the statement and its parameters.
    log.warning("database_unavailable", error=str(error).partition("\n")[0])
    message = "the database does not answer; ask again in a moment"
    response = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", message, {})
    response.headers["Retry-After"] = "1"
    return response


def _from_broker(error: NotConfirmed) -> Response:
    log.warning("broker_unavailable", error=str(error))
    message = "the broker did not confirm; ask again in a moment"
    response = _answer(HTTPStatus.SERVICE_UNAVAILABLE, "broker_unavailable", message, {})
    response.headers["Retry-After"] = "1"
    return response


def _unexpected(error: Exception) -> Response:
    log.error("http_request_failed", method=request.method, path=shown(request.path), exc_info=error)
    message = "something went wrong here; the log has it under the request id of this answer's X-Request-ID"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message, {})
