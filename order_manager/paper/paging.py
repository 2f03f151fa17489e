"""Pages and cursors. A cursor goes out percent-encoded and must come back verbatim."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

from order_manager.paper.numbers import parse_integer
from order_manager.paper.refusals import ApiRefusal

T = TypeVar("T")
_CURSOR = re.compile(r"page_token=([0-9]{1,18})&")
DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS


def encode_cursor(token: int) -> str:
    return quote(f"page_token={token}&", safe="")


def read_cursor(params: Mapping[str, Any]) -> int | None:
    """The cursor's token. `params` holds decoded values, so a cursor encoded twice does not fit."""
    cursor = params.get("cursor")
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ApiRefusal(10001, f"params error: cursor invalid {cursor}")
    return int(found[1])


def read_limit(params: Mapping[str, Any], *, default: int, most: int) -> int:
    text = params.get("limit")
    if text in (None, ""):
        return default
    limit = parse_integer(text)
    if limit is None or not 1 <= limit <= most:
        raise ApiRefusal(10001, f"params error: limit invalid {text}, 1 to {most}")
    return limit


def read_window(params: Mapping[str, Any], now_ms: int, *, usual_ms: int = WEEK_MS) -> tuple[int, int]:
    """(start, end) in ms, at most seven days apart; by default `usual_ms`, up to now."""
    start, end = _read_ms(params, "startTime", 181006), _read_ms(params, "endTime", 181007)
    if start is None:
        end = now_ms if end is None else end
        start = end - usual_ms
    elif end is None:
        end = start + usual_ms
    if start > end:
        raise ApiRefusal(181009, "startTime needs to be smaller than endTime")
    if end - start > WEEK_MS:
        raise ApiRefusal(181010, "The time range between startTime and endTime cannot exceed 7 days")
    return start, end


def page(items: Iterable[T], limit: int) -> tuple[list[T], bool]:
    """The first `limit` items and whether more follow."""
    found = list(islice(items, limit + 1))
    return found[:limit], len(found) > limit


def _read_ms(params: Mapping[str, Any], name: str, code: int) -> int | None:
    text = params.get(name)
    if text in (None, ""):
        return None
    number = parse_integer(text)
    if number is None:
        raise ApiRefusal(code, f"{name} is not number")
    return number
