"""Measure the whole house against its floor; with `profile`, see where the time of one path goes."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import profiling
from benchmarks.servers import RABBITMQ, REDIS, ROOT


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    os.chdir(ROOT)
    os.environ["NO_PROXY"] = "*"
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    try:
        _profile(console, options)
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started is stopped")
        return 130
    return 0


def _interrupt(*_: Any) -> None:
    """SIGTERM unwinds like Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    path = commands.add_parser("profile", help="one path in this process, under cProfile")
    path.add_argument("--signals", type=int, default=500)
    path.add_argument("--broker", choices=[REDIS, RABBITMQ], default=REDIS)
    path.add_argument("--symbols", type=int, default=5)
    path.add_argument(
        "--backlog", type=int, default=1, help="signals that wait when a lane is run, at most 5"
    )
    path.add_argument("--part", choices=["lane", "receive"], default="lane")
    path.add_argument("--save", type=Path, help="keep the profile for pstats or a viewer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
