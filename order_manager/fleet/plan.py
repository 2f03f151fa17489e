"""What `order-manager up` runs: the programs, their common environment, and what is chosen for you.

A part whose address is configured is used as configured; only what is not configured is embedded.
"""

import importlib
import re
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from order_manager.embedded import Credentials, PostgresServer, RedisServer, RememberedPorts, claim_port
from order_manager.embedded.postgres import FAST_SHUTDOWN
from order_manager.embedded.processes import minimal_environment
from order_manager.fleet.programs import Program

# Stages: what a later one needs is in an earlier one, and is stopped after it.
SERVERS, EXCHANGE, WORKERS, SERVICES = 10, 20, 30, 40

PASSED_ON = re.compile(
    r"(POSTGRES|REDIS|RABBITMQ|BYBIT|ORDERMANAGER|ORDER_MANAGER|WS_GATEWAY|POSITION_MANAGER)_"
    r"|PYTHONPATH$|SSL_CERT_FILE$|SSL_CERT_DIR$|REQUESTS_CA_BUNDLE$|(HTTPS?|NO|ALL)_PROXY$|(https?|no|all)_proxy$"
)
LOCAL = "127.0.0.1"
MAINTENANCE = "maintenance"
PING_TIMEOUT_S = "60"
# The paper exchange trades small coins too; the defaults are for a real account.
PAPER_DEFAULTS = {
    "ORDERMANAGER_MAX_POSITION_SIZES": "SOLUSDT=1000,XRPUSDT=100000,DOGEUSDT=1000000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """All that has to be known to run a fleet."""

    data_dir: Path
    programs: tuple[Program, ...]
    env: Mapping[str, str]  # the environment of every process of ours
    postgres: PostgresServer | None = None  # None: somebody else's
    redis: RedisServer | None = None
    migrate: tuple[str, ...] = ()  # run once between the servers and everything else; empty: not at all
    ping: tuple[str, ...] = ()  # succeeds once all Celery workers answer; empty: not asked
    notes: tuple[str, ...] = ()  # what was chosen for the user
    api_url: str = ""


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """A command by this very Python, whatever PATH says."""
    return (sys.executable, "-m", name, *arguments)


def plan_fleet(data_dir: Path, *, workers: int, port: int, configured: Mapping[str, str]) -> FleetPlan:
    """The fleet for `data_dir` in the environment `configured`. Takes ports, makes secrets, starts none.

    Raises PortBusy when the REST API's `port` is taken.
    """
    data_dir = data_dir.absolute()
    configured = {name: value for name, value in configured.items() if value != ""}
    ports, keys = RememberedPorts(data_dir / "ports.json"), Credentials(data_dir / "secrets.json")
    claim_port("the REST API", port, LOCAL)
    env, notes = base_environment(configured), []
    programs: list[Program] = []

    postgres = redis = None
    if "POSTGRES_HOST" not in configured:
        postgres = PostgresServer(
            data_dir=data_dir,
            port=ports.take("postgres"),
            password=keys.get("postgres_password"),
            database=configured.get("POSTGRES_DB", "order_manager"),
        )
        env |= postgres.environment()
    if "REDIS_HOST" not in configured:
        redis = RedisServer(data_dir=data_dir, port=ports.take("redis"), password=keys.get("redis_password"))
        env |= redis.environment()
    env |= service_environment(configured, keys, port)
    if configured.get("BYBIT_ENVIRONMENT", "paper") == "paper":
        env["BYBIT_ENVIRONMENT"] = "paper"
        for name, value in PAPER_DEFAULTS.items():
            if name not in configured:
                env[name] = value
                notes.append(f"{name}={value}, as the exchange is the paper one and it was not set")
        if "BYBIT_PAPER_URL" not in configured:
            env |= paper_environment(keys, ports.take("paper-exchange"))
            programs.append(paper_exchange(data_dir, env))
    programs += [
        measured(program, data_dir, ports)
        for program in our_programs(data_dir, env, workers=workers, port=port)
    ]
    return FleetPlan(
        data_dir=data_dir,
        programs=tuple(programs),
        env=env,
        postgres=postgres,
        redis=redis,
        migrate=module("order_manager.cli", "migrate"),
        ping=module("order_manager.fleet.ping", PING_TIMEOUT_S, *worker_names(workers)),
        notes=tuple(notes),
        api_url=f"http://{LOCAL}:{port}",
    )


def base_environment(configured: Mapping[str, str]) -> dict[str, str]:
    """What is configured and concerns us, and nothing else of the user's shell."""
    env = minimal_environment() | {"PYTHONUNBUFFERED": "1"}
    env |= {name: value for name, value in configured.items() if PASSED_ON.match(name)}
    bypass = [configured.get("NO_PROXY") or configured.get("no_proxy", ""), LOCAL, "localhost"]
    env["NO_PROXY"] = env["no_proxy"] = ",".join(filter(None, bypass))
    return env


def service_environment(configured: Mapping[str, str], keys: Credentials, port: int) -> dict[str, str]:
    def chosen(name: str) -> str | None:
        return configured.get(f"ORDERMANAGER_{name}") or configured.get(f"ORDER_MANAGER_{name}")

    return {
        "ORDERMANAGER_PORT": str(port),
        "ORDERMANAGER_API_KEY": chosen("API_KEY") or keys.get("api_key"),
    }


def paper_environment(keys: Credentials, port: int) -> dict[str, str]:
    """How to reach the paper exchange. Its keys are its own: real ones have no business there."""
    return {
        "BYBIT_PAPER_URL": f"http://{LOCAL}:{port}",
        "BYBIT_API_KEY": keys.get("paper_api_key", make=lambda: secrets.token_hex(9)),
        "BYBIT_API_SECRET": keys.get("paper_api_secret", make=lambda: secrets.token_hex(18)),
        "ORDERMANAGER_PAPER_CONTROL_TOKEN": keys.get("paper_control_token"),
    }


def server_programs(postgres: PostgresServer | None, redis: RedisServer | None) -> list[Program]:
    """The embedded servers, which must have been prepared."""
    programs = []
    if postgres:
        programs.append(
            Program(
                name="postgres",
                argv=tuple(postgres.argv()),
                env=minimal_environment(),
                priority=SERVERS,
                stop_signal=FAST_SHUTDOWN,
                stop_wait_s=30,
                ready=postgres.is_ready,
                where=f"{postgres.host}:{postgres.port}",
            )
        )
    if redis:
        programs.append(
            Program(
                name="redis",
                argv=tuple(redis.argv()),
                env=minimal_environment(),
                priority=SERVERS,
                stop_wait_s=15,
                ready=redis.is_ready,
                where=f"{redis.host}:{redis.port}",
            )
        )
    return programs


def paper_exchange(data_dir: Path, env: Mapping[str, str]) -> Program:
    url = env["BYBIT_PAPER_URL"]
    folder = data_dir / "paper"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--host": LOCAL,
        "--port": url.rpartition(":")[2],
        "--seed": "7",
        "--control-token": env["ORDERMANAGER_PAPER_CONTROL_TOKEN"],
        "--api-key": env["BYBIT_API_KEY"],
        "--api-secret": env["BYBIT_API_SECRET"],
        "--state-file": str(folder / "state.jsonl"),
    }
    arguments = [f"{name}={value}" for name, value in options.items()]  # a value may begin with a dash
    return Program(
        name="paper-exchange",
        argv=module("order_manager.cli", "paper-exchange", *arguments),
        env=env,
        priority=EXCHANGE,
        ready=answers_http(f"{url}/v5/market/time"),
        where=url,
        metrics=f"{url}/metrics",
    )


