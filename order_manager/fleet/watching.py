"""What other programs read about the fleet (fleet.json, fleet.env), and the thread that keeps it true."""

import contextlib
import http.client
import json
import re
import shlex
import threading
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psutil
import structlog

from order_manager.embedded.files import write_atomically
from order_manager.embedded.processes import descendants
from order_manager.fleet.programs import Program
from order_manager.fleet.supervisor import ProcessInfo, SupervisorClient, last_exit

log = structlog.get_logger(__name__)

POLL_S = 0.5
FAMILY_POLL_S = 5.0
REVIVE_AFTER_S = 5.0
API_KEYS = ("ORDERMANAGER_API_KEY", "ORDER_MANAGER_API_KEY")
OURS = re.compile(r"(POSTGRES|REDIS|RABBITMQ|BYBIT|ORDERMANAGER|ORDER_MANAGER|WS_GATEWAY|POSITION_MANAGER)_")


def write_environment(path: Path, env: Mapping[str, str]) -> None:
    """NAME=value lines, quoted for a shell, with our own variables: what talking to this fleet needs.

    Of several API keys the first: who sends one sends one, while the processes know all.
    """
    told = {name: value for name, value in env.items() if OURS.match(name)}
    told |= {name: value.split(",")[0].strip() for name, value in told.items() if name in API_KEYS}
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(told.items())]
    write_atomically(path, "".join(lines), mode=0o600)


class Watcher:
    """Asks the supervisor twice a second; writes fleet.json when a pid or a state changed; logs restarts."""

    def __init__(
        self, programs: Iterable[Program], *, socket_path: Path, supervisor_pid: int, data_dir: Path
    ) -> None:
        self._programs = {program.name: program for program in programs}
        self._socket_path = socket_path
        self._supervisor_pid = supervisor_pid
        self._state_path = data_dir / "fleet.json"
        self._log_path = data_dir / "logs" / "supervisord.log"
        self._seen: dict[str, ProcessInfo] = {}
        self._last_pid: dict[str, int] = {}
        self._failed_at: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet-watcher", daemon=True)
        self.family: set[psutil.Process] = set()  # every process of the fleet that was seen alive
        self.revives = False  # set once all programs have started well

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def pids(self) -> dict[str, int]:
        """The pid of each program that runs, as of the last look."""
        return {name: info.pid for name, info in self._seen.items() if info.pid}

    def _run(self) -> None:
        client = SupervisorClient(self._socket_path)
        next_family = 0.0
        while not self._stop.is_set():
            try:
                self.look(client)
            except (OSError, xmlrpc.client.Error, http.client.HTTPException):
                client.close()  # the supervisor is ending, or gone; ask on a new connection
            if time.monotonic() >= next_family:
                self.meet_family()
                next_family = time.monotonic() + FAMILY_POLL_S
            self._stop.wait(POLL_S)
        client.close()

    def meet_family(self) -> None:
        """Note who descends from the supervisor now: an orphan cannot be found that way later."""
        alive = {process for process in self.family if process.is_running()}
        self.family = alive | set(descendants(self._supervisor_pid))

    def look(self, client: SupervisorClient) -> None:
        now = {info.name: info for info in client.processes()}
        for name, info in now.items():
            old_pid = self._last_pid.get(name)
            if info.pid and info.pid != old_pid:
                self._last_pid[name] = info.pid
                if old_pid is not None:
                    exit_code, how = last_exit(self._log_path, name)
                    log.warning(
                        "process_restarted",
                        name=name,
                        old_pid=old_pid,
                        new_pid=info.pid,
                        exit_code=exit_code,
                        how=how,
                    )
        if now != self._seen:
            self._seen = now
            self._write()
        if self.revives:
            self._revive(client)

    def _write(self) -> None:
        rows = [
            {
                "name": info.name,
                "pid": info.pid or None,
                "command": list(self._programs[info.name].argv),
                "state": info.state,
                "metrics": self._programs[info.name].metrics or None,
                "started_at": datetime.fromtimestamp(info.start, UTC).isoformat() if info.start else None,
            }
            for info in self._seen.values()
        ]
        write_atomically(self._state_path, json.dumps(rows, indent=2) + "\n", mode=0o600)

    def _revive(self, client: SupervisorClient) -> None:
        # The supervisor gives up after a few quick failures. A database that is away for a minute must not
        # leave the desk without workers, so the failed are tried again, at a steady pace, for ever.
        for name, info in self._seen.items():
            program = self._programs[name]
            if info.state != "FATAL" or not program.autorestart:
                self._failed_at.pop(name, None)
            elif name not in self._failed_at:
                self._failed_at[name] = time.monotonic()
                log.error("process_failed", name=name, retry_after_s=REVIVE_AFTER_S)
            elif time.monotonic() - self._failed_at[name] >= REVIVE_AFTER_S:
                del self._failed_at[name]
                with contextlib.suppress(xmlrpc.client.Fault):
                    client.start(program)
