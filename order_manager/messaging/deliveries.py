"""What an intake takes off a broker and hands on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, as it came."""

    body: bytes
    headers: Mapping[str, Any]
    queue: str


# When it returns all of them may be forgotten; when it raises none is, and all come again in their order.
HandleAll = Callable[[Sequence[Delivery]], None]


def ignore_connection() -> None:
    """The default hook of an intake that has (re)connected."""
