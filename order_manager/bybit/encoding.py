"""Requests as text: encoded once, so that what is signed is what is sent."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote

Value = str | int | bool | Decimal

_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")


def query_text(params: Mapping[str, Value], *, cursor: str = "") -> str:
    """The query, percent-encoded once. A cursor arrives encoded and goes back as it came."""
    parts = [f"{name}={quote(_text(value), safe=',:')}" for name, value in params.items()]
    if cursor:
        parts.append(f"cursor={_encoded_once(cursor)}")
    return "&".join(parts)


def body_text(body: Mapping[str, Value]) -> str:
    """The JSON body; a Decimal becomes a plain string, never 1E-7."""
    if any(isinstance(value, float) for value in body.values()):
        raise TypeError("not for the wire: float")
    return json.dumps(body, separators=(",", ":"), default=_text)


def _encoded_once(cursor: str) -> str:
    if len(_ESCAPE.findall(cursor)) != cursor.count("%"):
        return quote(cursor, safe=",:")
    # urllib3 sends escapes in upper case: sign them so.
    return _ESCAPE.sub(lambda escape: escape[0].upper(), quote(cursor, safe="%,:/?=@!$'()*;~"))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str | int):
        return str(value)
    raise TypeError(f"not for the wire: {type(value).__name__}")
