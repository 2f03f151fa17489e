"""A worker that is stopped ends, though its pool never does."""

import os
import signal
import subprocess
import sys
import time

from tests.tasks.conftest import ROOT, SERVERS

# A pool as Celery's is when its child was killed in the middle of writing a result.
WORKER = """
import sys, time
from order_manager.tasks import ending
from order_manager.tasks.app import app
from celery.concurrency.prefork import TaskPool
ending.WITHIN_S = 1.0
TaskPool.on_stop = lambda self: time.sleep(600)
app.conf.update(broker_url="memory://", result_backend=None)
app.worker_main("worker -c 1 -Q maintenance --without-mingle --without-gossip --without-heartbeat".split())
"""


def test_a_worker_whose_pool_does_not_end_ends_all_the_same() -> None:
    env = {**os.environ, **SERVERS, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "ready." in line:
                    break
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert process.wait(20) == 1
            assert time.monotonic() - started > 0.9
        finally:
            process.kill()
