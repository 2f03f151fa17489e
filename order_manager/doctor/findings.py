"""Findings: one line each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

import redis
import requests


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it goes on; look at it
    PROBLEM = "problem"  # trading stops, or does what nobody wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and what to mend."""

    about: str
    level: Level
    text: str
    mend: str = ""


TIMEOUTS = (TimeoutError, requests.Timeout, redis.TimeoutError)

Look = Callable[[], list[Finding]]


def ok(about: str, text: str) -> Finding:
    return Finding(about=about, level=Level.OK, text=text)


def warning(about: str, text: str, mend: str) -> Finding:
    return Finding(about=about, level=Level.WARNING, text=text, mend=mend)


def problem(about: str, text: str, mend: str) -> Finding:
    return Finding(about=about, level=Level.PROBLEM, text=text, mend=mend)


def look_at_all(looks: Sequence[tuple[str, Look]]) -> list[Finding]:
    """Side by side; in the order of `looks`. A look that raises is a problem, not the end."""
    with ThreadPoolExecutor(max_workers=max(len(looks), 1)) as pool:
        found = [(about, pool.submit(look)) for about, look in looks]
        return [
            finding
            for about, future in found
            for finding in (
                future.result() if future.exception() is None else [_failed(about, future.exception())]
            )
        ]


def _failed(about: str, error: BaseException | None) -> Finding:
    return problem(about, f"could not be looked at: {first_line(error)}", "see the text")


def _inner(error: BaseException) -> BaseException | None:
    """What it was raised from, or is made of; what was only being handled then may be quite another."""
    of = (error.__cause__, getattr(error, "reason", None), *error.args)
    return next((one for one in of if isinstance(one, BaseException)), None)


def first_line(error: BaseException | None) -> str:
    """Of the error that the others only pass on."""
    while error is not None and not isinstance(error, TIMEOUTS) and (inner := _inner(error)) is not None:
        error = inner
    if isinstance(error, TIMEOUTS):
        return f"no answer in time ({type(error).__name__})"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else repr(error)
