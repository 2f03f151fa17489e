"""The run: floor, ours and the variants, one after the other on each broker, never two at a time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.bare_house import running_bare_house
from benchmarks.house import House, running_house
from benchmarks.measuring import Subject, burst, paced, wait_for, warm_up
from benchmarks.old_orders import insert_old_orders
from benchmarks.plan import BrokerResult, Measured, RunPlan
from benchmarks.servers import RABBITMQ, TEMPLATE, Servers, running_servers, temporary_folder
from benchmarks.signals import symbols
from benchmarks.statements import StatementLog
from benchmarks.usage import memory_mib

OLD_TEMPLATE = "bench_old_template"
STATEMENT_SECONDS = 2.0


class Run:
    """Measures what `plan` says; `results` fills as it goes, so that an interrupted run keeps what it has."""

    def __init__(self, plan: RunPlan, console: Console, *, keep_logs: Path | None = None) -> None:
        self._plan = plan
        self._keep_logs = keep_logs
        self._console = console
        self._started = time.monotonic()
        self.results: list[BrokerResult] = []

    def tell(self, what: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._started:5.0f} s[/dim]  {what}")

    def measure(self) -> None:
        with temporary_folder(keep_logs=self._keep_logs) as folder:
            self.tell(f"starting PostgreSQL, Redis{', RabbitMQ' if RABBITMQ in self._plan.brokers else ''}")
            with running_servers(folder, with_rabbitmq=RABBITMQ in self._plan.brokers) as servers:
                if self._plan.old_orders:
                    url = servers.postgres.create_database(OLD_TEMPLATE, template=TEMPLATE)
                    listed = symbols(self._plan.symbols)
                    insert_old_orders(url, self._plan.old_orders, listed, tell=self.tell)
                for broker in self._plan.brokers:
                    self._measure_on(servers, broker)

    def _measure_on(self, servers: Servers, broker: str) -> None:
        plan = self._plan
        floor = self._floor(servers, broker)
        ours = self._ours(servers, broker, "ours", plan.symbols, plan)
        result = BrokerResult(broker=broker, ours=ours, floor=floor)
        self.results.append(result)
        if plan.is_quick and broker != plan.brokers[-1]:
            return
        short = plan.for_variant()
        if plan.many_symbols:
            name = f"{plan.many_symbols} symbols"
            result.variants[name] = self._ours(servers, broker, name, plan.many_symbols, short)
        if plan.old_orders:
            name = f"{plan.old_orders:,} old orders"
            result.variants[name] = self._ours(
                servers, broker, name, plan.symbols, short, template=OLD_TEMPLATE
            )

    def _floor(self, servers: Servers, broker: str) -> Measured:
        self.tell(f"{broker}, floor: starting its processes")
        listed = symbols(self._plan.symbols)
        with running_bare_house(
            servers, broker=broker, symbols=listed, workers=self._plan.workers, name=f"{broker}_floor"
        ) as house:
            return self._phases(servers, house, f"{broker}, floor", len(listed), self._plan)

    def _ours(
        self,
        servers: Servers,
        broker: str,
        what: str,
        symbol_count: int,
        plan: RunPlan,
        *,
        template: str = TEMPLATE,
    ) -> Measured:
        title = f"{broker}, {what}"
        self.tell(f"{title}: starting the processes")
        name = f"{broker}_{''.join(letter if letter.isalnum() else '_' for letter in what)}"
        listed = symbols(symbol_count)
        with running_house(
            servers, broker=broker, symbols=listed, workers=plan.workers, name=name, template=template
        ) as house:
            return self._phases(servers, house, title, symbol_count, plan)

    def _phases(
        self, servers: Servers, subject: Subject, title: str, symbol_count: int, plan: RunPlan
    ) -> Measured:
        self.tell(f"{title}: warming up {symbol_count} symbols")
        warm_up(subject, symbol_count)
        self.tell(f"{title}: {plan.rate:g} signals/s for {plan.seconds:g} s")
        with _calls(subject) as calls:
            first = paced(subject, rate=plan.rate, seconds=plan.seconds)
        self.tell(f"{title}: p50 {first.latency.p50:.1f} ms, p99 {first.latency.p99:.1f} ms")
        # Before the burst, which leaves wake-ups behind that find nothing to do.
        statements = self._statements(servers, subject, plan.rate)
        self.tell(f"{title}: {statements:.1f} SQL statements per signal")
        self.tell(f"{title}: {plan.burst} signals at once")
        with _calls(subject) as burst_calls:
            second = burst(subject, plan.burst)
        self.tell(f"{title}: {second.per_second:.0f} signals/s")
        memory = memory_mib(subject.pids())
        return Measured(
            paced=first,
            burst=second,
            statements=statements,
            calls={name: count / first.signals for name, count in calls.items()},
            burst_calls={name: count / second.signals for name, count in burst_calls.items()},
            memory_mib=memory,
        )

    def _statements(self, servers: Servers, subject: Subject, rate: float) -> float:
        """Per signal; what the idle processes send by themselves is counted first and taken off."""
        log = StatementLog(servers.postgres, servers.folder / "logs" / "postgres.log")
        with log.switched_on():
            idle = _counted(log, lambda: time.sleep(STATEMENT_SECONDS))
            messages = subject.source.take(round(rate * STATEMENT_SECONDS))
            mark = subject.mark()

            def publish() -> None:
                subject.publisher.publish_paced(messages, rate)
                wait_for(subject, mark, len(messages))

            busy = _counted(log, publish)
        (idle_count, idle_s), (busy_count, busy_s) = idle, busy
        return (busy_count - idle_count / idle_s * busy_s) / len(messages)


def _counted(log: StatementLog, act: Callable[[], None]) -> tuple[int, float]:
    position, started = log.position(), time.monotonic()
    act()
    seconds = time.monotonic() - started
    time.sleep(0.2)  # the log's last lines
    return log.count_since(position), seconds


@contextmanager
def _calls(subject: Subject) -> Iterator[dict[str, int]]:
    """Fills with the exchange's calls during the block, by endpoint; the floor's are one per signal."""
    calls: dict[str, int] = {}
    if not isinstance(subject, House):
        yield calls
        return
    seq = subject.exchange.ledger_end()
    yield calls
    calls.update(subject.exchange.calls_since(seq))
