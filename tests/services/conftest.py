"""A desk on a real database with a fake exchange, a recording publisher and a clock that obeys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from order_manager.database.lane import Lane
from order_manager.domain.orders import Category, Order
from order_manager.domain.signals import Signal
from order_manager.services.desk import Desk, Patience
from order_manager.services.execute_signal import execute_signal
from order_manager.services.run_lane import run_lane
from order_manager.services.settle_orders import settle_orders
from order_manager.services.work_lane import work_lane
from tests.builders import some_rules
from tests.fakes import Clock, ClockPause, FakeExchange, RecordingPublisher
from tests.ledger import Ledger, ledger, module_ledger

__all__ = ["ledger", "module_ledger"]


@dataclass
class Room:
    """Everything around one desk."""

    ledger: Ledger
    clock: Clock
    exchange: FakeExchange
    publisher: RecordingPublisher
    desk: Desk
    woken: list[str] = field(default_factory=list)

    def rules(self, **changes: Any) -> None:
        self.desk = replace(self.desk, rules=some_rules(**changes))

    def patience(self, **changes: Any) -> None:
        self.desk = replace(self.desk, patience=replace(self.desk.patience, **changes))

    @contextmanager
    def lane(self, symbol: str = "BTCUSDT") -> Iterator[Lane]:
        with self.ledger.lane(symbol) as lane:
            assert lane is not None
            with self.desk.pause.guarding(lane.touch):
                yield lane

    def work(self, symbol: str = "BTCUSDT", *, batch: int = 10) -> int:
        with self.lane(symbol) as lane:
            return work_lane(lane, self.desk, batch=batch)

    def run(self, symbol: str = "BTCUSDT", *, batch: int = 10) -> int:
        return run_lane(symbol, lanes=self.ledger.lanes, desk=self.desk, batch=batch, wake=self.woken.append)

    def execute(self) -> None:
        """The oldest waiting signal of BTCUSDT."""
        with self.lane() as lane:
            execute_signal(lane, lane.waiting(1)[0], lane.open_orders(), self.desk)

    def settle(self) -> int:
        """How many orders changed."""
        with self.lane() as lane:
            return settle_orders(lane, self.desk).changed

    def resting(self, **changes: Any) -> Order:
        """An open order that we have recorded and the exchange has."""
        order = self.ledger.add_order(**{"signal_id": "earlier", **changes})
        self.exchange.take(order.request, exchange_order_id=order.exchange_order_id)
        return order

    def state(self, signal: Signal) -> tuple[str, str | None]:
        row = self.ledger.signal(signal.signal_id)
        return row["state"], row["code"]


@pytest.fixture
def room(ledger: Ledger) -> Room:
    """BTCUSDT has a lane; nothing waits."""
    clock = Clock()
    exchange, publisher = FakeExchange(clock=clock), RecordingPublisher()
    instrument: Callable[[str], Any] = lambda symbol: ledger.inbox.instrument(symbol, "linear")  # noqa: E731
    desk = Desk(
        exchange=exchange,
        publisher=publisher,
        rules=some_rules(),
        category=Category.LINEAR,
        instrument=instrument,
        market=exchange.market,
        patience=Patience(),
        now=clock,
        pause=ClockPause(clock),
    )
    ledger.open("BTCUSDT")
    return Room(ledger=ledger, clock=clock, exchange=exchange, publisher=publisher, desk=desk)
