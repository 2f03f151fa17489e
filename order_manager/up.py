"""`order-manager up`: plan the fleet, start it, show it, run the demo, stay, stop."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from dotenv import dotenv_values
from rich.console import Console

from order_manager.errors import OrderManagerError
from order_manager.fleet.lock import only_fleet
from order_manager.fleet.plan import SERVERS, FleetPlan, plan_fleet, server_programs
from order_manager.fleet.running import RPC_ERRORS, Fleet, wait_for_predecessor
from order_manager.fleet.screen import say, show_fleet, step

Demo = Callable[[Mapping[str, str], Console], bool]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEFAULT_PORT = 4600


class StopRequested(BaseException):
    """Ctrl-C or a signal that asks us to end. Not an Exception: nobody should take it for a failure."""


class StopSignals:
    """The first signal interrupts what is going on; the next one hurries the stopping."""

    def __init__(self, hurry: Callable[[], None]) -> None:
        self.stopping = False
        self._hurry = hurry

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take the signals until the end of the block."""
        before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self._hurry()
        else:
            self.stopping = True
            raise StopRequested(signal.Signals(number).name)


def up(
    data_dir: Path,
    *,
    workers: int = 2,
    port: int | None = None,
    demo: Demo | None = None,
    exit_after: bool = False,
    console: Console | None = None,
) -> int:
    """Run the whole system on this machine until Ctrl-C, or with `exit_after` until the demo is done.

    `port` is the REST API's, by default the configured one. `demo` gets the environment of the fleet once all
    runs, and says whether what it saw was right.

    Returns the exit status: 0 when all went well, the demo included; 1 when something could not be started,
    went wrong or the demo failed, which has been said on `console`. Main thread only: it handles signals.
    """
    # Into a file or a CI log rich would write for a terminal of 80 columns.
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    configured = {name: value for name, value in dotenv_values(".env").items() if value} | dict(os.environ)
    data_dir = data_dir.absolute()
    with ExitStack() as stack:
        try:
            stack.enter_context(only_fleet(data_dir))
            wait_for_predecessor(data_dir / "run")
            port = port or configured_port(configured)
            plan = plan_fleet(data_dir, workers=workers, port=port, configured=configured)
            plan = prepare_servers(plan, console)
        except (OrderManagerError, ValueError, OSError) as error:
            say(console, f"cannot start: {error}")
            return 1
        return run_fleet(plan, demo=demo, exit_after=exit_after, console=console)


def run_fleet(
    plan: FleetPlan,
    *,
    demo: Demo | None = None,
    exit_after: bool = False,
    console: Console,
) -> int:
    """Start what `plan` says, its servers prepared; stay as `up` does; stop. Returns the exit status."""
    fleet = Fleet(plan.data_dir, plan.programs, env=plan.env)
    signals = StopSignals(fleet.hurry.set)
    with signals.handled():
        try:
            try:
                start(fleet, plan, console)
                show_fleet(console, plan, fleet.pids())
                succeeded = demo is None or demo(plan.env, console)
                return int(not succeeded) if exit_after else stay(fleet, console)
            finally:
                signals.stopping = True
        except StopRequested as request:
            say(console, f"{request}: stopping; once more to hurry")
            return int(exit_after)
        except (OrderManagerError, *RPC_ERRORS) as error:
            say(console, f"failed: {error}")
            return 1
        finally:
            stop(fleet, console)


def prepare_servers(plan: FleetPlan, console: Console) -> FleetPlan:
    """Create what the embedded servers need, and put them in front of the plan's programs."""
    if plan.postgres:
        with step(console, f"database folder {plan.postgres.cluster}"):
            plan.postgres.prepare()
    if plan.redis:
        plan.redis.prepare()
    return replace(plan, programs=(*server_programs(plan.postgres, plan.redis), *plan.programs))


def start(fleet: Fleet, plan: FleetPlan, console: Console) -> None:
    with step(console, "supervisor"):
        fleet.open()
    migrated = not plan.migrate
    for priority in fleet.stages:
        if not migrated and priority > SERVERS:
            migrate(fleet, plan, console)
            migrated = True
        names = ", ".join(program.name for program in fleet.programs if program.priority == priority)
        with step(console, names):
            fleet.start_stage(priority)
    if plan.ping:
        with step(console, "workers answer"):
            fleet.run_once("ping", plan.ping)
    fleet.all_started()


def migrate(fleet: Fleet, plan: FleetPlan, console: Console) -> None:
    with step(console, "database schema"):
        if plan.postgres:
            plan.postgres.create_database()
        fleet.run_once("migrate", plan.migrate)


def stay(fleet: Fleet, console: Console) -> int:
    """Wait for a signal, which leaves by StopRequested. Returns 1 when the supervisor dies under us."""
    say(console, "running; Ctrl-C stops everything")
    while fleet.is_supervised:
        time.sleep(0.5)
    say(console, f"the supervisor ended unexpectedly; see {fleet.log_path('supervisord')}")
    return 1


def stop(fleet: Fleet, console: Console) -> None:
    for killed in fleet.stop(lambda names: say(console, f"stopping {', '.join(names)}")):
        say(console, f"had to be killed: {killed}")
    say(console, "stopped")


def configured_port(configured: Mapping[str, str]) -> int:
    """ORDERMANAGER_PORT in either spelling, else 4600. Raises ValueError naming it if it is no port."""
    for name in ("ORDERMANAGER_PORT", "ORDER_MANAGER_PORT"):
        if text := configured.get(name):
            if not text.isdecimal() or not 0 < int(text) < 65536:
                raise ValueError(f"{name}={text} is not a port: set a number from 1 to 65535")
            return int(text)
    return DEFAULT_PORT
