"""python -m tests.chaos: the long form, on one broker or both, with a report."""

import argparse
import os
import random
import signal
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from order_manager.embedded.rabbitmq import is_installed as rabbitmq_is_installed
from tests.chaos import report
from tests.chaos.plan import RABBITMQ, REDIS, Plan
from tests.chaos.run import run
from tests.scenarios.house import ROOT

WIDTH = 150  # where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every promise was kept on every broker, 1 when one was broken, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    os.chdir(ROOT)
    os.environ["NO_PROXY"] = "*"
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    brokers = [REDIS, RABBITMQ] if options.broker == "both" else [options.broker]
    if RABBITMQ in brokers and not rabbitmq_is_installed():
        console.print("RabbitMQ is not installed (apt-get install rabbitmq-server): its half is left out")
        brokers.remove(RABBITMQ)
    is_kept = bool(brokers)
    try:
        for broker in brokers:
            plan = Plan(
                broker=broker,
                seed=options.seed,
                signals=options.signals,
                kills=options.kills,
                faults=options.faults,
                workers=options.workers,
                seconds=options.seconds,
            )
            result = run(plan, say=lambda what: console.print(what, soft_wrap=True), keep=options.keep)
            report.show(console, result)
            is_kept = is_kept and result.is_kept
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started is stopped")
        return 130
    console.print(f"seed {options.seed}: {'every promise was kept' if is_kept else 'A PROMISE WAS BROKEN'}")
    return 0 if is_kept else 1


def _interrupt(*_: Any) -> None:
    """SIGTERM unwinds like Ctrl-C, so that nothing is left running."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--broker", choices=[REDIS, RABBITMQ, "both"], default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of load and schedule")
    parser.add_argument("--signals", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs of the fleet's processes, at least")
    parser.add_argument("--faults", type=int, default=1_000, help="requests and messages gone wrong, about")
    parser.add_argument("--workers", type=int, default=2, help="symbol workers")
    parser.add_argument("--seconds", type=float, default=0, help="of load; 0: what signals and kills need")
    parser.add_argument("--keep", action="store_true", help="keep the folder though every promise was kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
