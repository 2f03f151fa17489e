"""The floor, as a subject to measure: the same servers, the same number of workers, the bare path."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from sqlalchemy import Engine, text

from benchmarks.house import quiet_engine
from benchmarks.servers import Servers, our_environment, python, running
from benchmarks.signals import Publisher, SignalSource
from order_manager.embedded import free_port
from order_manager.embedded.processes import log_tail

TABLES = """
    CREATE TABLE floor_signals (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        signal_id text NOT NULL UNIQUE, symbol text NOT NULL, body text NOT NULL);
    CREATE TABLE floor_account (id int PRIMARY KEY, balance numeric NOT NULL);
    CREATE TABLE floor_orders (id uuid PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        signal_id text NOT NULL, exchange_order_id text, accepted_at timestamptz);
    INSERT INTO floor_account VALUES (1, 1000000);
"""


@dataclass(kw_only=True)
class BareHouse:
    """What the floor did is in its two tables."""

    engine: Engine
    source: SignalSource
    publisher: Publisher
    process_pids: dict[str, int]
    folder: Path
    stages: tuple[str, ...] = ("published to accepted",)

    def explain(self, name: str, what: str) -> str:
        path = self.folder / "logs" / f"{name}.log"
        return f"{name} {what}; the end of {path}:\n{log_tail(path)}"

    def pids(self) -> dict[str, int]:
        return dict(self.process_pids)

    def mark(self) -> int:
        return self._number("SELECT coalesce(max(seq), 0) FROM floor_orders", 0)

    def ended_since(self, mark: int) -> int:
        return self._number(
            "SELECT count(*) FROM floor_orders WHERE seq > :mark AND accepted_at IS NOT NULL", mark
        )

    def _number(self, statement: str, mark: int) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(statement), {"mark": mark}).scalar_one())

    def moments_since(self, mark: int) -> dict[str, tuple[float, ...]]:
        statement = text("""
            SELECT signal_id, extract(epoch FROM accepted_at) AS at FROM floor_orders
            WHERE seq > :mark AND accepted_at IS NOT NULL
        """)
        with self.engine.connect() as connection:
            return {row.signal_id: (float(row.at),) for row in connection.execute(statement, {"mark": mark})}


@contextmanager
def running_bare_house(
    servers: Servers, *, broker: str, symbols: list[str], workers: int, name: str
) -> Iterator[BareHouse]:
    servers.clear_brokers()
    folder = servers.folder / name
    database = f"bench_{name}"
    with ExitStack() as stack:
        url = servers.postgres.create_database(database)
        stack.callback(servers.postgres.drop_database, database)
        engine = quiet_engine(url)
        stack.callback(engine.dispose)
        port = free_port()
        exchange_url = f"http://127.0.0.1:{port}/order/create"
        env = our_environment() | {
            "BENCH_BROKER_URL": servers.broker_url(broker),
            "BENCH_POSTGRES_URL": url,
            "BENCH_EXCHANGE_URL": exchange_url,
            "BENCH_WORKERS": str(workers),
        }
        with engine.connect() as connection:
            connection.exec_driver_sql(TABLES)

        def start(process: str, argv: list[str], **options: object) -> int:
            return stack.enter_context(running(process, argv, folder, env=env, **options))

        pids = {
            "bare-exchange": start(
                "bare-exchange",
                python("-m", "benchmarks.bare_exchange", str(port)),
                ready=lambda: _accepts(exchange_url),
            ),
            "consumer": start("consumer", python("-m", "benchmarks.floor")),
        }
        for number in range(1, workers + 1):
            pids[f"lane-{number}"] = start(f"lane-{number}", _worker(number))
        publisher = Publisher(servers.broker_url(broker), queue="floor.signals")
        stack.callback(publisher.close)
        yield BareHouse(
            engine=engine,
            source=SignalSource(symbols, dict.fromkeys(symbols, "100"), name=name),
            publisher=publisher,
            folder=folder,
            process_pids=pids | servers.server_pids(broker),
        )


def _worker(number: int) -> list[str]:
    quietly = ("--without-mingle", "--without-gossip", "-E", "--loglevel", "WARNING")
    where = ("-n", f"floor-{number}@%h", "-Q", f"floor.{number}")
    return python("-m", "celery", "-A", "benchmarks.floor", "worker", "-c", "1", *where, *quietly)


def _accepts(url: str) -> bool:
    try:
        return requests.post(url, data="{}", timeout=1).ok
    except requests.RequestException:
        return False
