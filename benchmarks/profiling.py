"""`python -m benchmarks profile`: one symbol worker's path in this process, under cProfile.

Inbox rows are written directly and `run_lane` is called for each, on the real servers; what Celery and the
consumer cost is left out, unless `--part receive` asks for the consumer's half instead.
"""

import cProfile
import io
import os
import pstats
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from benchmarks.servers import (
    RABBITMQ,
    TEMPLATE,
    PaperExchange,
    Servers,
    running_exchange,
    running_servers,
    temporary_folder,
)
from benchmarks.settings import house_environment
from benchmarks.signals import SignalSource, symbols
from benchmarks.statements import StatementCounter

TOP = 40
# Where the wall clock goes: everything else is Python between these.
PARTS = (
    ("SQL, in the driver", r"\{method 'execute' of 'psycopg2\.extensions\.cursor' objects\}"),
    ("exchange, on the wire", r"urllib3/connectionpool\.py:\d+\(_make_request\)"),
    ("events to the broker", r"messaging/publisher\.py:\d+\(publish\)"),
    ("rate governor", r"bybit/governor\.py:\d+\(_ask\)"),
    ("log lines", r"logging/__init__\.py:\d+\(handle\)"),
)


@dataclass
class Rehearsal:
    """What is called once per signal, and what has to be put in place before, off the clock."""

    prepare: Callable[[tuple[str, str, bytes]], Any]
    act: Callable[[Any], None]


def profile(
    console: Console,
    *,
    signals: int,
    broker: str,
    symbol_count: int,
    backlog: int,
    part: str,
    save: Path | None,
) -> None:
    with temporary_folder() as folder:
        console.print("starting PostgreSQL, the broker and the paper exchange")
        with (
            running_servers(folder, with_rabbitmq=broker == RABBITMQ) as servers,
            running_exchange(folder) as exchange,
            (folder / "logs" / "profile.log").open("a", encoding="utf-8", buffering=1) as log,
        ):
            servers.postgres.create_database("bench_profile", template=TEMPLATE)
            rehearsal = _rehearsal(servers, exchange, broker, part, log)
            source = SignalSource(symbols(symbol_count), exchange.prices(), name="profile")
            _run(console, source, rehearsal, exchange, signals, symbol_count, backlog, save)


def _rehearsal(servers: Servers, exchange: PaperExchange, broker: str, part: str, log: TextIO) -> Rehearsal:
    os.environ.update(house_environment(servers, exchange, broker=broker, database="bench_profile"))
    # Read only now: Celery's configuration comes from the environment at import.
    from order_manager.consumer import signal_receiver
    from order_manager.logs import configure_logs
    from order_manager.messaging.signals import parse_signal
    from order_manager.queues import SIGNALS
    from order_manager.services.desk import utc_now
    from order_manager.services.open_symbol import open_symbol
    from order_manager.tasks.trading import wake_lane
    from order_manager.wiring import runtime

    rt = runtime()
    with redirect_stderr(log):  # JSON lines to a file, as a supervised process logs
        configure_logs(rt.settings, process="worker")
    lanes: set[str] = set()

    def ensure_lane(symbol: str) -> None:
        if symbol not in lanes:
            open_symbol(
                symbol,
                store=rt.inbox,
                exchange=rt.exchange,
                category=rt.desk.category,
                wake=lambda _: None,
                now=utc_now(),
            )
            lanes.add(symbol)

    def store(message: tuple[str, str, bytes]) -> str:
        _, symbol, body = message
        ensure_lane(symbol)
        rt.inbox.receive(parse_signal(body, headers={}, max_bytes=65536), body.decode())
        return symbol

    if part == "receive":
        handle = signal_receiver(rt).handle

        def open_only(message: tuple[str, str, bytes]) -> bytes:
            ensure_lane(message[1])
            return message[2]

        return Rehearsal(prepare=open_only, act=lambda body: handle(body, {}, SIGNALS))
    return Rehearsal(prepare=store, act=lambda symbol: void(wake_lane(symbol)))


def void(_: object) -> None:
    """A result that nobody needs."""


