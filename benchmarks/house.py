"""The whole house: the fleet's real processes on the measured servers and the paper exchange."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from benchmarks.servers import TEMPLATE, PaperExchange, Servers, running_exchange
from benchmarks.settings import house_environment
from benchmarks.signals import Publisher, SignalSource
from order_manager.embedded import free_port
from order_manager.fleet.plan import plan_fleet
from order_manager.fleet.running import Fleet

LEFT_OUT = ("web", "flower")  # they take no part in a signal's way


def quiet_engine(url: str) -> Engine:
    """For the measurer's own questions, which the count of statements leaves out by their name."""
    return create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=1, connect_args={"application_name": "benchmark"}
    )


@dataclass(kw_only=True)
class House:
    """Ours, as a subject to measure."""

    fleet: Fleet
    exchange: PaperExchange
    engine: Engine
    source: SignalSource
    publisher: Publisher
    server_pids: dict[str, int]
    stages: tuple[str, ...] = ("published to stored", "stored to decided", "decided to accepted")

    def explain(self, name: str, what: str) -> str:
        """`what` about a process of ours, with the end of its log."""
        return str(self.fleet.failure(name, what))

    def pids(self) -> dict[str, int]:
        return {**self.fleet.pids(), **self.server_pids, "paper-exchange": self.exchange.pid}

    def _number(self, statement: str, mark: int = 0) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(statement), {"mark": mark}).scalar_one())

    def mark(self) -> int:
        return self._number("SELECT coalesce(max(seq), 0) FROM trading_signals")

    def ended_since(self, mark: int) -> int:
        """Ended, its events out and its fills booked: what comes after an acceptance is part of the cost."""
        waiting = self._number("SELECT count(*) FROM order_events WHERE published_at IS NULL")
        waiting += self._number("SELECT count(*) FROM exchange_updates")
        ended = self._number(
            "SELECT count(*) FROM trading_signals WHERE seq > :mark AND state NOT IN ('waiting', 'planned')",
            mark,
        )
        return max(0, ended - waiting)

    def moments_since(self, mark: int) -> dict[str, tuple[float, ...]]:
        statement = text("""
            SELECT s.signal_id, extract(epoch FROM s.received_at) AS stored,
                extract(epoch FROM s.decided_at) AS decided, extract(epoch FROM o.accepted_at) AS accepted
            FROM trading_signals s JOIN orders o ON o.signal_id = s.signal_id
            WHERE s.seq > :mark AND o.accepted_at IS NOT NULL
        """)
        with self.engine.connect() as connection:
            rows = connection.execute(statement, {"mark": mark}).all()
        return {row.signal_id: (float(row.stored), float(row.decided), float(row.accepted)) for row in rows}


@contextmanager
def running_house(
    servers: Servers,
    *,
    broker: str,
    symbols: list[str],
    workers: int,
    name: str,
    template: str = TEMPLATE,
) -> Iterator[House]:
    """Consumer, stream, symbol workers, maintenance and beat on an empty broker and a copy of `template`."""
    servers.clear_brokers()
    folder = servers.folder / name
    (folder / "logs").mkdir(parents=True)
    database = f"bench_{name}"
    with ExitStack() as stack:
        url = servers.postgres.create_database(database, template=template)
        stack.callback(servers.postgres.drop_database, database)
        exchange = stack.enter_context(running_exchange(folder))
        configured = house_environment(servers, exchange, broker=broker, database=database)
        fleet = _fleet(folder, configured, workers)
        stack.callback(fleet.stop)
        fleet.open()
        for stage in fleet.stages:
            fleet.start_stage(stage)
        fleet.all_started()
        engine = quiet_engine(url)
        stack.callback(engine.dispose)
        publisher = Publisher(servers.broker_url(broker))
        stack.callback(publisher.close)
        yield House(
            fleet=fleet,
            exchange=exchange,
            engine=engine,
            source=SignalSource(symbols, exchange.prices(), name=name),
            publisher=publisher,
            server_pids=servers.server_pids(broker),
        )


def _fleet(folder: Path, configured: dict[str, str], workers: int) -> Fleet:
    plan = plan_fleet(folder, workers=workers, port=free_port(), configured=configured)
    programs = [program for program in plan.programs if not program.name.startswith(LEFT_OUT)]
    return Fleet(folder, programs, env=plan.env)
