"""Several loops in a process: stopped together, and when one dies the process ends with a status."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

PREAMBLE = """
import sys, threading, time
import structlog
from order_manager.threads import Idle, run_together

class Sleeper(Idle):
    def stop(self):
        print("stopped", flush=True)
        super().stop()

class Broken(Idle):
    def run_for_ever(self):
        time.sleep(0.1)
        raise RuntimeError("broken")

class Returning(Idle):
    def run_for_ever(self):
        pass

class Deaf(Idle):
    def run_for_ever(self):
        time.sleep(60)

class Busy(Idle):
    def run_for_ever(self):
        super().run_for_ever()
        time.sleep(0.5)
        print("finished", flush=True)

class Telling(Idle):
    def run_for_ever(self):
        print(structlog.contextvars.get_contextvars(), flush=True)
        super().run_for_ever()
"""


def started(code: str) -> "subprocess.Popen[str]":
    body = PREAMBLE + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", body], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=10)
    return process.returncode, output


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_and_what_is_in_hand_is_finished(asked):
    process = started("""
        print("ready", flush=True)
        run_together({"a": Sleeper(), "b": Busy()}, stop_within_s=5)
        print("end")
    """)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    os.kill(process.pid, asked)
    assert ended(process) == (0, "stopped\nfinished\nend\n")


@pytest.mark.parametrize(
    ("loop", "told"), [("Broken", "RuntimeError: broken"), ("Returning", "thread_ended")]
)
def test_one_that_ends_by_itself_ends_the_process_with_status_1(loop, told):
    code, output = ended(started(f'run_together({{"a": Sleeper(), "b": {loop}()}}, stop_within_s=5)'))
    assert code == 1
    assert "stopped" in output
    assert told in output


def test_one_that_does_not_stop_is_left_behind():
    began = time.monotonic()
    code, output = ended(started('run_together({"a": Deaf(), "b": Returning()}, stop_within_s=0.3)'))
    assert code == 1
    assert "thread_left_behind" in output
    assert time.monotonic() - began < 5


def test_the_logs_context_is_that_of_the_process():
    code, output = ended(
        started("""
        structlog.contextvars.bind_contextvars(process="consumer")
        run_together({"a": Telling(), "b": Broken()}, stop_within_s=1)
    """)
    )
    assert code == 1
    assert "{'process': 'consumer'}" in output
