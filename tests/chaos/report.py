"""What a run did, as a table for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.chaos.recovery import Recovery, summed_up
from tests.chaos.run import Result

SHOWN = 20  # of each promise's breaches


def show(console: Console, result: Result) -> None:
    plan = result.plan
    title = f"{plan.broker}, seed {plan.seed}, schedule {result.fingerprint}"
    table = Table("what", "how many", "of which", title=title, title_justify="left")
    for name, value in result.figures.items():
        table.add_row(name, *_cells(value))
    console.print(table)
    times = Table(
        "disruption", "times", "every symbol works again", "and is up to date", title_justify="left"
    )
    everything = Recovery()
    for what, one in sorted(result.recoveries.items()):
        times.add_row(what, str(len(one.resumed)), summed_up(one.resumed), summed_up(one.caught_up))
        everything.resumed += one.resumed
        everything.caught_up += one.caught_up
    count, whole = str(len(everything.resumed)), everything
    times.add_row("all of them", count, summed_up(whole.resumed), summed_up(whole.caught_up))
    console.print(times)
    promises = Table("promise", "kept", "", title_justify="left")
    for promise, found in result.broken.items():
        promises.add_row(promise, "no" if found else "yes", f"{len(found)} breaches" if found else "")
    console.print(promises)
    for promise, found in result.broken.items():
        for line in found[:SHOWN]:
            console.print(f"[bold red]{escape(promise)}[/]: {escape(line)}", soft_wrap=True, highlight=False)
        if len(found) > SHOWN:
            console.print(f"... and {len(found) - SHOWN} more")
    if not result.is_kept:
        console.print(f"logs, ledger and database: {result.folder}", soft_wrap=True, highlight=False)


def _cells(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        whole = sum(one for one in value.values() if isinstance(one, int))
        return f"{whole:,}", escape(", ".join(f"{name} {one:,}" for name, one in value.items()))
    return (f"{value:,}" if isinstance(value, int) else escape(str(value))), ""
