"""The fleet: a supervisord of ours, its programs started in stages, and an end that leaves nobody behind."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from order_manager.embedded.processes import (
    descendants,
    ending_with_parent,
    kill_all,
    log_tail,
    minimal_environment,
)
from order_manager.fleet.programs import FleetError, Program
from order_manager.fleet.supervisor import ProcessInfo, SupervisorClient, answers, write_configuration
from order_manager.fleet.watching import Watcher, write_environment

POLL_S = 0.05
RPC_ERRORS = (OSError, xmlrpc.client.Error, http.client.HTTPException)


class Fleet:
    """Programs under one supervisor, in `data_dir`: run/ (configuration), logs/, fleet.json, fleet.env.

    Use from the main thread: the kernel takes the end of the starting thread for the end of the parent.
    """

    def __init__(self, data_dir: Path, programs: Sequence[Program], *, env: Mapping[str, str]) -> None:
        self.data_dir = data_dir.absolute()
        self.programs = tuple(programs)
        self.env = dict(env)
        self.hurry = threading.Event()  # set: stop() no longer waits for anybody
        self._run_dir = self.data_dir / "run"
        self._socket_dir: Path | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._watcher: Watcher | None = None

    @property
    def stages(self) -> list[int]:
        """The priorities that occur, in the order of starting."""
        return sorted({program.priority for program in self.programs})

    @property
    def is_supervised(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def log_path(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """The pid of each program that runs, at most half a second old."""
        return self._watcher.pids() if self._watcher else {}

    def open(self) -> None:
        """Start the supervisor, with no program yet. Raises FleetError when it does not answer."""
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._run_dir.chmod(0o700)
        (self.data_dir / "logs").mkdir(exist_ok=True)
        wait_for_predecessor(self._run_dir)
        self._socket_dir = new_socket_folder(self._run_dir / "socket-folder")
        socket_path = self._socket_dir / "supervisor.sock"
        conf = write_configuration(self._run_dir, socket_path, self.programs, cwd=Path.cwd())
        argv = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
        argv += ["-u", "root"] if os.geteuid() == 0 else []  # says that we mean it
        with self.log_path("supervisord.out").open("ab") as out:
            self._supervisor = subprocess.Popen(
                ending_with_parent(argv),
                cwd=self._run_dir,
                env=minimal_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await_supervisor(socket_path)
        self._client = SupervisorClient(socket_path)
        write_environment(self.data_dir / "fleet.env", self.env)
        self._watcher = Watcher(
            self.programs,
            socket_path=socket_path,
            supervisor_pid=self._supervisor.pid,
            data_dir=self.data_dir,
        )
        self._watcher.start()

    def _await_supervisor(self, socket_path: Path) -> None:
        deadline = time.monotonic() + 15
        while not answers(socket_path):
            if not self.is_supervised or time.monotonic() > deadline:
                raise FleetError(f"supervisord did not start:\n{log_tail(self.log_path('supervisord.out'))}")
            time.sleep(POLL_S)

    def start_stage(self, priority: int) -> None:
        """Start one stage's programs; returns when all are ready. Raises FleetError naming one that isn't."""
        waiting = [program for program in self.programs if program.priority == priority]
        for program in waiting:
            self._client.start(program)
        started = time.monotonic()
        while waiting:
            infos = {info.name: info for info in self._client.processes()}
            waiting = [program for program in waiting if not self._is_ready(program, infos[program.name])]
            for program in waiting:
                if time.monotonic() - started > program.ready_timeout_s:
                    raise self.failure(program.name, f"was not ready after {program.ready_timeout_s:.0f} s")
            time.sleep(POLL_S)

    def _is_ready(self, program: Program, info: ProcessInfo) -> bool:
        if info.has_failed:
            raise self.failure(program.name, "ended while starting")
        if program.ready is None:
            return info.state == "RUNNING"
        return info.pid != 0 and program.ready()

    def failure(self, name: str, what: str) -> FleetError:
        """An error about one program, with the end of its log."""
        path = self.log_path(name)
        return FleetError(f"{name} {what}; the end of {path}:\n{log_tail(path)}")

    def all_started(self) -> None:
        """From now on a program that fails for good is tried again and again."""
        if self._watcher:
            self._watcher.revives = True

    def run_once(self, name: str, argv: Sequence[str], *, timeout_s: float = 120.0) -> None:
        """Run a command of the fleet to its end. Raises FleetError with the end of its log if it fails."""
        path = self.log_path(name)
        with path.open("ab") as out:
            process = subprocess.Popen(
                ending_with_parent(argv),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(name, f"did not end within {timeout_s:.0f} s") from None
        finally:
            kill_all([*descendants(process.pid)])
            process.kill()
            process.wait()
        if status != 0:
            raise self.failure(name, f"ended with status {status}")

    def stop(self, on_stage: Callable[[list[str]], None] = lambda names: None) -> list[str]:
        """Stop everything, the last stage first; then whoever is left, by SIGKILL. Safe to repeat.

        Returns a line for each process that had to be killed. With `hurry` set nobody is asked politely.
        """
        killed: list[psutil.Process] = []
        if self._supervisor is not None:
            family = set(descendants(self._supervisor.pid))
            if self._watcher:
                self._watcher.stop()
                family |= self._watcher.family
                for priority in reversed(self.stages):
                    if self.is_supervised and not self.hurry.is_set():
                        on_stage([program.name for program in self.programs if program.priority == priority])
                        self._stop_stage(priority)
                self._client.close()
            family |= set(descendants(self._supervisor.pid))
            self._end_supervisor()
            killed = kill_all(sorted(family, key=lambda process: process.pid))
            self._supervisor = None
        for name in ("fleet.json", "fleet.env"):
            (self.data_dir / name).unlink(missing_ok=True)
        if self._socket_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        return [f"pid {process.pid}" for process in killed]

    def _stop_stage(self, priority: int) -> None:
        members = [program for program in self.programs if program.priority == priority]
        names = {program.name for program in members}
        # The supervisor kills at its own deadline; a little later we stop believing that it will.
        deadline = time.monotonic() + max(program.stop_wait_s for program in members) + 3
        with contextlib.suppress(*RPC_ERRORS):
            self._client.stop_group(members[0].group)
            while time.monotonic() < deadline and not self.hurry.is_set():
                if all(info.is_down for info in self._client.processes() if info.name in names):
                    return
                time.sleep(POLL_S)

    def _end_supervisor(self) -> None:
        assert self._supervisor is not None
        if not self.hurry.is_set():
            self._supervisor.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(10)
        self._supervisor.kill()  # before its programs, or it would start them again
        self._supervisor.wait()


def new_socket_folder(remembered: Path) -> Path:
    """A short path: addresses of Unix sockets end at about 107 characters. The last one is removed."""
    if remembered.exists():
        shutil.rmtree(remembered.read_text(), ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="om-"))
    remembered.write_text(str(folder))
    return folder


def wait_for_predecessor(run_dir: Path, *, patience_s: float = 45.0) -> None:
    """Return when no supervisor of this folder runs any more.

    When `up` itself was killed, the supervisor it left takes a while to stop its programs.
    """
    try:
        process = psutil.Process(int((run_dir / "supervisord.pid").read_text()))
        if str(run_dir / "supervisord.conf") not in process.cmdline():
            return
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
    family = [process, *descendants(process.pid)]
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process.send_signal(signal.SIGTERM)
        process.wait(patience_s)
    kill_all(family)
