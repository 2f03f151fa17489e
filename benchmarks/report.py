"""The figures as tables for people and as JSON for machines, with the goals and what is missed of them."""

import json
import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Phase
from benchmarks.plan import BrokerResult, Measured, RunPlan
from benchmarks.servers import RABBITMQ

P50_GOAL, P99_GOAL = 2.0, 5.0  # times the floor's
RATE_GOAL = 100.0  # signals per second, on RabbitMQ with two workers
SAME = 1.25  # a ratio up to here counts as the same cost: two runs of one build differ by as much


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A goal and how near we are."""

    broker: str
    goal: str
    figure: str
    is_met: bool


def verdicts(result: BrokerResult, plan: RunPlan) -> Iterator[Verdict]:
    """Every goal that this broker's figures can answer."""
    ours, floor = result.ours, result.floor

    def verdict(goal: str, figure: str, is_met: bool) -> Verdict:
        return Verdict(broker=result.broker, goal=goal, figure=figure, is_met=is_met)

    lost = sum(phase.not_accepted for one in _all(result) for phase in (one.paced, one.burst))
    yield verdict("every signal accepted", f"{lost} were not", lost == 0)
    at = f"at {plan.rate:g} signals/s"
    p50 = ratio(ours.paced.latency.p50, floor.paced.latency.p50)
    p99 = ratio(ours.paced.latency.p99, floor.paced.latency.p99)
    yield verdict(f"p50 at most {P50_GOAL:g} x the floor's {at}", f"{p50:.2f} x", p50 <= P50_GOAL)
    yield verdict(f"p99 at most {P99_GOAL:g} x the floor's {at}", f"{p99:.2f} x", p99 <= P99_GOAL)
    if result.broker == RABBITMQ:
        rate = ours.burst.per_second
        what = f"at least {RATE_GOAL:g} signals/s, {plan.workers} workers, exchange included"
        yield verdict(what, f"{rate:.0f}/s", rate >= RATE_GOAL)
    for name, variant in result.variants.items():
        cpu = ratio(variant.paced.cpu_ms_in_all, ours.paced.cpu_ms_in_all)
        p50 = ratio(variant.paced.latency.p50, ours.paced.latency.p50)
        yield verdict(f"with {name}: CPU per signal the same", f"{cpu:.2f} x", cpu <= SAME)
        yield verdict(f"with {name}: p50 the same", f"{p50:.2f} x", p50 <= SAME)


def _all(result: BrokerResult) -> list[Measured]:
    return [result.ours, *result.variants.values()]


def ratio(ours: float, other: float) -> float:
    return ours / other if other else math.nan


def show(console: Console, results: Sequence[BrokerResult], plan: RunPlan) -> None:
    for result in results:
        console.print(_overview(result, plan))
        console.print(_by_process(result))
        console.print(_calls(result))
    table = Table("broker", "goal", "measured", "", title="goals")
    judged = [verdict for result in results for verdict in verdicts(result, plan)]
    for one in judged:
        mark = "[green]met[/green]" if one.is_met else "[red]missed[/red]"
        table.add_row(one.broker, one.goal, one.figure, mark)
    console.print(table)
    missed = sum(not one.is_met for one in judged)
    console.print(f"{len(judged)} goals: {len(judged) - missed} met, {missed} missed")


