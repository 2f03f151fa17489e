"""What requests may carry: types with their limits. All that is wrong is answered at once, by name."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import WithJsonSchema as Shown
from pydantic_core import ErrorDetails, PydanticCustomError
from werkzeug.datastructures import MultiDict

from order_manager.web.errors import ApiError, shown

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{0,38}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# In a query a plus sign that is not written %2B arrives as a space.
_LOST_PLUS = re.compile(r"(.+T.+) (\d{2}:?\d{2})", re.ASCII)
_CONTROL = r"\x00-\x1F\x7F-\x9F"
_NO_CONTROL = {"pattern": f"^[^{_CONTROL}]*$"}


@dataclass(frozen=True, slots=True)
class Limit:
    """What a value must be, in the words of the error and of the OpenAPI document."""

    words: str


def _symbol(value: str) -> str:
    if SYMBOL.fullmatch(value) is None:
        raise ValueError
    return value


def _printable(value: str) -> str:
    """PostgreSQL, for one, stores no NUL, and UTF-8 holds no half of a pair, as JSON may."""
    if re.search(f"[{_CONTROL}\ud800-\udfff]", value):
        raise ValueError
    return value


def _digits(value: Any) -> Any:
    """Only plain ones, of which pydantic would read more kinds."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError
    return value


def _moment(value: Any, *, is_end: bool = False) -> datetime:
    """An ISO 8601 moment as aware UTC, naive ones taken as UTC.

    A date alone is the beginning of its day, or with `is_end` the last microsecond of it.
    """
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError  # fromisoformat reads no further than a NUL
    moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", value))
    if is_end and _DATE.fullmatch(value):
        moment = datetime.combine(moment, time.max)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # the first or last day of the calendar, in a zone where it is another day
        raise ValueError from None


_MOMENT_LIMIT = Limit("an ISO 8601 date or time, like 2025-01-27T10:00:00Z")
_MOMENT_SHOWN = Shown(
    {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
)

Symbol = Annotated[
    str,
    AfterValidator(_symbol),
    Field(json_schema_extra={"pattern": f"^{SYMBOL.pattern}$"}),
    Limit("1 to 39 capital letters, digits or dashes, like BTCUSDT"),
]
Id = Annotated[
    str,
    AfterValidator(_printable),
    Field(min_length=1, max_length=64, json_schema_extra=_NO_CONTROL),
    Limit("1 to 64 printable characters"),
]
SignalId = Annotated[
    str,
    AfterValidator(_printable),
    Field(min_length=1, max_length=100, json_schema_extra=_NO_CONTROL),
    Limit("1 to 100 printable characters"),
]
Sentence = Annotated[
    str,
    AfterValidator(_printable),
    Field(min_length=1, max_length=500, json_schema_extra=_NO_CONTROL),
    Limit("1 to 500 printable characters"),
]
From = Annotated[datetime, BeforeValidator(_moment), _MOMENT_SHOWN, _MOMENT_LIMIT]
To = Annotated[datetime, BeforeValidator(partial(_moment, is_end=True)), _MOMENT_SHOWN, _MOMENT_LIMIT]
DIGITS = BeforeValidator(_digits)  # after the field's limits, else the document would not show them


class SortOrder(StrEnum):
    ASC = "asc"
    DESC = "desc"


def refuse(limit: str) -> PydanticCustomError:
    """For a validator, where the field's own limit does not say it."""
    return PydanticCustomError("limit", "{limit}", {"limit": limit})


def _for_people(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """The limit in words, and no null where only leaving out is possible, as in a query."""
    may_be_null = issubclass(model, Fields)
    for name, field in schema.get("properties", {}).items():
        choices = [one for one in field.get("anyOf", []) if may_be_null or one != {"type": "null"}]
        if len(choices) == 1:
            del field["anyOf"]
            field.update(choices[0])
        elif choices:
            field["anyOf"] = choices
        if field.get("default", ...) is None:
            del field["default"]
        field.pop("title", None)
        words = [field.get("description"), limit_of(model, name)]
        field["description"] = "; ".join(word for word in words if word)


class Parameters(BaseModel):
    """Of a request's query. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_for_people)


class Fields(Parameters):
    """Of a request's body, a JSON object; null is left out."""


def limit_of(model: type[BaseModel], name: str) -> str:
    """What the field must be."""
    field = model.model_fields[name]
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return "one of " + ", ".join(choice.value for choice in kind)
        if get_origin(kind) is Annotated:
            return next(part.words for part in get_args(kind) if isinstance(part, Limit))
    return next(part.words for part in field.metadata if isinstance(part, Limit))


P = TypeVar("P", bound=Parameters)


def problems_in(model: type[P], given: MultiDict[str, Any]) -> tuple[P | None, list[dict[str, Any]]]:
    """The values, and one entry for each that breaks its limit; without values there is at least one."""
    repeated = [name for name in model.model_fields if len(given.getlist(name)) > 1]
    problems = [problem(name, "given once", ", ".join(map(_text, given.getlist(name)))) for name in repeated]
    try:
        return model.model_validate({name: given[name] for name in given if name not in repeated}), problems
    except ValidationError as error:
        found = [one for one in error.errors() if one["loc"][0] not in repeated]
        return None, problems + [_problem(model, one, given) for one in found]


def refused(problems: Iterable[dict[str, Any]]) -> ApiError:
    """Names each bad parameter, its limit and its value."""
    listed = list(problems)
    sentences = [f"{p['parameter']} must be {p['limit']}; it is {p['value']!r}" for p in listed]
    return ApiError(
        HTTPStatus.BAD_REQUEST, "invalid_parameter", "; ".join(sentences), details={"parameters": listed}
    )


def problem(name: str, limit: str, value: str) -> dict[str, Any]:
    return {"parameter": shown(name), "limit": limit, "value": shown(value)}


def _problem(model: type[Parameters], found: ErrorDetails, given: MultiDict[str, Any]) -> dict[str, Any]:
    name = str(found["loc"][0])
    if found["type"] == "extra_forbidden":
        limit = f"left out (known here: {', '.join(model.model_fields) or 'none'})"
    elif found["type"] == "limit":
        limit = found["msg"]
    else:
        limit = limit_of(model, name)
    return problem(name, limit, _text(given.get(name, "")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
