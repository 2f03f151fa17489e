"""Query parameters: each checked against its limit, all problems answered at once, unknown ones refused."""

import re
from datetime import UTC, datetime, time
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

from werkzeug.datastructures import MultiDict

from order_manager.web.errors import ApiError, shown

E = TypeVar("E", bound=StrEnum)

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{0,38}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# In a query a plus sign that is not written %2B arrives as a space.
_LOST_PLUS = re.compile(r"(.+T.+) (\d{2}:?\d{2})", re.ASCII)


class Parameters:
    """Reads parameters one by one; `check` raises for all that was wrong with them."""

    def __init__(self, given: MultiDict[str, str]) -> None:
        self._given = given
        self._known: list[str] = []
        self._problems: list[dict[str, Any]] = []

    def text(self, name: str, *, max_length: int) -> str | None:
        """Printable text; PostgreSQL, for one, stores no NUL."""
        value = self._value(name)
        if value is not None and not (0 < len(value) <= max_length and value.isprintable()):
            self._refuse(name, f"1 to {max_length} printable characters", value)
            return None
        return value

    def symbol(self, name: str) -> str | None:
        value = self._value(name)
        if value is not None and not SYMBOL.fullmatch(value):
            self._refuse(name, "1 to 39 capital letters, digits or dashes, like BTCUSDT", value)
            return None
        return value

    def choice(self, name: str, choices: type[E]) -> E | None:
        """A member of a closed set, as it is spelled in the interface."""
        value = self._value(name)
        if value is None:
            return None
        if value not in {choice.value for choice in choices}:
            self._refuse(name, "one of " + ", ".join(choice.value for choice in choices), value)
            return None
        return choices(value)

    def whole_number(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self._value(name)
        if value is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", value) or not low <= int(value) <= high:
            self._refuse(name, f"a whole number from {low} to {high}", value)
            return default
        return int(value)

    def moment(self, name: str, *, is_end: bool = False) -> datetime | None:
        """An ISO 8601 moment as aware UTC, naive ones taken as UTC.

        A date alone is the beginning of its day, or with `is_end` the last microsecond of it.
        """
        value = self._value(name)
        if value is None:
            return None
        try:
            if not value.isprintable():
                raise ValueError  # fromisoformat reads no further than a NUL
            moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", value))
            if is_end and _DATE.fullmatch(value):
                moment = datetime.combine(moment, time.max)
            # OverflowError: the first or last day of the calendar, in a zone where it is another day.
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self._refuse(name, "an ISO 8601 date or time, like 2025-01-27T10:00:00Z", value)
            return None

    def refuse(self, name: str, limit: str) -> None:
        """Note what only shows when parameters are seen together."""
        self._refuse(name, limit, self._given.get(name, ""))

    def check(self) -> None:
        """Raises ApiError 400 that names each bad parameter, its limit and its value."""
        known = f"left out (known here: {', '.join(self._known) or 'none'})"
        for name in self._given:
            if name not in self._known:
                self._refuse(name, known, self._given[name])
        if not self._problems:
            return
        sentences = [f"{p['parameter']} must be {p['limit']}; it is {p['value']!r}" for p in self._problems]
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "invalid_parameter",
            "; ".join(sentences),
            details={"parameters": self._problems},
        )

    def _value(self, name: str) -> str | None:
        self._known.append(name)
        values = self._given.getlist(name)
        if len(values) > 1:
            self._refuse(name, "given once", ", ".join(values))
            return None
        return values[0] if values else None

    def _refuse(self, name: str, limit: str, value: str) -> None:
        self._problems.append({"parameter": shown(name), "limit": limit, "value": shown(value)})
