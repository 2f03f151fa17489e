"""Decimals: multiples of a step, and the text forms the exchange uses on the wire."""

import re
from decimal import Decimal

ZERO = Decimal(0)
ONE = Decimal(1)

# Bounded, so that every quotient by a step fits the 28 digits of the decimal context.
_DECIMAL_TEXT = re.compile(r"[0-9]{1,13}(\.[0-9]{1,18})?")
_INTEGER_TEXT = re.compile(r"[0-9]{1,18}")


def parse_decimal(text: object) -> Decimal | None:
    """The number in `text`, or None unless it is a plain non-negative decimal string.

    The exchange takes numbers as strings only, without sign or exponent.
    """
    if isinstance(text, str) and _DECIMAL_TEXT.fullmatch(text):
        return Decimal(text)
    return None


def parse_integer(text: object) -> int | None:
    """The number in `text`, or None unless it is plain digits, 18 at most."""
    return int(text) if isinstance(text, str) and _INTEGER_TEXT.fullmatch(text) else None


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above a non-negative `value`."""
    return value // step * step


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` not below a non-negative `value`."""
    floored = floor_to_step(value, step)
    return floored if floored == value else floored + step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    return value % step == 0


def digits_of(step: Decimal) -> int:
    """Decimal places needed to write multiples of `step`, keeping its own trailing zeros ("0.10" has two)."""
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(value: Decimal) -> str:
    """Shortest decimal text without exponent: 1E-7 is "0.0000001", 2.50 is "2.5"."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(value: Decimal, digits: int = 8) -> str:
    """Like `plain`, after rounding to `digits` decimal places."""
    return plain(round(value, digits))
