"""The whole house for a test: real processes on the test's servers, and the paper exchange as the judge."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kombu
import psutil
import requests
from amqp.exceptions import NotFound
from celery import Celery
from sqlalchemy import Engine, text

from order_manager.database.engine import connect
from order_manager.database.locks import BOUND_LOCK, LEASE_LOCK, WORKER_LOCK
from order_manager.embedded import free_port
from order_manager.fleet.plan import plan_fleet
from order_manager.fleet.running import Fleet
from order_manager.queues import EVENTS, SIGNALS
from tests.paper.client import Client
from tests.servers import broker_connection, broker_url

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET, TOKEN = "scenario-key", "scenario-secret-0123456789", "scenario-token"

# So wide that every valid signal of a scenario passes; a test about limits sets its own.
NO_LIMITS = {
    "ORDERMANAGER_MAX_EXPOSURE": "1000000000",
    "ORDERMANAGER_MAX_POSITION_SIZE": "1000000000",
    "ORDERMANAGER_MAX_SINGLE_ORDER_SIZE": "1000000",
    "ORDERMANAGER_MAX_POSITION_SIZES": "BTCUSDT=1000000000",
    "ORDERMANAGER_MAX_ORDER_SIZE_RATIO": "1",
}


@dataclass
class PaperExchange:
    """The simulator as a process of its own; `restart` keeps what it knows."""

    folder: Path
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        argv = [sys.executable, "-m", "order_manager.paper", "--host", "127.0.0.1", "--port", str(self.port)]
        argv += ["--api-key", KEY, "--api-secret", SECRET, "--control-token", TOKEN, "--balance", "100000000"]
        argv += ["--state-file", str(self.folder / "paper.jsonl"), *self.options]
        with (self.folder / "paper.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=ROOT)
        wait_until(self._answers, what="the paper exchange to answer")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/v5/market/time", timeout=1).ok
        except requests.RequestException:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def control(self, method: str, path: str, **options: Any) -> Any:
        answer = requests.request(
            method, f"{self.url}/control/{path}", headers={"X-Control-Token": TOKEN}, timeout=10, **options
        )
        answer.raise_for_status()
        return answer.json()

    def kill(self) -> None:
        """As `stop`, without asking."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        self.process = None

    def trader(self) -> Client:
        """Somebody who trades by hand on the house's account."""
        return Client(self.url, KEY, SECRET)

    def stream_fault(self, kind: str, **options: Any) -> None:
        """Messages of the private stream go wrong, or its connections are cut or refused."""
        self.control("POST", "stream-faults", json={"kind": kind, **options})

    def clear_stream_faults(self) -> None:
        self.control("DELETE", "stream-faults")

    def listeners(self) -> int:
        """How many connections follow the order topic."""
        rows = self.control("GET", "streams")["connections"]
        return sum("order" in row["topics"] for row in rows)

    def fills(self) -> list[dict[str, Any]]:
        """Every fill of the house's account, oldest first."""
        return self.control("GET", "fills", params={"account": KEY})["fills"]

    def legs(self) -> list[dict[str, Any]]:
        """Every leg of a position that the house's account ever held."""
        return self.control("GET", "positions", params={"account": KEY})["positions"]

    def orders(self) -> list[dict[str, Any]]:
        """Every order that the exchange took, in the order in which it took them."""
        rows = self.control("GET", "orders", params={"account": KEY})["orders"]
        return sorted(rows, key=lambda row: row["number"])

    def fault(self, endpoint: str, kind: str, *, count: int = 1, **options: Any) -> None:
        self.control("POST", "faults", json={"endpoint": endpoint, "kind": kind, "count": count, **options})

    def order(self, link_id: str) -> dict[str, Any] | None:
        """The order that the exchange took under this link id."""
        return next((row for row in self.orders() if row["link_id"] == link_id), None)

    def ledger(self, **filters: Any) -> list[dict[str, Any]]:
        """All that the exchange saw and did, in order; `kind` and `endpoint` filter."""
        return self.control("GET", "ledger", params={"limit": 100000, **filters})["entries"]

    def attempts(self, endpoint: str) -> list[dict[str, Any]]:
        """Every request that reached the exchange on this endpoint, answered or not."""
        return self.ledger(kind="request", endpoint=endpoint)

    def faults_left(self) -> int:
        """How many requests are still to go wrong."""
        return sum(row["left"] for row in self.control("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        self.control("DELETE", "faults")

    def set_price(self, symbol: str, price: Any, *, pin: bool = True, **options: Any) -> None:
        """Set a symbol's price; crossed orders fill. A pinned price stays until it is set anew."""
        self.control(
            "POST",
            "price",
            json={"category": "linear", "symbol": symbol, "price": str(price), "pin": pin} | options,
        )

    def list_instrument(self, symbol: str, **rules: str) -> None:
        """List a new symbol, or change the rules of a listed one."""
        self.control("POST", "instruments", json={"category": "linear", "symbol": symbol, **rules})


@dataclass
class House:
    """The fleet on the paper exchange."""

    env: Mapping[str, str]
    fleet: Fleet
    paper: PaperExchange
    engine: Engine
    told: list[dict[str, Any]] = field(default_factory=list)  # all that was taken off the event queue

    def hear(self) -> list[dict[str, Any]]:
        """All events since the beginning, those that wait on the queue included."""
        self.told.extend(self.events())
        return self.told

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """The REST API's answer."""
        return requests.request(
            method,
            f"http://127.0.0.1:{self.env['ORDERMANAGER_PORT']}{path}",
            headers={"X-API-Key": self.env["ORDERMANAGER_API_KEY"]},
            timeout=30,
            **options,
        )

    def start(self) -> None:
        """Start every program, stage by stage."""
        self.fleet.open()
        for stage in self.fleet.stages:
            self.fleet.start_stage(stage)
        self.fleet.all_started()

    def stop(self) -> None:
        """Stop every program and wait for its end; the exchange goes on."""
        self.fleet.stop()

    def kill_all(self) -> None:
        """SIGKILL every program at once, the supervisor first."""
        family = [psutil.Process(pid) for pid in self.fleet.pids().values()]
        supervisor = family[0].parent()
        assert supervisor is not None
        for process in [supervisor, *supervisor.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.fleet.stop()

    def publish(self, *bodies: Mapping[str, Any] | bytes, headers: Mapping[str, Any] | None = None) -> None:
        """As a careful sender does: persistent, to the signals queue, and confirmed where brokers confirm."""
        options = {"confirm_publish": True} if "RABBITMQ_HOST" in self.env else {}
        with kombu.Connection(broker_url(self.env), transport_options=options) as connection:
            channel = connection.default_channel
            queue = kombu.Queue(SIGNALS, exchange=kombu.Exchange(""), routing_key=SIGNALS, durable=True)
            queue(channel).declare()
            producer = kombu.Producer(channel, auto_declare=False)
            for body in bodies:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                producer.publish(
                    raw,
                    routing_key=SIGNALS,
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode=2,
                    headers=dict(headers or {}),
                )

    def rows(self, statement: str, **values: Any) -> list[Mapping[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement), values).mappings()]

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.connect() as connection:
            connection.execute(text(statement), values)

    def count(self, statement: str, **values: Any) -> int:
        (row,) = self.rows(f"SELECT count(*) AS n FROM {statement}", **values)
        return int(row["n"])

    def signal(self, signal_id: str) -> Mapping[str, Any] | None:
        rows = self.rows("SELECT * FROM trading_signals WHERE signal_id = :id", id=signal_id)
        return rows[0] if rows else None

    def wait_for_end(self, *signal_ids: str, timeout_s: float = 30) -> list[Mapping[str, Any]]:
        """Each signal's row, once all of them have ended."""

        def ended() -> bool:
            return all(
                (row := self.signal(name)) is not None and row["state"] not in {"waiting", "planned"}
                for name in signal_ids
            )

        wait_until(ended, what=f"{signal_ids} to end", timeout_s=timeout_s, tell=self.tell)
        return [row for name in signal_ids if (row := self.signal(name)) is not None]

    def tell(self) -> str:
        """What the house looks like, for a failing test."""
        states = self.rows("SELECT state, count(*) FROM trading_signals GROUP BY state")
        blocked = self.rows("SELECT symbol, retry_at, blocked_reason FROM lanes WHERE retry_at IS NOT NULL")
        return f"signals {states}; blocked {blocked}; logs in {self.fleet.data_dir / 'logs'}"

    def events(self) -> list[dict[str, Any]]:
        """Takes everything off the event queue."""
        found: list[dict[str, Any]] = []
        with broker_connection(self.env) as connection, connection.channel() as channel:
            queue = kombu.Queue(EVENTS, exchange=kombu.Exchange(""), routing_key=EVENTS, durable=True)
            bound = queue(channel)
            bound.declare()
            while (message := bound.get(no_ack=True)) is not None:
                body = message.body
                found.append(json.loads(body))
        return found

    def has_queue(self, name: str) -> bool:
        """Whether the broker knows a task queue of this name; on Redis: whether one was ever declared."""
        with broker_connection(self.env) as connection, connection.channel() as channel:
            if "RABBITMQ_HOST" in self.env:
                try:
                    channel.queue_declare(name, passive=True)
                except NotFound:
                    return False
                return True
            return any(queue == name for _, _, queue in channel.get_table("order-manager.tasks"))

    def call(self, task: str, *args: Any, queue: str = "maintenance") -> None:
        """`celery call`, as an operator would."""
        argv = [sys.executable, "-m", "celery", "-A", "order_manager", "call", task, "--queue", queue]
        argv += ["--args", json.dumps(args)]
        subprocess.run(
            argv, cwd=ROOT, env={**os.environ, **self.env}, check=True, capture_output=True, timeout=60
        )

    def processes(self, name: str) -> list[psutil.Process]:
        """A program's main process and its children; raises when it does not run."""
        main = psutil.Process(self.fleet.pids()[name])
        return [main, *main.children(recursive=True)]

    def log(self, name: str) -> str:
        """What a program logged so far."""
        return self.fleet.log_path(name).read_text(errors="replace")

    def leases(self) -> dict[int, set[str]]:
        """session of a live symbol worker -> the symbols that it leases."""
        held = self.rows(
            "SELECT w.pid, l.symbol FROM pg_locks w JOIN pg_database d ON d.oid = w.database"
            " LEFT JOIN (pg_locks k JOIN lanes l ON l.id = k.objid::bigint) ON k.pid = w.pid"
            "   AND k.classid = :lease AND k.locktype = 'advisory' AND k.granted"
            " WHERE w.locktype = 'advisory' AND w.classid IN (:worker, :bound) AND w.granted"
            "   AND d.datname = current_database()",
            lease=LEASE_LOCK,
            worker=WORKER_LOCK,
            bound=BOUND_LOCK,
        )
        found: dict[int, set[str]] = {}
        for row in held:
            found.setdefault(row["pid"], set()).update({row["symbol"]} - {None})
        return found

    def shares(self) -> list[int]:
        """How many symbols each worker leases, least first."""
        return sorted(len(symbols) for symbols in self.leases().values())

    def reconcile(self) -> None:
        """Have every symbol with open orders compared with the exchange, now."""
        with broker_connection(self.env) as connection:
            app = Celery(broker=broker_url(self.env))
            app.send_task("reconcile_orders", queue="maintenance", connection=connection)

    @contextmanager
    def another_worker(self, name: str, **settings: str) -> Iterator[psutil.Process]:
        """One more symbol worker beside the fleet's, killed at the end if it still runs."""
        argv = [sys.executable, "-m", "celery", "-A", "order_manager", "worker", "-c", "1", "-Q", "orders"]
        argv += ["-n", f"{name}@%h", "--without-mingle", "--without-gossip", "--loglevel", "WARNING"]
        with self.fleet.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, **self.env, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        main = psutil.Process(process.pid)
        try:
            yield main
        finally:
            family = [main, *main.children(recursive=True)] if main.is_running() else []
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            process.wait(10)

    def kill(self, name: str, *, child: bool = False) -> int | None:
        """SIGKILL the process, or one of its children; returns the pid, None if it was gone."""
        pid = self.fleet.pids().get(name)
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
            if child:
                children = process.children()
                if not children:
                    return None
                process = children[0]
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return None
        return process.pid


def wait_until(
    claim: Callable[[], bool],
    *,
    what: str,
    timeout_s: float = 30,
    pause_s: float = 0.05,
    tell: Callable[[], str] = str,
) -> None:
    deadline = time.monotonic() + timeout_s
    while not claim():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {what}; {tell()}")
        time.sleep(pause_s)


@contextmanager
def running_house(
    folder: Path,
    servers: Mapping[str, str],
    *,
    database_url: str,
    workers: int = 2,
    only: Sequence[str] = ("consumer", "lane", "maintenance", "beat"),
    exchange_options: Sequence[str] = (
        "--create-limit",
        "500",
        "--read-limit",
        "2000",
        "--price-interval-ms",
        "200",
    ),
    **settings: str,
) -> Iterator[House]:
    """Start the processes whose names begin with one of `only`; stop them all at the end."""
    paper = PaperExchange(folder, exchange_options)
    paper.start()
    configured = {
        **servers,
        **NO_LIMITS,
        "BYBIT_ENVIRONMENT": "paper",
        "BYBIT_PAPER_URL": paper.url,
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "ORDERMANAGER_RECONCILIATION_INTERVAL": "2",
        "ORDERMANAGER_SWEEP_INTERVAL": "1",
        "ORDERMANAGER_RECV_WINDOW_MS": "1000",
        **settings,
    }
    plan = plan_fleet(folder, workers=workers, port=free_port(), configured=configured)
    programs = [program for program in plan.programs if program.name.startswith(tuple(only))]
    fleet = Fleet(folder, programs, env=plan.env)
    engine = connect(database_url, pool_size=2)
    house = House(env=plan.env, fleet=fleet, paper=paper, engine=engine)
    try:
        house.start()
        yield house
    finally:
        fleet.stop()
        engine.dispose()
        paper.stop()
