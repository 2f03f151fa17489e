"""order-manager status: how the house stands, on one screen."""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from order_manager.cli.house import data_dir_option, house, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from order_manager.wiring import Runtime

MOST = 200  # rows of a table
NARROW = 120  # characters; below, tables have fewer columns
Told = Mapping[str, Any]


@click.command()
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(0.2, 3600),
    is_flag=False,
    flag_value=2.0,
    default=None,
    metavar="[SECONDS]",
    help="draw it anew, every 2 s unless said otherwise, until Ctrl-C",
)
@data_dir_option
@json_option
def status(watch_s: float | None, data_dir: Path, as_json: bool) -> None:
    """Show processes, dependencies, lanes, orders in flight, positions and what waits."""
    with house(data_dir) as rt:
        if watch_s is None:
            _print(look(rt, data_dir), as_json)
            return
        if as_json:
            raise click.UsageError("--watch is for people: leave out --json")
        try:
            _watch(rt, data_dir, watch_s)
        except KeyboardInterrupt:
            return


def look(rt: "Runtime", data_dir: Path) -> dict[str, Any]:
    """Everything, as of now. Raises what the database raises; other parts may be away."""
    from datetime import UTC, datetime

    from order_manager.cli.fleet_file import fleet_rows
    from order_manager.database import state_gauges as gauges
    from order_manager.database import wording
    from order_manager.database.adjustments import recent_adjustments
    from order_manager.database.desk_views import list_in_flight, read_account
    from order_manager.database.lane_views import list_lanes
    from order_manager.database.overview import read_glance
    from order_manager.database.queries import Page, list_positions
    from order_manager.database.state_metrics import read_state
    from order_manager.doctor.connections import looks_at_connections
    from order_manager.doctor.findings import Level, look_at_all
    from order_manager.domain.events import iso, stored_position_json, text
    from order_manager.processes import intake_json, read_intake

    page = Page(limit=MOST, offset=0)
    lanes, total_lanes = list_lanes(rt.engine, page=page)
    positions, _ = list_positions(rt.engine, symbol=None, mode=None, page=page)
    readings = {
        (one.gauge.name, *one.labels): one.value
        for one in read_state(rt.engine, is_dry_run=rt.settings.enable_dry_run)
    }
    leased = {
        labels[0]: bool(value) for (name, *labels), value in readings.items() if name == gauges.LEASED.name
    }
    findings = look_at_all(looks_at_connections(rt.settings, rt.engine))
    glance = read_glance(rt.engine)
    intake = intake_json(rt.settings, read_intake(rt.settings, timeout_s=1.0))
    return {
        "timestamp": iso(datetime.now(UTC)),
        "environment": rt.settings.bybit_environment,
        "dry_run": rt.settings.enable_dry_run,
        "account": wording.account_json(read_account(rt.engine)),
        "exposure": {
            "total": text(glance.positions_value + glance.orders_value),
            "limit": text(rt.settings.max_exposure),
        },
        "processes": fleet_rows(data_dir),
        "heartbeats": intake["processes"],
        "findings": intake["findings"],
        "dependencies": [
            {
                "name": one.about,
                "state": "available" if one.level is Level.OK else "unavailable",
                "text": one.text,
            }
            for one in findings
        ],
        "lanes": [{**wording.lane_json(lane), "leased": leased.get(lane.symbol, False)} for lane in lanes],
        "lanes_total": total_lanes,
        "in_flight_orders": [wording.in_flight_json(one) for one in list_in_flight(rt.engine, limit=MOST)],
        "adjustments": [wording.adjustment_json(one) for one in recent_adjustments(rt.engine)],
        "positions": [stored_position_json(one) for one in positions],
        "waiting": {
            "queued_signals": intake["queued_signals"],
            "signals_without_lane": int(readings[gauges.WAITING.name, ""]),
            "outbox_events": int(readings[gauges.OUTBOX.name,]),
            "outbox_oldest_age_s": readings[gauges.OUTBOX_AGE.name,],
            "updates": int(readings[gauges.UPDATES.name,]),
            "updates_oldest_age_s": readings[gauges.UPDATES_AGE.name,],
            "dead_letters": int(readings[gauges.DEAD_LETTERS.name, "new"]),
            "dead_letters_oldest_age_s": readings[gauges.DEAD_LETTER_AGE.name,],
        },
        "symbol_workers": int(readings[gauges.WORKERS.name, "true"] + readings[gauges.WORKERS.name, "false"]),
    }


