"""A worker that is stopped ends, though its pool never does, or its last result is not read; so does beat."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from order_manager.embedded import RedisServer
from tests.servers import flush
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


# A pool as it is when the worker is stopped before it has heard that its child has begun a task.
DEAF_WORKER = """
import sys, time
from order_manager.tasks.app import app
from celery.concurrency.asynpool import AsynPool
flush = AsynPool.flush
def flush_unheard(self):
    for job in self._cache.values():
        job._accepted = False
    flush(self)
AsynPool.flush = flush_unheard
@app.task
def nap():
    sys.stderr.write("begun\\n")
    time.sleep(1)
    sys.stderr.write("done\\n")
nap.apply_async(queue="maintenance")
app.worker_main("worker -c 1 -Q maintenance --without-mingle --without-gossip --without-heartbeat".split())
"""


def test_a_worker_that_is_stopped_just_after_it_began_a_task_ends_with_the_task(
    redis_server: RedisServer,
) -> None:
    flush(redis_server)
    env = {**os.environ, **SERVERS, **redis_server.environment(), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", DEAF_WORKER], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "begun" in line:
                    break
            process.send_signal(signal.SIGTERM)
            assert "done" in process.communicate(timeout=15)[1]
            assert process.returncode == 0
        finally:
            process.kill()


# Something in the process goes on for ever.
BEAT = """
import sys, threading, time
from order_manager.tasks import beat
from order_manager.tasks.app import app
beat.END_WITHIN_S = 0.5
threading.Thread(target=time.sleep, args=(600,)).start()
app.start(["beat", "--pidfile=", "-s", sys.argv[1]])
"""


def test_a_beat_that_is_stopped_ends_though_something_keeps_it(tmp_path: Path) -> None:
    env = {**os.environ, **SERVERS, "POSTGRES_PORT": "1", "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", BEAT, str(tmp_path / "schedule")]
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "beat_standing_by" in line:
                    break
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
