"""Frames of the private stream: what one says, and several of them together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

from order_manager.errors import OrderManagerError

TOPICS = ("order", "execution", "position", "wallet")  # of all categories; execution is not execution.fast
FULL = 200  # rows or frames that are handled together
MAX_ODD = 5  # that are told of, of one batch

Rows = list[Mapping[str, Any]]


class FrameUnreadable(OrderManagerError):
    """Not a JSON object, or data without its rows."""


def parsed(frame: str | bytes) -> dict[str, Any]:
    """The frame's object, its fractions as Decimal. Raises FrameUnreadable."""
    try:
        message = json.loads(frame, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, ArithmeticError, RecursionError):
        raise FrameUnreadable("not JSON") from None
    if not isinstance(message, dict):
        raise FrameUnreadable("not an object")
    return message


@dataclass(slots=True)
class Batch:
    """Frames that came in one go."""

    frames: int = 0
    rows: dict[str, Rows] = field(default_factory=dict)  # by topic
    odd: list[tuple[str, str]] = field(default_factory=list)  # why a frame was ignored, and its beginning
    refused: str = ""  # a belated no to auth or subscribe
    is_lossy: bool = False  # an update may have been in what was ignored
    _row_count: int = 0

    @property
    def is_full(self) -> bool:
        return max(self.frames, self._row_count) >= FULL

    def add(self, frame: str | bytes) -> None:
        self.frames += 1
        try:
            self._add(parsed(frame))
        except FrameUnreadable as error:
            self.is_lossy = True
            self._ignore(str(error), frame)

    def _add(self, message: Mapping[str, Any]) -> None:
        topic, op = message.get("topic"), message.get("op")
        if topic in TOPICS:
            self._add_rows(str(topic), message)
        elif topic is not None:
            self._ignore("unknown topic", str(topic))
        elif op in ("auth", "subscribe") and message.get("success") is False:
            self.refused = f"{op}: {message.get('ret_msg')}"
        elif op not in ("ping", "pong"):
            self._ignore("unknown op", str(message))

    def _add_rows(self, topic: str, message: Mapping[str, Any]) -> None:
        data = message.get("data")
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise FrameUnreadable(f"{topic} without rows")
        if data:
            self.rows.setdefault(topic, []).extend(data)
            self._row_count += len(data)

    def _ignore(self, reason: str, what: str | bytes) -> None:
        if len(self.odd) < MAX_ODD:
            self.odd.append((reason, what if isinstance(what, str) else repr(what[:300])))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
