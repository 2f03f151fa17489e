"""The fleet starts in stages, replaces who dies, tells the truth in fleet.json, and leaves nobody behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from order_manager.fleet import Fleet, FleetError, Program
from tests.fleet.dummies import FAMILY, SLEEPER, STUBBORN, dummy


def eventually(claim: Callable[[], Any], *, timeout_s: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := claim()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)
    return result


def rows(data_dir: Path) -> dict[str, dict[str, Any]]:
    path = data_dir / "fleet.json"
    return {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}


def running(data_dir: Path, *names: str) -> dict[str, int] | None:
    """The pids in fleet.json once all of `names` run."""
    now = rows(data_dir)
    if all(name in now and now[name]["state"] == "RUNNING" for name in names):
        return {name: now[name]["pid"] for name in names}
    return None


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def start(*programs: Program) -> Fleet:
        fleet = Fleet(
            tmp_path / "a folder; with # 100% oddities", programs, env={"REDIS_HOST": "x", "HOME": "y"}
        )
        fleet.data_dir.mkdir(exist_ok=True)
        fleets.append(fleet)
        fleet.open()
        for stage in fleet.stages:
            fleet.start_stage(stage)
        return fleet

    yield start
    for fleet in fleets:
        fleet.hurry.set()
        fleet.stop()


def test_a_killed_program_is_replaced_and_fleet_json_shows_its_new_pid(started: Callable[..., Fleet]) -> None:
    with capture_logs() as logs:
        fleet = started(dummy("worker-1", SLEEPER))
        before = eventually(lambda: running(fleet.data_dir, "worker-1"))["worker-1"]
        os.kill(before, signal.SIGKILL)

        def replaced() -> int:
            pids = running(fleet.data_dir, "worker-1") or {"worker-1": before}
            return pids["worker-1"] if pids["worker-1"] != before else 0

        after = eventually(replaced)
    assert is_alive(after)
    (line,) = [entry for entry in logs if entry["event"] == "process_restarted"]
    assert (line["name"], line["old_pid"], line["new_pid"]) == ("worker-1", before, after)
    assert line["exit_code"] == -signal.SIGKILL


def test_programs_get_their_environment_and_nothing_else(
    started: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_PROGRAMS", "secret")
    code = "import os, time; print(dict(os.environ), flush=True); time.sleep(600)"
    fleet = started(dummy("talker", code))
    said = eventually(lambda: fleet.log_path("talker").read_text())
    assert "50% \"off\" 'today'" in eval(said)["GREETING"]
    assert "NOT_FOR_PROGRAMS" not in said
    assert "SUPERVISOR" not in said


def test_fleet_env_has_our_variables_for_the_owner_only(started: Callable[..., Fleet]) -> None:
    fleet = started(dummy("worker-1", SLEEPER))
    path = fleet.data_dir / "fleet.env"
    assert path.read_text() == "REDIS_HOST=x\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stage_waits_until_its_programs_are_ready(started: Callable[..., Fleet]) -> None:
    asked = []

    def third_time() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 2

    fleet = started(dummy("server", SLEEPER, ready=third_time), dummy("client", SLEEPER, priority=20))
    state = eventually(lambda: running(fleet.data_dir, "server", "client"))
    assert psutil.Process(state["client"]).create_time() >= psutil.Process(state["server"]).create_time()
    assert len(asked) == 3


def test_a_program_that_cannot_start_is_named_with_its_log(started: Callable[..., Fleet]) -> None:
    with pytest.raises(FleetError, match=r"(?s)broken ended while starting.*no such table"):
        started(dummy("broken", "import sys; sys.exit('no such table')"))


def test_stop_takes_the_later_stage_first_and_its_children_too(started: Callable[..., Fleet]) -> None:
    fleet = started(dummy("server", SLEEPER), dummy("worker-1", FAMILY, priority=20))
    pids = eventually(lambda: running(fleet.data_dir, "server", "worker-1"))
    (child,) = psutil.Process(pids["worker-1"]).children()
    stages: list[list[str]] = []

    killed = fleet.stop(stages.append)

    assert killed == []
    assert stages == [["worker-1"], ["server"]]
    assert not any(is_alive(pid) for pid in (*pids.values(), child.pid))
    assert not (fleet.data_dir / "fleet.json").exists()


def test_who_ignores_the_signal_is_killed_with_whatever_it_started(started: Callable[..., Fleet]) -> None:
    fleet = started(dummy("stubborn", STUBBORN, stop_wait_s=1))
    pid = eventually(lambda: running(fleet.data_dir, "stubborn"))["stubborn"]
    (child,) = eventually(lambda: psutil.Process(pid).children())

    killed = fleet.stop()

    assert killed == [f"pid {child.pid}"]
    assert not is_alive(pid)
    assert not is_alive(child.pid)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A function that runs the small fleet in a process of its own, as `order-manager up` would."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        output = (tmp_path / f"up-{len(processes)}.log").open("w")
        with output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.dummies", str(tmp_path / "data"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
    socket_folder = tmp_path / "data" / "run" / "socket-folder"
    if socket_folder.exists():  # a killed one leaves it to the next
        shutil.rmtree(socket_folder.read_text(), ignore_errors=True)


def whole_family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_up_is_the_end_of_everything(
    up: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals
) -> None:
    process = up()
    eventually(lambda: running(tmp_path / "data", "server", "worker-1"))
    family = whole_family(process)
    assert len(family) >= 4  # supervisor, server, worker, its child

    process.send_signal(number)

    status = process.wait(30)
    eventually(lambda: not any(is_alive(member.pid) for member in family))
    assert status == (0 if number is not signal.SIGKILL else -signal.SIGKILL)


def test_a_second_signal_hurries(up: Callable[..., "subprocess.Popen[str]"], tmp_path: Path) -> None:
    process = up("--stubborn")
    eventually(lambda: running(tmp_path / "data", "server", "worker-1"))
    family = whole_family(process)
    process.send_signal(signal.SIGINT)
    eventually(lambda: "stopping worker-1" in (tmp_path / "up-0.log").read_text())

    process.send_signal(signal.SIGINT)

    assert process.wait(10) == 0  # the program alone would have been waited for a minute
    assert not any(is_alive(member.pid) for member in family)


def test_the_end_of_the_supervisor_is_the_end_of_everything(
    up: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = up()
    eventually(lambda: running(tmp_path / "data", "server", "worker-1"))
    family = whole_family(process)
    (supervisor,) = psutil.Process(process.pid).children()

    supervisor.kill()

    assert process.wait(30) == 1
    assert not any(is_alive(member.pid) for member in family)


def test_a_second_up_on_the_same_folder_is_refused_by_name(
    up: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    first = up()
    eventually(lambda: running(tmp_path / "data", "server"))
    second = up()

    assert second.wait(30) != 0
    said = (tmp_path / "up-1.log").read_text()
    assert f"(pid {first.pid})" in said
    assert first.poll() is None


def test_an_up_right_after_a_killed_one_waits_for_its_leftovers(
    up: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    first = up()
    before = eventually(lambda: running(tmp_path / "data", "server", "worker-1"))
    first.kill()
    first.wait()

    assert up("--exit").wait(60) == 0
    assert not any(is_alive(pid) for pid in before.values())
