"""Reading one field of an exchange's record: what we need is loud when it is missing or strange."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from order_manager.errors import UnreadableAnswer

Row = Mapping[str, Any]
T = TypeVar("T")

MAX_DIGITS, MAX_PLACES = 18, 30  # before and after the point: what the tables can hold

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownWireValue(UnreadableAnswer):
    """The exchange said something that we do not understand: set it aside, do not guess.

    `field` and `value` name it, `row` is the record it stood in.
    """

    def __init__(self, field: str, value: object, row: Row | None = None) -> None:
        super().__init__(f"{field} is {value!r}")
        self.field = field
        self.value = value
        self.row = row


def text(row: Row, name: str) -> str:
    """A text that must be there."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise UnknownWireValue(name, value, row)
    return value


def optional_text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def number(row: Row, name: str) -> Decimal:
    """A number that must be there."""
    value = optional_number(row, name)
    if value is None:
        raise UnknownWireValue(name, row.get(name), row)
    return value


def optional_number(row: Row, name: str) -> Decimal | None:
    """None where the exchange leaves it out: "" means not applicable, not zero."""
    value = row.get(name)
    if value is None or value == "":
        return None
    return to_decimal(name, value, row)


def to_decimal(name: str, value: object, row: Row | None = None) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise UnknownWireValue(name, value, row)  # a float has lost digits already
    try:
        decimal = Decimal(value)
    except InvalidOperation:
        raise UnknownWireValue(name, value, row) from None
    if not decimal.is_finite() or not -MAX_PLACES <= decimal.adjusted() <= MAX_DIGITS:
        raise UnknownWireValue(name, value, row)
    return decimal


def optional_price(row: Row, name: str) -> Decimal | None:
    """A price; the exchange writes "" or "0" for none."""
    return optional_number(row, name) or None


def moment(row: Row, name: str) -> datetime:
    """A time in ms, as text or number."""
    value = number(row, name)
    if value != int(value) or not 0 < value < 10**14:
        raise UnknownWireValue(name, row.get(name), row)
    return from_ms(int(value))


def from_ms(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)


def named(row: Row, name: str, values: Mapping[str, T]) -> T:
    """Our value for the exchange's name of it."""
    value = row.get(name)
    if not isinstance(value, str) or value not in values:
        raise UnknownWireValue(name, value, row)
    return values[value]


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down: a signature's moment must not lie ahead."""
    return int(moment.timestamp() * 1000)
