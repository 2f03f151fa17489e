"""Running one server as a child: started, awaited, stopped, and gone when we are gone."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from order_manager.errors import OrderManagerError

LAUNCHER = str(Path(__file__).with_name("launch.py"))
POLL_S = 0.05


class EmbeddedError(OrderManagerError):
    """An embedded server cannot start or did not answer. The message says why and where its log is."""


def ending_with_parent(argv: Sequence[str], *, signal_number: int = signal.SIGTERM) -> list[str]:
    """`argv` that the kernel stops with `signal_number` when the process that runs it dies."""
    return [sys.executable, "-I", "-S", LAUNCHER, str(int(signal_number)), *argv]


def minimal_environment() -> dict[str, str]:
    """What a server needs of our environment: where programs, home and temporary files are."""
    kept = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
    return {"LANG": "C.UTF-8"} | {name: os.environ[name] for name in kept if name in os.environ}


def log_tail(path: Path, *, lines: int = 15) -> str:
    """The last lines of a log file; empty when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


class ServerProcess:
    """A server in its own process group: Ctrl-C in our terminal does not reach it before we stop it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_wait_s: float = 10.0,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._argv = list(argv)
        self._env = dict(minimal_environment() if env is None else env)
        self._stop_signal = stop_signal
        self._stop_wait_s = stop_wait_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id, the last one if it has ended. Raises EmbeddedError before the first start."""
        if self._process is None:
            raise EmbeddedError(f"{self.name} was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool] | None = None, *, timeout_s: float = 30.0) -> None:
        """Start, and wait until `ready` says so. Raises EmbeddedError with the end of its log otherwise.

        Call it on a thread that lives as long as the server should: the kernel takes the end of the starting
        thread for the end of the parent.
        """
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_parent(self._argv, signal_number=self._stop_signal),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if ready is None:
            return
        try:
            self._await(ready, timeout_s)
        except BaseException:
            self.stop()
            raise

    def _await(self, ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.is_running:
                raise EmbeddedError(f"{self.name} ended while starting:\n{log_tail(self.log_path)}")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.name} did not answer within {timeout_s:.0f} s:\n{log_tail(self.log_path)}"
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop it and everything it started, politely first. Safe to repeat, or when it has ended."""
        if self._process is None:
            return
        family = descendants(self._process.pid)
        if self.is_running:
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._stop_wait_s)
        self.kill()
        kill_all(family)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; its children are left to notice by themselves."""
        if self._process is not None:
            if self.is_running:
                self._process.kill()
            self._process.wait()


def descendants(pid: int) -> list[psutil.Process]:
    """The children of `pid`, theirs and so on, at this moment; none if it is gone."""
    try:
        children: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return children
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: Sequence[psutil.Process], *, wait_s: float = 5.0) -> list[psutil.Process]:
    """SIGKILL those that still run; returns the ones that had to be killed. A recycled pid is left alone."""
    killed = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()  # psutil compares the start time first
                killed.append(process)
    psutil.wait_procs(killed, timeout=wait_s)
    return killed
