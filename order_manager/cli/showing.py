"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

WIDTH = 150  # into a file or a pipe
PLACES = 8
COLOURS = {
    **dict.fromkeys(
        ("ok", "available", "RUNNING", "executed", "filled", "completed", "active", "yes"), "green"
    ),
    **dict.fromkeys(("warning", "reducing", "partial", "waiting", "planned", "not_configured"), "yellow"),
    **dict.fromkeys(
        ("problem", "unavailable", "FATAL", "failed", "rejected", "halted", "NO", "discarded", "gone"), "red"
    ),
}


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Cells are plain text; a word that says how well things are has its colour."""
    shown = Table(
        *(Column(name, overflow="fold") for name in columns),
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    for row in rows:
        shown.add_row(*(cell(value) for value in row))
    return shown


def cell(value: Any) -> Text:
    said = "" if value is None else str(value)
    return Text(said, style=COLOURS.get(said, ""))


def say(screen: Console, line: str) -> None:
    """Not wrapped, no markup."""
    screen.print(escape(line), soft_wrap=True)


def number(said: str | None) -> str | None:
    """A decimal as it is looked at: eight places at most."""
    if said is None or len(said.partition(".")[2]) <= PLACES:
        return said
    return _with_places(Decimal(said), PLACES)


def price(said: str | None) -> str | None:
    """Eight significant digits, and every one before the point: what an average is good for."""
    return _rounded(said, digits=8)


def money(said: str | None) -> str | None:
    """An amount of it as it is looked at: two places, below 1 four significant digits."""
    return _rounded(said, digits=4, places=2)


def _rounded(said: str | None, *, digits: int, places: int = 0) -> str | None:
    """To `digits` significant ones; with `places`, from 1 on, to so many places instead."""
    if said is None:
        return None
    value = Decimal(said)
    if not value.is_finite() or not value:
        return said
    before = value.adjusted() + 1  # digits before the point; zero or less for the zeros after it
    wanted = places if places and before > 0 else max(digits - before, 0)
    return _with_places(value, wanted)


def _with_places(value: Decimal, places: int) -> str:
    """Rounded as people do, whatever a library has made of this thread's decimal context."""
    with localcontext(prec=60, rounding=ROUND_HALF_UP):
        shown = f"{value:.{places}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def counted(count: int, one: str, more: str) -> str:
    """'1 signal', '2 signals', '0 signals'."""
    return f"{count} {one if count == 1 else more}"


def age(seconds: float | None) -> str:
    """'3.2 s', '12 min', '5 h', '3 d'; empty for none."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < 120:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def since(moment: str | None, now: datetime | None = None) -> str:
    """How long ago an ISO moment was."""
    if not moment:
        return ""
    return age(((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())


def change_line(changed: Mapping[str, Any]) -> str:
    """'since 2026-01-02 03:04:05 by me@desk: the model misbehaves'; of a mode that was changed."""
    return f"since {clock(changed['changed_at'])} by {changed['changed_by']}: {changed['reason']}"


def clock(moment: str | None) -> str:
    """An ISO moment without what says nothing."""
    return moment[:23].replace("T", " ").rstrip("Z") if moment else ""
