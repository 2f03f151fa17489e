"""Flower as it is deployed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import requests

from order_manager.embedded import free_port
from tests.scenarios.house import wait_until

ROOT = Path(__file__).resolve().parents[2]


def test_flower_ends_when_it_is_asked_to_though_the_broker_is_silent(tmp_path: Path) -> None:
    silent, port = socket.create_server(("127.0.0.1", 0)), free_port()
    argv = [sys.executable, "-m", "celery", "-A", "order_manager", "flower"]
    broker = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(silent.getsockname()[1])}
    env = {**os.environ, **broker, "POSTGRES_HOST": "127.0.0.1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--address=127.0.0.1", f"--port={port}"], cwd=ROOT, env=env, stdout=log, stderr=log
        )

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthcheck", timeout=2).ok
        except requests.RequestException:
            return False

    try:
        wait_until(answers, what="Flower")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        silent.close()