def _print(told: Told, as_json: bool) -> None:
    from order_manager.cli.showing import print_json

    if as_json:
        print_json(told)
    else:
        screen = _console()
        screen.print(_screen(told, is_narrow=screen.width < NARROW))


def _console() -> "Console":
    """As wide as the terminal; into a pipe as COLUMNS says, where it says something."""
    from rich.console import Console

    from order_manager.cli.showing import console

    # rich looks at COLUMNS by itself
    return Console(highlight=False) if os.environ.get("COLUMNS", "").isdecimal() else console()


def _watch(rt: "Runtime", data_dir: Path, every_s: float) -> None:
    from rich.live import Live
    from rich.text import Text
    from sqlalchemy.exc import DBAPIError

    from order_manager.cli.house import database_trouble

    screen = _console()
    with Live(Text("looking ..."), console=screen, screen=screen.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                shown = _screen(look(rt, data_dir), is_narrow=screen.width < NARROW)
            except DBAPIError as error:  # it may come back
                shown = Text(database_trouble(rt.settings, error), style="red")
            live.update(shown, refresh=True)
            time.sleep(every_s)


def _screen(told: Told, *, is_narrow: bool = False) -> Any:
    from rich.console import Group

    from order_manager.cli.showing import clock, since, table

    account = told["account"]
    head = (
        f"{clock(told['timestamp'])}  {told['environment']}{', dry run' if told['dry_run'] else ''};"
        f" trading {account['mode']}; balance {account['available_balance'] or 'unknown'}"
        f" ({since(account['balance_at']) or 'never'} old), reserved {account['reserved']};"
        f" exposure {told['exposure']['total']} of {told['exposure']['limit']};"
        f" {told['symbol_workers']} symbol workers"
    )
    parts: list[Any] = [head, *_findings(told["findings"])]
    parts.append(_waiting(told["waiting"]))
    parts += _lanes(told, is_narrow=is_narrow)
    parts += _orders(told, is_narrow=is_narrow)
    parts += _positions(told, is_narrow=is_narrow)
    parts += _adjustments(told)
    dependencies = [(one["name"], one["state"], one["text"]) for one in told["dependencies"]]
    parts.append(table("dependencies", ("name", "state", ""), dependencies))
    if rows := _processes(told):
        parts.append(table("processes", ("process", "pid", "host", "state", "for", "heard"), rows))
    return Group(*parts)


def _findings(findings: Sequence[Told]) -> list[Any]:
    from rich.text import Text

    from order_manager.cli.showing import COLOURS

    return [Text(f"{one['level']}: {one['text']} → {one['mend']}", COLOURS[one["level"]]) for one in findings]


def _processes(told: Told) -> list[tuple[Any, ...]]:
    """Those of the fleet on this machine, and all that told of themselves."""
    from order_manager.cli.showing import age, since

    beats = {(one["name"], one["host"]): one for one in told["heartbeats"] or ()}
    rows = []
    for row in told["processes"]:
        beat = beats.pop((row["name"], socket.gethostname()), None)
        state = "SILENT" if beat and not beat["heard"] and row["state"] == "RUNNING" else row["state"]
        heard = f"{age(beat['age_s'])} ago" if beat else ""
        rows.append((row["name"], row["pid"], "", state, since(row["started_at"]), heard))
    for beat in beats.values():
        state = "heard" if beat["heard"] else "SILENT"
        heard = f"{age(beat['age_s'])} ago"
        rows.append((beat["name"], beat["pid"], beat["host"], state, since(beat["started_at"]), heard))
    return rows


def _lanes(told: Told, *, is_narrow: bool) -> list[Any]:
    from order_manager.cli.showing import age, since

    rows = []
    for lane in told["lanes"]:
        compared = lane["reconciliation"]
        failed = f"failed: {compared['error']}" if compared["result"] == "failed" else ""
        found = f", {compared['corrected_orders']} corrected" if compared["corrected_orders"] else ""
        rows.append(
            (
                lane["asset"],
                lane["mode"],
                "yes" if lane["leased"] else "NO",
                lane["depth"],
                age(lane["oldest_signal_age_s"]),
                lane["open_orders"],
                lane["in_flight_orders"],
                lane["waiting_updates"],
                failed
                or (f"{since(compared['completed_at'])} ago{found}" if compared["completed_at"] else "never"),
                _blocked(lane),
            )
        )
    if not rows:
        return ["no lanes: no signal of a listed symbol has come yet"]
    columns = (
        *("symbol", "mode", "worker", "waiting", "oldest", "open orders", "in flight", "updates"),
        *("compared", "blocked"),
    )
    more = "" if told["lanes_total"] == len(rows) else f", the first {len(rows)} of {told['lanes_total']}"
    return [
        _fitted(
            f"lanes{more}",
            columns,
            rows,
            wide={"mode", "open orders", "updates", "compared"},
            is_narrow=is_narrow,
        )
    ]


def _fitted(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, wide: set[str], is_narrow: bool
) -> Any:
    """A table; a narrow screen has no room for its `wide` columns."""
    from order_manager.cli.showing import table

    kept = [index for index, name in enumerate(columns) if not (is_narrow and name in wide)]
    return table(title, [columns[index] for index in kept], [[row[index] for index in kept] for row in rows])


def _blocked(lane: Told) -> str | None:
    from order_manager.cli.showing import clock

    if lane["blocked_reason"] and lane["retry_at"]:
        return f"{lane['blocked_reason']}; again at {clock(lane['retry_at'])[11:19]}"
    return str(lane["blocked_reason"]) if lane["blocked_reason"] else None


def _orders(told: Told, *, is_narrow: bool) -> list[Any]:
    from order_manager.cli.showing import since

    rows = [
        (
            one["client_order_id"],
            one["signal_id"],
            f"{one['side']} {one['quantity']} {one['asset']} @ {one['price'] or 'market'}",
            one["request"],
            since(one["requested_at"]) or "not sent",
        )
        for one in told["in_flight_orders"]
    ]
    columns = ("client order id", "signal", "order", "request", "unanswered for")
    return (
        [_fitted("orders in flight", columns, rows, wide={"signal", "request"}, is_narrow=is_narrow)]
        if rows
        else ["no orders in flight"]
    )


def _positions(told: Told, *, is_narrow: bool) -> list[Any]:
    from order_manager.cli.showing import number

    rows = [
        (
            one["asset"],
            one["side"],
            one["size"],
            number(one["average_entry_price"]),
            one["mark_price"],
            number(one["unrealized_pnl"]),
            number(one["realized_pnl"]),
            number(one["fees"]),
        )
        for one in told["positions"]
    ]
    columns = ("symbol", "side", "size", "entry", "mark", "unrealized PnL", "realized PnL", "fees")
    return (
        [
            _fitted(
                "positions, by our own fills",
                columns,
                rows,
                wide={"mark", "realized PnL", "fees"},
                is_narrow=is_narrow,
            )
        ]
        if rows
        else ["no positions"]
    )


def _adjustments(told: Told) -> list[Any]:
    from order_manager.cli.showing import clock, table

    rows = [
        (one["asset"], f"{one['size_before']} -> {one['size_after']}", clock(one["at"]), one["source"])
        for one in told["adjustments"]
    ]
    columns = ("symbol", "size", "at (UTC)", "source")
    return [table("positions set right, 24 h", columns, rows)] if rows else []


def _waiting(waiting: Told) -> str:
    from order_manager.cli.showing import age

    queued = waiting["queued_signals"]
    said = [f"{'unknown' if queued is None else queued} messages on the signal queue"]
    said += [
        f"{waiting[count]} {name}" + (f" (oldest {age(waiting[oldest])})" if waiting[count] else "")
        for name, count, oldest in (
            ("events to publish", "outbox_events", "outbox_oldest_age_s"),
            ("updates to apply", "updates", "updates_oldest_age_s"),
            ("new dead letters", "dead_letters", "dead_letters_oldest_age_s"),
        )
    ]
    if waiting["signals_without_lane"]:
        said.append(f"{waiting['signals_without_lane']} signals of symbols without a lane")
    return f"waiting: {', '.join(said)}"