def worker_names(workers: int) -> list[str]:
    return [*(f"lane-{number}" for number in range(1, workers + 1)), MAINTENANCE]


def our_programs(data_dir: Path, env: Mapping[str, str], *, workers: int, port: int) -> list[Program]:
    (data_dir / "beat").mkdir(parents=True, exist_ok=True)
    celery = module("celery", "-A", "order_manager")
    quietly = ("--without-mingle", "--without-gossip", "-E", "--loglevel", "WARNING")

    def worker(node: str, queue: str, where: str) -> Program:
        return Program(
            name=node,
            argv=(*celery, "worker", "-c", "1", "-n", f"{node}@%h", "-Q", queue, *quietly),
            env=env,
            priority=WORKERS,
            stop_wait_s=35,  # an order in execution is brought to its end
            where=where,
        )

    beat = ("beat", "-s", str(data_dir / "beat" / "schedule"), "--pidfile=", "--loglevel", "WARNING")
    web = (
        "-b",
        f"{LOCAL}:{port}",
        "-c",
        "python:order_manager.gunicorn_conf",
        *no_control_socket(),
        "order_manager.web:create_app()",
    )
    return [
        Program(
            name="consumer",
            argv=module("order_manager.cli", "consumer"),
            env=env,
            priority=WORKERS,
            stop_wait_s=15,
            where="signals and exchange events",
        ),
        *([] if env.get("WS_GATEWAY_HOST") else [stream(env)]),
        *(worker(name, "orders", "symbols' queues orders.*") for name in worker_names(workers)[:-1]),
        worker(MAINTENANCE, MAINTENANCE, f"queue {MAINTENANCE}"),
        Program(name="beat", argv=(*celery, *beat), env=env, priority=SERVICES, where="the schedule"),
        Program(
            name="web",
            argv=module("gunicorn", *web),
            env=env,
            priority=SERVICES,
            ready=answers_http(f"http://{LOCAL}:{port}/live"),
            where=f"http://{LOCAL}:{port}",
            metrics=f"http://{LOCAL}:{port}/metrics",
        ),
    ]


def measured(program: Program, data_dir: Path, ports: RememberedPorts) -> Program:
    """`program` with /metrics on a port of its own; the web has it already."""
    if program.metrics:
        return program
    port = ports.take(f"{program.name}-metrics")
    env = {**program.env, "ORDERMANAGER_METRICS_PORT": str(port)}
    if "worker" in program.argv:  # its child does the work, and is counted with it
        env["PROMETHEUS_MULTIPROC_DIR"] = str(data_dir / "metrics" / program.name)
    return replace(program, env=env, metrics=f"http://{LOCAL}:{port}/metrics")


def stream(env: Mapping[str, str]) -> Program:
    """Our own stream of what happens at the exchange, where no gateway tells us."""
    return Program(
        name="stream",
        argv=module("order_manager.cli", "stream"),
        env=env,
        priority=WORKERS,
        stop_wait_s=5,
        where="orders, executions, positions, wallet",
    )


def no_control_socket() -> tuple[str, ...]:
    """Newer gunicorns open a socket, one for all of a user's; older ones don't know the option."""
    settings: Any = importlib.import_module("gunicorn.config")
    known = any(setting.name == "control_socket" for setting in settings.KNOWN_SETTINGS)
    return ("--no-control-socket",) if known else ()


def answers_http(url: str) -> Callable[[], bool]:
    """A question: does `url` answer with a 2xx? Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask() -> bool:
        try:
            with opener.open(url, timeout=2) as answer:
                return bool(200 <= answer.status < 300)
        except (urllib.error.URLError, OSError):
            return False

    return ask