def _run(
    console: Console,
    source: SignalSource,
    rehearsal: Rehearsal,
    exchange: PaperExchange,
    signals: int,
    symbol_count: int,
    backlog: int,
    save: Path | None,
) -> None:
    def each(count: int, act: Callable[[Any], None]) -> None:
        """`backlog` signals per symbol wait each time that the path is run."""
        for _ in range(max(1, count // (symbol_count * backlog))):
            prepared = [rehearsal.prepare(message) for message in source.take(symbol_count * backlog)]
            for item in prepared[:symbol_count] if backlog > 1 else prepared:
                act(item)

    each(symbol_count * backlog * 3, rehearsal.act)
    rounds = max(1, signals // (symbol_count * backlog)) * symbol_count * backlog

    console.print(f"{rounds} signals without the profiler")
    times: list[float] = []
    counter = StatementCounter()
    seq = exchange.ledger_end()
    spent = 0.0

    def timed(item: Any) -> None:
        nonlocal spent
        started, cpu_started = time.perf_counter(), time.process_time()
        rehearsal.act(item)
        times.append(time.perf_counter() - started)
        spent += time.process_time() - cpu_started

    def counted(item: Any) -> None:
        with counter.counting():
            timed(item)

    each(signals, counted)
    calls = exchange.calls_since(seq)

    console.print(f"{rounds} signals with it")
    profiler = cProfile.Profile()

    def profiled(item: Any) -> None:
        profiler.enable()
        try:
            rehearsal.act(item)
        finally:
            profiler.disable()

    each(signals, profiled)
    _show_profile(console, profiler)
    _show_statements(console, counter, rounds)
    _show_sums(console, profiler, times, spent, calls, counter, rounds)
    if save is not None:
        profiler.dump_stats(save)
        console.print(f"saved in {save}; read it with `python -m pstats {save}`")


def _show_profile(console: Console, profiler: cProfile.Profile) -> None:
    for order in ("tottime", "cumulative"):
        out = io.StringIO()
        stats = pstats.Stats(profiler, stream=out)
        stats.sort_stats(order).print_stats(TOP)
        text = re.sub(r"\S*/site-packages/|\S*/lib/python3\.\d+/|/\S*/(?=order_manager/)", "", out.getvalue())
        console.rule(f"top {TOP} by {'own' if order == 'tottime' else 'cumulative'} time")
        console.print(text[text.index("ncalls") :].rstrip(), markup=False, highlight=False, no_wrap=True)


def _show_statements(console: Console, counter: StatementCounter, signals: int) -> None:
    table = Table("per signal", "ms each", "statement", title="SQL statements")
    for statement, count in counter.counts.most_common():
        each_ms = counter.seconds[statement] / count * 1000
        table.add_row(f"{count / signals:.2f}", f"{each_ms:.2f}", statement[:90])
    total_ms = sum(counter.seconds.values()) / signals * 1000
    table.add_section()
    table.add_row(f"{sum(counter.counts.values()) / signals:.2f}", f"{total_ms:.2f}", "all, ms per signal")
    console.print(table)


def _show_sums(
    console: Console,
    profiler: cProfile.Profile,
    times: list[float],
    cpu_s: float,
    calls: dict[str, int],
    counter: StatementCounter,
    signals: int,
) -> None:
    times = sorted(times)
    table = Table("", "per signal", title="the path")
    table.add_row("wall, mean", f"{sum(times) / signals * 1000:.2f} ms")
    table.add_row("wall of one run, p50", f"{times[len(times) // 2] * 1000:.2f} ms")
    table.add_row("wall of one run, p99", f"{times[int(len(times) * 0.99)] * 1000:.2f} ms")
    table.add_row("CPU of this process", f"{cpu_s / signals * 1000:.2f} ms")
    for endpoint, count in sorted(calls.items()):
        table.add_row(f"calls {endpoint}", f"{count / signals:.2f}")
    table.add_section()
    for name, pattern in PARTS:
        table.add_row(
            f"{name}, under the profiler", f"{_cumulative(profiler, pattern) / signals * 1000:.2f} ms"
        )
    console.print(table)


def _cumulative(profiler: cProfile.Profile, pattern: str) -> float:
    """Seconds in the functions that match, with all that they call."""
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, Any]]
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    total = 0.0
    for (file, line, name), (_, _, _, cumulative, _) in stats.items():
        label = f"{{{name[1:-1]}}}" if file == "~" else f"{file}:{line}({name})"
        if re.search(pattern, label):
            total += cumulative
    return total
