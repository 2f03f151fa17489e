"""Measure the whole house against its floor; with `profile`, see where the time of one path goes."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import profiling, report
from benchmarks.measuring import MeasuringFailed
from benchmarks.plan import RunPlan
from benchmarks.run import Run
from benchmarks.servers import RABBITMQ, REDIS, ROOT
from order_manager.embedded.rabbitmq import is_installed as rabbitmq_is_installed

NO_RABBITMQ = "RabbitMQ is not installed (apt-get install rabbitmq-server): its half is left out"
WIDTH = 130  # where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """0 whether goals are met or not: a benchmark measures. 1 when it could not, 130 when interrupted; both
    tell what was measured until then."""
    options = _parser().parse_args(arguments)
    os.chdir(ROOT)
    os.environ["NO_PROXY"] = "*"
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        if options.command == "profile":
            _profile(console, options)
            return 0
        return _measure(console, options)
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started is stopped")
        return 130


def _interrupt(*_: Any) -> None:
    """SIGTERM unwinds like Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


def _measure(console: Console, options: argparse.Namespace) -> int:
    brokers = [REDIS, RABBITMQ] if options.broker == "both" else [options.broker]
    has_no_rabbitmq = RABBITMQ in brokers and not rabbitmq_is_installed()
    if has_no_rabbitmq:
        brokers.remove(RABBITMQ)
        console.print(f"[bold]{NO_RABBITMQ}[/]")
        if not brokers:
            return 1
    plan = RunPlan(
        brokers=tuple(brokers),
        rate=options.rate,
        seconds=options.seconds,
        burst=options.burst,
        symbols=options.symbols,
        many_symbols=options.many_symbols,
        old_orders=options.old_orders,
        workers=options.workers,
    )
    plan = plan.shortened() if options.quick else plan
    run = Run(plan, console, keep_logs=options.keep_logs)
    status = 0
    try:
        run.measure()
    except MeasuringFailed as error:
        console.print(f"[bold red]stopped:[/] {error}")
        status = 1
    finally:
        report.show(console, run.results, plan)
        if has_no_rabbitmq:
            console.print(f"[bold]{NO_RABBITMQ}[/]")
        if options.json is not None:
            report.write_json(options.json, run.results, plan)
            console.print(f"written to {options.json}")
    return status


def _profile(console: Console, options: argparse.Namespace) -> None:
    profiling.profile(
        console,
        signals=options.signals,
        broker=options.broker,
        symbol_count=options.symbols,
        backlog=options.backlog,
        part=options.part,
        save=options.save,
    )


def _parser() -> argparse.ArgumentParser:
    plan = RunPlan(brokers=())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--broker", choices=[REDIS, RABBITMQ, "both"], default="both")
    parser.add_argument("--rate", type=float, default=plan.rate, help="signals per second, for the latency")
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="how long at that rate")
    parser.add_argument("--burst", type=int, default=plan.burst, help="signals at once, for the saturation")
    parser.add_argument("--symbols", type=int, default=plan.symbols)
    many, old = plan.many_symbols, plan.old_orders
    parser.add_argument("--many-symbols", type=int, default=many, help="the variant's; 0 leaves it out")
    parser.add_argument("--old-orders", type=int, default=old, help="the variant's; 0 leaves it out")
    parser.add_argument("--workers", type=int, default=plan.workers, help="symbol workers")
    parser.add_argument("--quick", action="store_true", help="less of everything, variants on one broker")
    parser.add_argument("--keep-logs", type=Path, help="copy every process's log to this folder at the end")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    commands = parser.add_subparsers(dest="command")
    _add_profile(commands.add_parser("profile", help="one path in this process, under cProfile"))
    return parser


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--signals", type=int, default=500)
    parser.add_argument("--broker", choices=[REDIS, RABBITMQ], default=REDIS)
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument(
        "--backlog", type=int, default=1, help="signals waiting when a lane is run, at most 5"
    )
    parser.add_argument("--part", choices=["lane", "receive"], default="lane")
    parser.add_argument("--save", type=Path, help="keep the profile for pstats or a viewer")


if __name__ == "__main__":
    sys.exit(main())
