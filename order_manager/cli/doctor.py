"""order-manager doctor: is everything as it must be, and what to mend."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from order_manager.cli.house import adopt_fleet, data_dir_option, json_option


@click.command()
@click.option(
    "--metrics", "urls", metavar="URL", multiple=True, help="/metrics of a process, to ask it too; any number"
)
@data_dir_option
@json_option
def doctor(urls: Sequence[str], data_dir: Path, as_json: bool) -> None:
    """Examine settings, connections, schema, queues, workers, beat and stream; exit status 1 on a problem."""
    import logging
    from dataclasses import asdict

    import structlog

    from order_manager.cli.fleet_file import fleet_rows
    from order_manager.cli.showing import cell, console, print_json
    from order_manager.doctor.findings import Level

    adopt_fleet(data_dir)
    # What goes wrong is a finding; the same as a log would say it twice.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    from order_manager.doctor.examining import examine
    from order_manager.doctor.fleet import look_at_processes

    rows = fleet_rows(data_dir)
    known = {
        row["metrics"]: row["name"] for row in rows if row["name"] in {"beat", "stream"} and row["metrics"]
    }
    found = examine({**dict.fromkeys(urls, ""), **known})
    # By the supervisor, for whoever has no heartbeat, or while Redis is away.
    found += look_at_processes(
        row for row in rows if not any(f"(pid {row['pid']})" in one.text for one in found)
    )
    counts = Counter(one.level for one in found)
    is_well = not counts[Level.PROBLEM]
    if as_json:
        print_json({"healthy": is_well, "findings": [asdict(one) for one in found]})
    else:
        screen = console()
        for one in found:
            mend = f" → {one.mend}" if one.mend else ""
            line = cell(one.level.value)
            line.pad_right(9 - len(one.level.value))
            line.append(f"{one.about:<17}{one.text}{mend}", style="")
            screen.print(line, soft_wrap=True)
        click.echo(
            f"{counts[Level.OK]} ok, {counts[Level.WARNING]} warnings, {counts[Level.PROBLEM]} problems"
        )
    if not is_well:
        raise click.exceptions.Exit(1)
