"""Two beats on one database and broker, as real processes: one sends, the other takes over."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import kombu
import psycopg2
import pytest

from order_manager.embedded import PostgresServer, RedisServer
from tests.servers import broker_connection, flush

ROOT = Path(__file__).parents[2]
INTERVAL_S = 0.2


class Beats:
    """Beats by name, all with the same schedule file, and the messages that they sent."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder, self.env = folder, env
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.sent: list[tuple[float, str, str]] = []  # when it was seen, the sender's name, the task
        self._connection = broker_connection(env)
        self._queue = kombu.Queue("maintenance")(self._connection.default_channel)

    def start(self, name: str) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "order_manager", "beat", "--pidfile="]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*argv, "-s", str(self.folder / "schedule")], env=self.env, cwd=ROOT, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait(5)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def read(self) -> None:
        while (message := self._queue.get(no_ack=True)) is not None:
            process = message.headers["origin"].removeprefix("gen").partition("@")[0]
            names = {str(process.pid): name for name, process in self.running.items()}
            self.sent.append((time.monotonic(), names.get(process, "gone"), message.headers["task"]))

    def count(self, seconds: float) -> Counter[str]:
        """Who sends how many sweeps during so many seconds from now."""
        self.read()
        known = len(self.sent)
        time.sleep(seconds)
        self.read()
        return Counter(name for _, name, task in self.sent[known:] if task == "sweep")

    def wait_for(self, name: str, *, within_s: float) -> None:
        """Until this one sends."""
        known, until = len(self.sent), time.monotonic() + within_s
        while not any(sender == name for _, sender, _ in self.sent[known:]):
            assert time.monotonic() < until, f"{name} sent nothing: {self.log(name)}"
            time.sleep(0.05)
            self.read()

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)
        self._connection.release()


@pytest.fixture
def beats(tmp_path: Path, database_env: dict[str, str], redis_server: RedisServer) -> Iterator[Beats]:
    flush(redis_server)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ")},
        **database_env,
        **redis_server.environment(),
        "ORDERMANAGER_SWEEP_INTERVAL": str(INTERVAL_S),
        "ORDERMANAGER_LOG_FORMAT": "json",
    }
    beats = Beats(tmp_path, env)
    yield beats
    beats.close()


@pytest.fixture
def outage(postgres_server: PostgresServer, database_name: str) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def away() -> Iterator[None]:
        """The database ends its sessions and takes no new ones."""
        server = postgres_server.environment("postgres")
        connection = psycopg2.connect(
            host=server["POSTGRES_HOST"],
            port=server["POSTGRES_PORT"],
            user=server["POSTGRES_USER"],
            password=server["POSTGRES_PASSWORD"],
            dbname="postgres",
        )
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS false")
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (database_name,),
        )
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {database_name} ALLOW_CONNECTIONS true")
            connection.close()

    return away


@pytest.mark.slow
def test_one_of_two_beats_sends_and_the_other_takes_over(
    beats: Beats, outage: Callable[[], AbstractContextManager[None]]
) -> None:
    beats.start("a")
    beats.wait_for("a", within_s=10)
    beats.start("b")
    time.sleep(1.5)  # b is up and has looked
    sent = beats.count(1)
    assert set(sent) == {"a"}
    assert sent["a"] <= 1 / INTERVAL_S + 2
    assert '"beat_leading"' in beats.log("a")
    assert '"beat_standing_by"' in beats.log("b")

    beats.kill("a")
    beats.wait_for("b", within_s=4)
    beats.start("a")
    sent = beats.count(1.5)
    assert set(sent) == {"b"}
    assert sent["b"] <= 1.5 / INTERVAL_S + 2  # what was missed is not sent after

    with outage():
        time.sleep(0.3)
        assert not beats.count(1.2)
    [leader] = beats.count(2)  # whichever was first
    assert all(process.poll() is None for process in beats.running.values())
    assert leader in beats.running
    beats.running[leader].terminate()
    beats.running.pop(leader).wait(5)
    [follower] = beats.running
    beats.wait_for(follower, within_s=3)
