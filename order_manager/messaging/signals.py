"""Signals as they come in: bytes -> Signal, or an error that names the field, the limit and the value."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from order_manager.domain.orders import Side
from order_manager.domain.signals import Signal
from order_manager.errors import MalformedMessage
from order_manager.messaging.fields import SHOWN, json_object, kind, object_at, shown, text

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{1,38}")
MAX_ID = 100
MAX_TEXT = 500
MAX_NUMBER = Decimal("1e15")
MIN_NUMBER = Decimal("1e-18")


def parse_signal(body: bytes, *, headers: Mapping[str, Any] | None = None, max_bytes: int = 65536) -> Signal:
    """The signal in `body`. Raises MalformedMessage; the body is not changed or kept."""
    if len(body) > max_bytes:
        raise MalformedMessage(
            "body_too_large", "", f"the message has {len(body)} bytes; the limit is {max_bytes}"
        )
    fields = json_object(body)
    signal_id: str | None = None
    try:
        signal_id = text(fields, "signal_id", limit=MAX_ID, required=True)
        assert signal_id is not None
        snapshot = object_at(fields, "market_data_snapshot")
        metadata = object_at(fields, "metadata")
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
            strategy_id=text(fields, "strategy_id", limit=MAX_TEXT),
            trace_id=_trace_id(fields, headers or {}),
        )
    except MalformedMessage as error:
        error.signal_id = signal_id
        raise


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
        raise MalformedMessage("invalid_type", label, f"{label} is a {kind(value)}; a number is wanted")
    try:
        if isinstance(value, str) and len(value) > SHOWN:
            raise MalformedMessage(
                "too_long", label, f"{label} has {len(value)} characters; the limit is {SHOWN}"
            )
        number = Decimal(value)
    except InvalidOperation:
        raise MalformedMessage("invalid_number", label, f"{label} is not a number: {shown(value)}") from None
    if not number.is_finite():
        raise MalformedMessage("not_finite", label, f"{label} must be finite; it is {number}")
    if above is not None and number <= above:
        raise MalformedMessage("out_of_range", label, f"{label} must be above {above}; it is {shown(number)}")
    if at_least is not None and number < at_least:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be at least {at_least}; it is {shown(number)}"
        )
    if number > at_most:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be at most {at_most:f}; it is {shown(number)}"
        )
    if number != 0 and abs(number) < MIN_NUMBER:
        raise MalformedMessage(
            "out_of_range", label, f"{label} must be 0 or at least {MIN_NUMBER:f}; it is {shown(number)}"
        )
    return number


def _required(value: Decimal | None, name: str) -> Decimal:
    if value is None:
        raise MalformedMessage("missing_field", name, f"{name} is missing")
    return value


def _side(fields: Mapping[str, Any]) -> Side:
    value = text(fields, "signal_type", limit=MAX_TEXT, required=True)
    try:
        return Side(str(value).lower())
    except ValueError:
        raise MalformedMessage(
            "invalid_value", "signal_type", f"signal_type must be buy or sell; it is {shown(value)}"
        ) from None


def _symbol(fields: Mapping[str, Any]) -> str:
    value = text(fields, "asset", limit=MAX_TEXT, required=True)
    if not SYMBOL.fullmatch(str(value)):
        raise MalformedMessage(
            "invalid_value",
            "asset",
            f"asset must be 2 to 39 capital letters, digits or dashes, like BTCUSDT; it is {shown(value)}",
        )
    return str(value)


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = text(fields, name, limit=MAX_TEXT)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise MalformedMessage(
            "invalid_value", name, f"{name} must be ISO 8601; it is {shown(value)}"
        ) from None


def _is_urgent(metadata: Mapping[str, Any]) -> bool:
    urgency = metadata.get("urgency")
    return urgency is True or (isinstance(urgency, str) and urgency.lower() == "high")


def _trace_id(fields: Mapping[str, Any], headers: Mapping[str, Any]) -> str:
    """From the body, else the header, else a new one."""
    given = text(fields, "trace_id", limit=MAX_ID)
    header = headers.get("trace_id")
    if not given and isinstance(header, str) and header.isprintable() and len(header) <= MAX_ID:
        given = header  # a bad header is no reason to refuse a good signal
    return given or str(uuid.uuid4())
