"""Fields of a JSON message: what cannot be read is a MalformedMessage with its field, limit and value."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from order_manager.errors import MalformedMessage

SHOWN = 60  # characters of a bad value that an error repeats


def json_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(
            "invalid_encoding",
            "",
            f"the message is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}",
        ) from None
    try:
        fields = json.loads(decoded, parse_float=Decimal, parse_constant=_no_constant)
    except MalformedMessage:
        raise
    except RecursionError:
        raise MalformedMessage("invalid_json", "", "the message is nested too deeply") from None
    except (ValueError, InvalidOperation) as error:
        raise MalformedMessage("invalid_json", "", f"the message is not JSON: {str(error)[:200]}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(
            "invalid_type", "", f"the message is a JSON {kind(fields)}; an object is wanted"
        )
    return fields


def _no_constant(name: str) -> NoReturn:
    raise MalformedMessage("not_finite", "", f"the message holds {name}; only finite numbers are allowed")


def kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", Decimal: "number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def shown(value: Any) -> str:
    whole = str(value) if isinstance(value, Decimal) else ascii(value)
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}… ({len(whole)} characters)"


def text(fields: Mapping[str, Any], name: str, *, limit: int, required: bool = False) -> str | None:
    value = fields.get(name)
    if value is None:
        if required:
            raise MalformedMessage("missing_field", name, f"{name} is missing")
        return None
    if not isinstance(value, str):
        raise MalformedMessage("invalid_type", name, f"{name} is a {kind(value)}; a string is wanted")
    if required and not value.strip():
        raise MalformedMessage("missing_field", name, f"{name} is empty")
    if len(value) > limit:
        raise MalformedMessage(
            "too_long", name, f"{name} has {len(value)} characters; the limit is {limit}: {shown(value)}"
        )
    # PostgreSQL text holds no NUL, and UTF-8 no lone surrogate.
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedMessage(
            "invalid_text", name, f"{name} has a character that cannot be stored: {shown(value)}"
        )
    return value


def object_at(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedMessage(
            "invalid_type", name, f"{name} is a {kind(value)}; an object or null is wanted"
        )
    return value
