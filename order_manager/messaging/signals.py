"""Signals as they come in: bytes -> Signal, or an error that names the field, the limit and the value."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from order_manager.domain.orders import Side
from order_manager.domain.signals import Signal
from order_manager.errors import MalformedMessage

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{1,38}")
MAX_ID = 100
MAX_TEXT = 500
MAX_NUMBER = Decimal("1e15")
MIN_NUMBER = Decimal("1e-18")
SHOWN = 60  # characters of a bad value that an error repeats


def parse_signal(body: bytes, *, headers: Mapping[str, Any] | None = None, max_bytes: int = 65536) -> Signal:
    """The signal in `body`. Raises MalformedMessage; the body is not changed or kept."""
    if len(body) > max_bytes:
        raise MalformedMessage(
            "body_too_large", "", f"the message has {len(body)} bytes; the limit is {max_bytes}"
        )
    fields = _json_object(body)
    signal_id: str | None = None
    try:
        signal_id = _text(fields, "signal_id", limit=MAX_ID, required=True)
        assert signal_id is not None
        snapshot = _object(fields, "market_data_snapshot")
        metadata = _object(fields, "metadata")
        return Signal(
            signal_id=signal_id,
            side=_side(fields),
            symbol=_symbol(fields),
            notional=_required(_number(fields, "amount", above=Decimal(0)), "amount"),
            confidence=_number(fields, "confidence", at_least=Decimal(0), at_most=Decimal(1)),
            is_urgent=_is_urgent(metadata),
            snapshot_price=_number(snapshot, "price", above=Decimal(0), prefix="market_data_snapshot."),
            snapshot_spread=_number(snapshot, "spread", at_least=Decimal(0), prefix="market_data_snapshot."),
            timestamp=_moment(fields, "timestamp"),
            strategy_id=_text(fields, "strategy_id", limit=MAX_TEXT),
            trace_id=_trace_id(fields, headers or {}),
        )
    except MalformedMessage as error:
        error.signal_id = signal_id
        raise


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(
            "invalid_encoding",
            "",
            f"the message is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}",
        ) from None
    try:
        fields = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except MalformedMessage:
        raise
    except RecursionError:
        raise MalformedMessage("invalid_json", "", "the message is nested too deeply") from None
    except (ValueError, InvalidOperation) as error:
        raise MalformedMessage("invalid_json", "", f"the message is not JSON: {str(error)[:200]}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage(
            "invalid_type", "", f"the message is a JSON {_kind(fields)}; an object is wanted"
        )
    return fields


def _no_constant(name: str) -> NoReturn:
    raise MalformedMessage("not_finite", "", f"the message holds {name}; only finite numbers are allowed")


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", Decimal: "number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def _text(fields: Mapping[str, Any], name: str, *, limit: int, required: bool = False) -> str | None:
    value = fields.get(name)
    if value is None:
        if required:
            raise MalformedMessage("missing_field", name, f"{name} is missing")
        return None
    if not isinstance(value, str):
        raise MalformedMessage("invalid_type", name, f"{name} is a {_kind(value)}; a string is wanted")
    if required and not value.strip():
        raise MalformedMessage("missing_field", name, f"{name} is empty")
    if len(value) > limit:
        raise MalformedMessage(
            "too_long", name, f"{name} has {len(value)} characters; the limit is {limit}: {_shown(value)}"
        )
    # PostgreSQL text holds no NUL, and UTF-8 no lone surrogate.
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedMessage(
            "invalid_text", name, f"{name} has a character that cannot be stored: {_shown(value)}"
        )
    return value


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedMessage(
            "invalid_type", name, f"{name} is a {_kind(value)}; an object or null is wanted"
        )
    return value


def _number(
    fields: Mapping[str, Any],
    name: str,
    *,
    above: Decimal | None = None,
    at_least: Decimal | None = None,
    at_most: Decimal = MAX_NUMBER,
    prefix: str = "",
) -> Decimal | None:
    """A JSON number, or a string that holds one."""
    value, label = fields.get(name), prefix + name
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise MalformedMessage("invalid_type", label, f"{label} is a {_kind(value)}; a number is wanted")
    try:
        if isinstance(value, str) and len(value) > SHOWN:
            raise MalformedMessage(
                "too_long", label, f"{label} has {len(value)} characters; the limit is {SHOWN}"
            )
        number = Decimal(value)
    except InvalidOperation:
        raise MalformedMessage("invalid_number", label, f"{label} is not a number: {_shown(value)}") from None
    if not number.is_finite():
        raise MalformedMessage("not_finite", label, f"{label} must be finite; it is {number}")
    if above is not None and number <= above:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be above {above}; it is {_shown(number)}"
        )
    if at_least is not None and number < at_least:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be at least {at_least}; it is {_shown(number)}"
        )
    if number > at_most:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be at most {at_most:f}; it is {_shown(number)}"
        )
    if number != 0 and abs(number) < MIN_NUMBER:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be 0 or at least {MIN_NUMBER:f}; it is {_shown(number)}"
        )
    return number


def _required(value: Decimal | None, name: str) -> Decimal:
    if value is None:
        raise MalformedMessage("missing_field", name, f"{name} is missing")
    return value


def _side(fields: Mapping[str, Any]) -> Side:
    value = _text(fields, "signal_type", limit=MAX_TEXT, required=True)
    try:
        return Side(str(value).lower())
    except ValueError:
        raise MalformedMessage(
            "invalid_value", "signal_type", f"signal_type must be buy or sell; it is {_shown(value)}"
        ) from None


def _symbol(fields: Mapping[str, Any]) -> str:
    value = _text(fields, "asset", limit=MAX_TEXT, required=True)
    if not SYMBOL.fullmatch(str(value)):
        raise MalformedMessage(
            "invalid_value",
            "asset",
            f"asset must be 2 to 39 capital letters, digits or dashes, like BTCUSDT; it is {_shown(value)}",
        )
    return str(value)


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = _text(fields, name, limit=MAX_TEXT)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise MalformedMessage(
            "invalid_value", name, f"{name} must be ISO 8601; it is {_shown(value)}"
        ) from None


def _is_urgent(metadata: Mapping[str, Any]) -> bool:
    urgency = metadata.get("urgency")
    return urgency is True or (isinstance(urgency, str) and urgency.lower() == "high")


def _trace_id(fields: Mapping[str, Any], headers: Mapping[str, Any]) -> str:
    """From the body, else the header, else a new one."""
    given = _text(fields, "trace_id", limit=MAX_ID)
    header = headers.get("trace_id")
    if not given and isinstance(header, str) and header.isprintable() and len(header) <= MAX_ID:
        given = header  # a bad header is no reason to refuse a good signal
    return given or str(uuid.uuid4())
