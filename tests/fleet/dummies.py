"""A small fleet to start and to kill: `python -m tests.fleet.dummies <data folder> [--exit] [--stubborn]`."""

import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from order_manager.embedded.processes import minimal_environment
from order_manager.fleet import FleetPlan, Program
from order_manager.fleet.lock import only_fleet
from order_manager.up import run_fleet

SLEEPER = "import time; time.sleep(600)"
# A parent with a child in its own process group, as Celery's prefork; the parent's end takes the child along.
FAMILY = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def leave(*_):
    child.kill(); child.wait(); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
time.sleep(600)
"""
# Does not care about SIGTERM, nor about its child.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""


def dummy(name: str, code: str, *, priority: int = 10, stop_wait_s: float = 5, **more: object) -> Program:
    argv = (sys.executable, "-c", code)
    env = minimal_environment() | {"GREETING": "50% \"off\" 'today'"}
    return Program(name=name, argv=argv, env=env, priority=priority, stop_wait_s=stop_wait_s, **more)  # type: ignore[arg-type]


def main() -> int:
    data_dir = Path(sys.argv[1])
    code = STUBBORN if "--stubborn" in sys.argv else FAMILY
    programs = (dummy("server", SLEEPER), dummy("worker-1", code, priority=20, stop_wait_s=60))
    plan = FleetPlan(
        data_dir=data_dir, programs=programs, env={"REDIS_HOST": "here", "ORDERMANAGER_API_KEY": "k"}
    )
    with only_fleet(data_dir):
        return run_fleet(plan, exit_after="--exit" in sys.argv, console=Console())


if __name__ == "__main__":
    # pytest in the background of a shell ignores SIGINT, and its children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("COLUMNS", "120")
    sys.exit(main())
