"""A local RabbitMQ for tests and benchmarks, beside any that the system may run. Needs Debian's package."""

import secrets
import shutil
import subprocess
from pathlib import Path

import amqp

from order_manager.embedded.ports import free_port
from order_manager.embedded.processes import EmbeddedError, ServerProcess, minimal_environment

# Not the scripts on PATH: as root those become the user rabbitmq, whose folders are not ours.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
CLEAR = """
[rabbit_amqqueue:delete(Q, false, false, <<"tests">>) || Q <- rabbit_amqqueue:list()],
[rabbit_exchange:delete(element(2, X), false, <<"tests">>) || X <- rabbit_exchange:list(<<"/">>),
 case element(4, element(2, X)) of <<>> -> false; <<"amq.", _/binary>> -> false; _ -> true end].
"""


def is_installed() -> bool:
    return (SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd") is not None


class RabbitmqServer:
    """One RabbitMQ node on 127.0.0.1 with its own Erlang port mapper, cookie and folders below `data_dir`."""

    host = "127.0.0.1"
    user = password = "guest"  # RabbitMQ lets guest in from this machine only

    def __init__(self, data_dir: Path, *, log_path: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = free_port()
        self.node = f"om-{secrets.token_hex(4)}@localhost"
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._cookie = secrets.token_hex(16)
        self._epmd = ServerProcess(
            "epmd",
            ["epmd", "-port", str(self._epmd_port), "-address", self.host],
            log_path=self.data_dir / "log" / "epmd.log",
            env=self._environment(),
        )
        self.process = ServerProcess(
            "rabbitmq",
            [str(SCRIPTS / "rabbitmq-server")],
            log_path=log_path or self.data_dir / "log" / "rabbitmq.log",
            env=self._environment(),
            stop_wait_s=20,
        )

    def prepare(self) -> None:
        """Its folders, cookie and configuration. Raises EmbeddedError where RabbitMQ is not installed."""
        if not is_installed():
            raise EmbeddedError(
                "RabbitMQ is not installed: apt-get install rabbitmq-server, or set RABBITMQ_HOST"
            )
        for name in ("home", "mnesia", "log"):
            (self.data_dir / name).mkdir(parents=True, exist_ok=True)
        cookie = self.data_dir / "home" / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.touch(mode=0o600)
        cookie.write_text(self._cookie)
        (self.data_dir / "enabled_plugins").write_text("[].\n")
        (self.data_dir / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {self.host}:{self.port}\n"
            # The default, half of the memory's size, blocks publishers on a machine with a small disk.
            "disk_free_limit.absolute = 50MB\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )

    def _environment(self) -> dict[str, str]:
        return minimal_environment() | {
            "HOME": str(self.data_dir / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": self.host,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.data_dir / "rabbitmq.conf"),
            "RABBITMQ_MNESIA_BASE": str(self.data_dir / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data_dir / "log"),
            "RABBITMQ_PID_FILE": str(self.data_dir / "rabbitmq.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data_dir / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
            # The script then becomes the Erlang VM instead of a shell that waits for it: one pid to signal.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start it, or start it again after `kill()`, and wait until it takes connections.

        Its port mapper is a child of ours: the one that a node starts by itself would outlive everything.
        """
        self.prepare()
        if not self._epmd.is_running:
            self._epmd.start(self._epmd_is_ready)
        try:
            self.process.start(self.is_ready, timeout_s=timeout_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop node and port mapper. Safe to repeat."""
        self.process.stop()
        self._epmd.stop()

    def kill(self) -> None:
        """SIGKILL the node, as a power cut would; durable queues and persistent messages remain."""
        self.process.kill()

    def _epmd_is_ready(self) -> bool:
        argv = ["epmd", "-port", str(self._epmd_port), "-names"]
        return subprocess.run(argv, capture_output=True, env=self._environment()).returncode == 0

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        connection = amqp.Connection(
            f"{self.host}:{self.port}",
            userid=self.user,
            password=self.password,
            connect_timeout=5,
            read_timeout=5,
        )
        try:
            connection.connect()
        except (OSError, amqp.AMQPError):
            return False
        finally:
            connection.collect()
        return True

    def clear(self) -> None:
        """Delete every queue and every exchange but the built-in ones, so that a test begins with nothing."""
        self.evaluate(CLEAR)

    def evaluate(self, erlang: str) -> str:
        """The result of an Erlang expression on the node: like rabbitmqctl, without its second of start."""
        address = f"{self.host}:{self._distribution_port}"
        argv = ["erl_call", "-address", address, "-c", self._cookie, "-e"]
        result = subprocess.run(
            argv, input=f"{erlang.strip()}\n", capture_output=True, text=True, env=self._environment()
        )
        if result.returncode != 0 or not result.stdout.startswith("{ok"):
            raise EmbeddedError(f"RabbitMQ did not do as asked: {result.stdout}{result.stderr}")
        return result.stdout

    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}//"

    def environment(self) -> dict[str, str]:
        """How our processes find it."""
        return {
            "RABBITMQ_HOST": self.host,
            "RABBITMQ_PORT": str(self.port),
            "RABBITMQ_USER": self.user,
            "RABBITMQ_PASSWORD": self.password,
        }
