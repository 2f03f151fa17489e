"""A task that the exchange did not answer is put off, in one line; any other failure is an error."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.tasks.conftest import ROOT, SERVERS

SCRIPT = """
from order_manager.errors import Unavailable
from order_manager.logs import configure_logs
from order_manager.settings import load_settings
from order_manager.tasks.app import app
configure_logs(load_settings(), process="worker")
@app.task(name="failing")
def fail():
    raise {error}
fail.apply()
"""


def told(error: str) -> list[dict[str, Any]]:
    env = {**os.environ, **SERVERS, "PYTHONPATH": str(ROOT), "ORDERMANAGER_LOG_FORMAT": "json"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(error=error)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_exchange_that_is_away_is_no_error_of_a_task() -> None:
    (line,) = told('Unavailable("connection refused")')
    assert (line["level"], line["event"]) == ("warning", "task_put_off")
    assert (line["task"], line["error"]) == ("failing", "connection refused")


@pytest.mark.parametrize("error", ["KeyError('a fault of ours')", "ConnectionError('a server away')"])
def test_what_was_not_expected_is_an_error_with_its_traceback(error: str) -> None:
    (line,) = told(error)
    assert line["level"] == "error"
    assert "Traceback" in line["exception"]