def _overview(result: BrokerResult, plan: RunPlan) -> Table:
    """Ours against the floor, and each variant against ours."""
    ours, floor = result.ours, result.floor
    table = Table(title=f"{result.broker}: publish to exchange acceptance", title_justify="left")
    table.add_column("")
    for name in ("ours", "floor", "ours / floor", *result.variants):
        table.add_column(name, justify="right")
    rows: list[tuple[str, Any, str]] = [
        (f"p50 at {plan.rate:g}/s, ms", lambda one: one.paced.latency.p50, ".1f"),
        ("p95, ms", lambda one: one.paced.latency.p95, ".1f"),
        ("p99, ms", lambda one: one.paced.latency.p99, ".1f"),
        ("signals/s at saturation", lambda one: one.burst.per_second, ".0f"),
        ("CPU per signal, paced, ms", lambda one: one.paced.cpu_ms_in_all, ".1f"),
        ("CPU per signal, saturated, ms", lambda one: one.burst.cpu_ms_in_all, ".1f"),
        ("SQL statements per signal", lambda one: one.statements, ".1f"),
        ("exchange calls per signal, paced", lambda one: sum(one.calls.values()) or 1.0, ".2f"),
        ("exchange calls per signal, saturated", lambda one: sum(one.burst_calls.values()) or 1.0, ".2f"),
        ("memory of all processes, MiB", lambda one: sum(one.memory_mib.values()), ".0f"),
        ("not accepted", lambda one: one.paced.not_accepted + one.burst.not_accepted, "d"),
    ]
    for title, figure, form in rows:
        cells = [format(figure(ours), form)]
        cells.append(format(figure(floor), form))
        cells.append(f"{ratio(figure(ours), figure(floor)):.2f}" if form != "d" else "")
        for variant in result.variants.values():
            times = ratio(figure(variant), figure(ours))
            beside = f" ({times:.2f} x)" if form != "d" else ""
            cells.append(format(figure(variant), form) + beside)
        table.add_row(title, *cells)
    table.add_section()
    for stage in ours.paced.stages_ms:
        cells = [_stage(one.paced, stage) for one in _all(result)]
        table.add_row(f"{stage}: median, of slowest 5 %", cells[0], "", "", *cells[1:])
    return table


def _stage(phase: Phase, stage: str) -> str:
    """ms in the middle of all signals, and of the slowest twentieth."""
    middle, slow = (times.get(stage, math.nan) for times in (phase.stages_ms, phase.slow_stages_ms))
    return f"{middle:.1f}, {slow:.1f}"


def _by_process(result: BrokerResult) -> Table:
    ours = result.ours
    table = Table(title=f"{result.broker}: by process", title_justify="left")
    for name in ("", "CPU paced, ms/signal", "CPU saturated, ms/signal", "memory, MiB"):
        table.add_column(name, justify="right" if name else "left")
    for name, ms in sorted(ours.burst.cpu_ms.items(), key=lambda pair: -pair[1]):
        memory = f"{ours.memory_mib.get(name, 0):.0f}"
        table.add_row(name, f"{ours.paced.cpu_ms.get(name, 0):.2f}", f"{ms:.2f}", memory)
    return table


def _calls(result: BrokerResult) -> Table:
    table = Table("exchange endpoint", title=f"{result.broker}: calls per signal", title_justify="left")
    columns = {"ours, paced": result.ours.calls, "saturated": result.ours.burst_calls}
    columns |= {f"{name}, paced": one.calls for name, one in result.variants.items()}
    for name in columns:
        table.add_column(name, justify="right")
    for endpoint in sorted({name for column in columns.values() for name in column}):
        table.add_row(endpoint, *(f"{column.get(endpoint, 0):.2f}" for column in columns.values()))
    return table


def as_json(results: Sequence[BrokerResult], plan: RunPlan) -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "plan": asdict(plan),
        "results": [asdict(result) | _rates(result) for result in results],
        "goals": [asdict(verdict) for result in results for verdict in verdicts(result, plan)],
    }


def _rates(result: BrokerResult) -> dict[str, Any]:
    """Signals per second at saturation, which the phases have only as counts and seconds."""
    subjects = {"ours": result.ours, "floor": result.floor, **result.variants}
    return {"signals_per_second": {name: round(one.burst.per_second, 1) for name, one in subjects.items()}}


def write_json(path: Path, results: Sequence[BrokerResult], plan: RunPlan) -> None:
    path.write_text(json.dumps(as_json(results, plan), indent=2) + "\n")
