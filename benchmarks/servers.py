"""The servers that are measured on: durable as in production, on free ports, gone at the end."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import requests

from order_manager.database import migrations
from order_manager.embedded import PostgresServer, RabbitmqServer, RedisServer, ServerProcess, free_port
from order_manager.embedded.processes import minimal_environment

ROOT = Path(__file__).resolve().parents[1]
KEY, SECRET, TOKEN = "benchmark-key", "benchmark-secret-0123456789", "benchmark-token"
TEMPLATE = "bench_template"
REDIS, RABBITMQ = "redis", "rabbitmq"
EXCHANGE_OPTIONS = {
    "--create-limit": "2000",
    "--read-limit": "5000",
    "--price-interval-ms": "500",
    "--extra-symbols": "200",
    "--balance": "1000000000",
}


@contextmanager
def temporary_folder(*, keep_logs: Path | None = None) -> Iterator[Path]:
    """Below the system's own, and open to the user that PostgreSQL may have to run as.

    With `keep_logs` every log in it is copied there before it is removed.
    """
    folder = Path(tempfile.mkdtemp(prefix="om-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if keep_logs is not None:
            for path in folder.rglob("*.log"):
                target = keep_logs / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        shutil.rmtree(folder, ignore_errors=True)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def our_environment() -> dict[str, str]:
    """For a process of this package, which is not installed: it is found by its path."""
    return minimal_environment() | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}


@contextmanager
def running(
    name: str, argv: Sequence[str], folder: Path, *, ready: Any = None, env: Any = None
) -> Iterator[int]:
    """A process of ours with its log in `folder`; yields its pid and stops it and its children."""
    process = ServerProcess(
        name, argv, log_path=folder / "logs" / f"{name}.log", env=env or our_environment(), stop_wait_s=20
    )
    process.start(ready)
    try:
        yield process.pid
    finally:
        process.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """PostgreSQL with a migrated template, Redis, and RabbitMQ where there is one."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    rabbitmq: RabbitmqServer | None
    pids: Mapping[str, int]

    def clear_brokers(self) -> None:
        with redis.Redis.from_url(self.redis.url()) as client:
            client.flushall()
        if self.rabbitmq is not None:
            self.rabbitmq.clear()

    def broker_environment(self, broker: str) -> dict[str, str]:
        env = self.redis.environment()
        if broker == RABBITMQ:
            assert self.rabbitmq is not None
            env |= self.rabbitmq.environment()
        return env

    def broker_url(self, broker: str) -> str:
        if broker == RABBITMQ:
            assert self.rabbitmq is not None
            return self.rabbitmq.url()
        return self.redis.url()

    def server_pids(self, broker: str) -> dict[str, int]:
        return {name: pid for name, pid in self.pids.items() if name != RABBITMQ or broker == RABBITMQ}


@contextmanager
def running_servers(folder: Path, *, with_rabbitmq: bool) -> Iterator[Servers]:
    with ExitStack() as stack:
        postgres = PostgresServer(data_dir=folder, port=free_port(), password="benchmark")
        postgres.prepare()
        process = postgres.process(folder / "logs" / "postgres.log")
        process.start(postgres.is_ready)
        stack.callback(process.stop)
        pids = {"postgres": process.pid}

        cache = RedisServer(data_dir=folder, port=free_port(), password="benchmark")
        cache.prepare()
        process = cache.process(folder / "logs" / "redis.log")
        process.start(cache.is_ready)
        stack.callback(process.stop)
        pids[REDIS] = process.pid

        rabbitmq = None
        if with_rabbitmq:
            rabbitmq = RabbitmqServer(folder / "rabbitmq")
            rabbitmq.start()
            stack.callback(rabbitmq.stop)
            pids[RABBITMQ] = rabbitmq.process.pid
        migrations.upgrade(postgres.create_database(TEMPLATE))
        yield Servers(folder=folder, postgres=postgres, redis=cache, rabbitmq=rabbitmq, pids=pids)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperExchange:
    """The simulator, and what its control path tells."""

    url: str
    pid: int

    def control(self, path: str, **params: Any) -> Any:
        answer = requests.get(
            f"{self.url}/control/{path}", headers={"X-Control-Token": TOKEN}, params=params, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    def ledger_end(self) -> int:
        return int(self.control("state")["ledger_seq"])

    def calls_since(self, seq: int) -> dict[str, int]:
        """Requests per endpoint that arrived after ledger entry `seq`."""
        counts: dict[str, int] = {}
        while entries := (page := self.control("ledger", kind="request", since=seq, limit=5000))["entries"]:
            for entry in entries:
                counts[entry["endpoint"]] = counts.get(entry["endpoint"], 0) + 1
            seq = page["next"]
        return counts

    def prices(self) -> dict[str, str]:
        """Last price of every linear symbol, as text."""
        answer = requests.get(f"{self.url}/v5/market/tickers", params={"category": "linear"}, timeout=10)
        return {row["symbol"]: row["lastPrice"] for row in answer.json()["result"]["list"]}


@contextmanager
def running_exchange(folder: Path) -> Iterator[PaperExchange]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"--host": "127.0.0.1", "--port": str(port), "--control-token": TOKEN, **EXCHANGE_OPTIONS}
    options |= {"--api-key": KEY, "--api-secret": SECRET}
    argv = python("-m", "order_manager.paper", *(word for pair in options.items() for word in pair))
    with running("paper-exchange", argv, folder, ready=lambda: answers(f"{url}/v5/market/time")) as pid:
        yield PaperExchange(url=url, pid=pid)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False
