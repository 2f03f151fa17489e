"""supervisord: its configuration, how it is asked, and what its log says about a process that ended."""

import configparser
import json
import re
import shlex
import signal
import socket
import sys
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from order_manager.embedded.files import write_atomically
from order_manager.embedded.processes import LAUNCHER
from order_manager.fleet.programs import FleetError, Program

LOG_BYTES, LOG_BACKUPS = 10 * 1024 * 1024, 3
# A process that ends within a second is tried again after 1, 2 and 3 s; then it counts as failed.
START_RETRIES = 3
EXITED = re.compile(r"exited: (?P<name>\S+) \((?P<how>.*)\)\s*$")


def escaped(text: str) -> str:
    """`text` as a value in supervisord's configuration, where % begins an expansion."""
    if "\n" in text:
        raise FleetError(f"a path or argument with a line break cannot be supervised: {text!r}")
    return text.replace("%", "%%")


def write_configuration(run_dir: Path, socket_path: Path, programs: Iterable[Program], *, cwd: Path) -> Path:
    """Write supervisord.conf and a launch file per program to `run_dir`; returns the former's path.

    Arguments and environment are in the launch files, as JSON: nothing to quote, and no variable reaches
    a program that was not meant for it. Paths in the configuration are relative to `run_dir`, where
    supervisord has to be started.
    """
    programs = sorted(programs, key=lambda program: (program.priority, program.name))
    conf = configparser.RawConfigParser()
    conf["unix_http_server"] = {"file": escaped(str(socket_path)), "chmod": "0600"}
    conf["supervisord"] = {
        "nodaemon": "true",
        "logfile": "../logs/supervisord.log",
        "logfile_maxbytes": str(LOG_BYTES),
        "logfile_backups": str(LOG_BACKUPS),
        "pidfile": "supervisord.pid",
        "childlogdir": "../logs",
    }
    conf["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for program in programs:
        conf[f"program:{program.name}"] = program_section(program)
        plan = {
            "argv": list(program.argv),
            "env": dict(program.env),
            "cwd": str(cwd),
            "signal": int(program.stop_signal),
        }
        write_atomically(run_dir / f"{program.name}.json", json.dumps(plan, indent=1), mode=0o600)
    for group, members in groupby(programs, key=lambda program: program.group):
        names = [(member.name, member.priority) for member in members]
        conf[f"group:{group}"] = {
            "programs": ",".join(name for name, _ in names),
            "priority": str(names[0][1]),
        }
    path = run_dir / "supervisord.conf"
    with path.open("w") as file:
        conf.write(file)
    return path


def program_section(program: Program) -> dict[str, str]:
    command = shlex.join([sys.executable, "-I", "-S", LAUNCHER, "--file", f"{program.name}.json"])
    return {
        "command": escaped(command),
        "autostart": "false",  # stage by stage, by us
        "autorestart": "true" if program.autorestart else "false",
        "startsecs": "1",
        "startretries": str(START_RETRIES),
        "stopsignal": program.stop_signal.name.removeprefix("SIG"),
        "stopwaitsecs": str(max(1, round(program.stop_wait_s))),
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"../logs/{program.name}.log",
        "stdout_logfile_maxbytes": str(LOG_BYTES),
        "stdout_logfile_backups": str(LOG_BACKUPS),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """A program as the supervisor sees it now. `pid` is 0 when it does not run; `start` is a Unix time."""

    name: str
    state: str
    pid: int
    start: int
    exit_status: int

    @property
    def has_failed(self) -> bool:
        return self.state in {"FATAL", "EXITED", "UNKNOWN"}

    @property
    def is_down(self) -> bool:
        return self.state in {"STOPPED", "EXITED", "FATAL"}


class SupervisorClient:
    """Asks one supervisord, for one thread at a time. Any call may raise OSError or xmlrpc's Error."""

    def __init__(self, socket_path: Path) -> None:
        self._transport: Any = SupervisorTransport(None, None, serverurl=f"unix://{socket_path}")
        self._rpc: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=self._transport).supervisor

    def close(self) -> None:
        """Drop the connection; the next call makes another."""
        self._transport.close()
        self._transport.connection = None

    def processes(self) -> list[ProcessInfo]:
        return [
            ProcessInfo(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                start=info["start"],
                exit_status=info["exitstatus"],
            )
            for info in self._rpc.getAllProcessInfo()
        ]

    def start(self, program: Program) -> None:
        """Have it started; not waited for. Does nothing when it runs."""
        self.start_named(f"{program.group}:{program.name}")

    def start_named(self, full_name: str) -> None:
        try:
            self._rpc.startProcess(full_name, False)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("ALREADY_STARTED"):
                raise

    def stop_group(self, group: str) -> None:
        """Send every program of a stage its stop signal; not waited for."""
        self._rpc.stopProcessGroup(group, False)


def answers(socket_path: Path) -> bool:
    """Whether a supervisord listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(socket_path))
        except OSError:
            return False
        return True


def last_exit(log_path: Path, name: str) -> tuple[int | None, str]:
    """How `name` ended last, from supervisord's log: exit code (negative: the signal) and its words."""
    if log_path.exists():
        with log_path.open("rb") as file:
            file.seek(max(0, log_path.stat().st_size - 32_768))
            for line in reversed(file.read().decode(errors="replace").splitlines()):
                if (match := EXITED.search(line)) and match["name"] == name:
                    return exit_code_from(match["how"]), match["how"]
    return None, ""


def exit_code_from(how: str) -> int | None:
    """'exit status 1; not expected' -> 1; 'terminated by SIGKILL; not expected' -> -9."""
    if match := re.match(r"exit status (\d+)", how):
        return int(match[1])
    if (match := re.match(r"terminated by (SIG\w+)", how)) and match[1] in signal.Signals.__members__:
        return -int(signal.Signals[match[1]])
    return None
