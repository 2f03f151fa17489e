"""A resource: a blueprint whose views say by annotations what they read; the OpenAPI document is made of it.

`path`, `query` and `body` are what a view may ask for. A parameter that no view asked for is refused.
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel
from werkzeug.datastructures import MultiDict

from order_manager.web.answers import Problem
from order_manager.web.errors import ApiError
from order_manager.web.parameters import Parameters, problem, problems_in, refused

SECURITY = "ApiKey"
Responses = dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]

CHANGING: Responses = {403: Problem, 413: Problem}  # beside what any resource may answer


class NoParameters(Parameters):
    """For a view that takes none."""


class Resource(APIBlueprint):
    def __init__(self, name: str, *, prefix: str, about: str) -> None:
        super().__init__(
            name,
            __name__,
            url_prefix=prefix,
            abp_tags=[Tag(name=name, description=about)],
            abp_security=[{SECURITY: []}],
            abp_responses={400: Problem, 401: Problem, 500: Problem, 503: Problem},
            operation_id_callback=operation_id,
        )

    @staticmethod
    def create_view_func(
        func: Callable[..., Any],
        header: Any,
        cookie: Any,
        path: type[BaseModel] | None,
        query: type[Parameters] | None,
        form: Any,
        body: type[Parameters] | None,
        raw: Any,
        view_class: Any = None,
        view_kwargs: Any = None,
        responses: Any = None,
        validate_response: bool | None = None,
    ) -> Callable[..., Any]:
        """The library's own takes the first of a parameter that is given twice, and no body for a bad one."""

        @wraps(func)
        def view(**path_values: str) -> Any:
            arguments = read_request(query, body)
            if path is not None:
                # As it came: what can't be a name of anything is not found, which the view says better.
                arguments["path"] = path.model_construct(None, **path_values)
            return func(**arguments)

        return view


def read_request(query: type[Parameters] | None, body: type[Parameters] | None) -> dict[str, Any]:
    """`query` and `body` as a view asked for them. Raises ApiError 400 for all that is wrong with them."""
    in_query = MultiDict[str, Any](request.args)
    in_body = MultiDict[str, Any](list(_fields_of_body().items()) if body is not None else [])
    problems = [
        problem(name, "given once", f"{in_query.pop(name)}, {in_body.pop(name)}")
        for name in set(in_query) & set(in_body)
        if in_body[name] is not None
    ]
    values: dict[str, Any] = {}
    for kind, model, given in (("query", query or NoParameters, in_query), ("body", body, in_body)):
        if model is not None:
            values[kind], found = problems_in(model, given)
            problems += found
    if problems:
        raise refused(problems)
    return {kind: values[kind] for kind, model in (("query", query), ("body", body)) if model is not None}


def _fields_of_body() -> dict[str, Any]:
    """Whatever type of content it is sent as."""
    if not request.get_data():
        return {}
    try:
        fields = request.get_json(silent=True, force=True)
    except RecursionError:  # nested too deeply to be read
        fields = None
    if not isinstance(fields, dict):
        message = 'the body must be a JSON object, like {"asset": "BTCUSDT"}'
        raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_body", message)
    return fields


def operation_id(*, name: str, **_: str) -> str:
    """The view's name, which is one of its kind."""
    return name
