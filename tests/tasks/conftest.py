"""The Celery app as a worker has it, configured for servers that nobody asks anything."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SERVERS = {"POSTGRES_HOST": "127.0.0.1", "REDIS_HOST": "127.0.0.1"}


@pytest.fixture(scope="session")
def configured() -> Callable[..., Any]:
    """`celeryconfig` as a process with these variables reads it, and the app's tasks and queues."""
    script = """
import json
import celeryconfig as c
from order_manager.tasks.app import app
app.loader.import_default_modules()
plain = {name: value for name, value in vars(c).items() if name.islower() and not name.startswith("_")}
print(json.dumps({
    "tasks": sorted(name for name in app.tasks if not name.startswith("celery.")),
    "queues": {name: [q.routing_key, q.durable, q.queue_arguments] for name, q in app.amqp.queues.items()},
    "conf": {k: v for k, v in plain.items() if isinstance(v, (str, int, float, bool, dict, tuple, list))},
}, default=str))
"""

    def read(**env: str) -> Any:
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**keep, **SERVERS, **env, "PYTHONPATH": str(ROOT)},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    return read


@pytest.fixture(scope="session")
def plain(configured: Callable[..., Any]) -> Any:
    """With nothing but defaults."""
    return configured()
