"""What is exposed is what a whole process tree counted, the dead included, and no file is left piling up."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_manager.embedded import free_port
from order_manager.settings import Settings

TREE = """
import os, sys, time
from order_manager import metrics
from order_manager.metrics_server import serve_metrics
from order_manager.settings import load_settings

def child(count):
    pid = os.fork()
    if pid:
        return pid
    for _ in range(count):
        metrics.count_call("/v5/order/create", "ok", 0.02)
    metrics.RATE_LEFT.labels("/v5/order/create").set(count)
    print("counted", flush=True)
    while os.getppid() == parent:
        time.sleep(0.05)
    time.sleep(3)  # outlives it
    os._exit(0)

serve_metrics(load_settings(), process="worker")
print("counting", flush=True)
parent = os.getpid()
children = {}
for line in sys.stdin:
    word, number = line.split()
    if word == "start":
        children[number] = child(int(number))
    elif word == "kill":
        os.kill(children[number], 9)
        os.waitpid(children[number], 0)
        print("killed", flush=True)
"""


class Tree:
    """A parent that serves, and children that count."""

    def __init__(self, folder: Path | None) -> None:
        self.port = free_port()
        env = {**os.environ, "ORDERMANAGER_METRICS_PORT": str(self.port)}
        if folder is not None:
            env["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-c", TREE], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        self.wait_for("counting")

    def tell(self, word: str, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word} {number}\n")
        self.process.stdin.flush()
        self.wait_for("counted" if word == "start" else "killed")

    def wait_for(self, word: str) -> None:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()).strip() != word:
            assert line, "the process ended"

    def values(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"of an earlier start")  # pid 1 is always alive
    tree = Tree(folder)
    with tree.process:
        yield tree
        tree.process.kill()


CALLS = 'order_manager_exchange_calls_total{endpoint="/v5/order/create",result="ok"}'
SECONDS = 'order_manager_exchange_call_seconds_count{endpoint="/v5/order/create"}'
LEFT = 'order_manager_exchange_rate_remaining{endpoint="/v5/order/create"}'


def test_what_children_counted_is_added_up_and_outlives_them(tree: Tree, tmp_path: Path) -> None:
    tree.tell("start", 3)
    tree.tell("start", 4)
    both = tree.values()
    assert both[CALLS] == both[SECONDS] == 7
    assert both[LEFT] == 4  # the one that was set last
    assert both["process_resident_memory_bytes"] > 0
    files = len(list((tmp_path / "metrics").glob("*.db")))
    tree.tell("kill", 4)
    for _ in range(2):
        after = tree.values()
        assert after[CALLS] == after[SECONDS] == 7
        assert after[LEFT] == 3  # a gauge ends with its process
    assert len(list((tmp_path / "metrics").glob("*.db"))) < files
    tree.tell("start", 5)
    assert tree.values()[CALLS] == 12


def test_a_child_does_not_keep_the_port(tree: Tree) -> None:
    tree.tell("start", 1)
    tree.process.kill()
    tree.process.wait()
    with pytest.raises(OSError):
        tree.values()


def test_settings_say_where() -> None:
    settings = Settings(_env_file=None)
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 0)
