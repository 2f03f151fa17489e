"""Small real classes that fit the services' ports; tests/contracts holds the exchange to the real client."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from order_manager.domain.events import Event
from order_manager.domain.exchange import Acceptance, Evidence, Execution
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import (
    ZERO,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from order_manager.domain.positions import Fill, Position, PositionMode
from order_manager.domain.state import Market
from order_manager.errors import ExchangeError, InsufficientBalance, OrderNotFound, OutcomeUnknown, Refused
from order_manager.services.pausing import Pause
from tests.builders import a_market, an_instrument

FEE_RATE = Decimal("0.00055")


class Clock:
    """Starts now and moves only when told; its pause moves it instead of sleeping."""

    def __init__(self, start: datetime | None = None) -> None:
        self.moment = start or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class ClockPause(Pause):
    """Waits by moving a clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)
        if self._touch is not None and seconds >= 1:
            self._touch()


@dataclass
class Trouble:
    """What goes wrong at the next calls of one method."""

    error: ExchangeError
    is_applied: bool  # the exchange did as asked, and only the answer went astray
    times: int


@dataclass
class Listed:
    """One symbol of the fake exchange."""

    instrument: Instrument
    market: Market


class FakeExchange:
    """An exchange in memory: market orders fill at the touch, limit orders rest unless they cross.

    `calls` has every call's method and subject; `placed` each request that reached the book. `trouble`
    scripts errors, `before` runs something right before a method answers, `hide` makes an order not show.
    """

    def __init__(self, *, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or Clock()
        self._numbers = itertools.count(1)
        self._troubles: dict[str, list[Trouble]] = {}
        self._before: dict[str, list[Callable[[], None]]] = {}
        self._hidden: set[str] = set()
        self.listed: dict[str, Listed] = {}
        self.reports: dict[str, OrderReport] = {}
        self.fills: dict[str, list[Execution]] = {}
        self.calls: list[tuple[str, str]] = []
        self.placed: list[OrderRequest] = []
        self.signed_at: list[datetime] = []
        self.balance = Decimal(100_000)
        self.mode = PositionMode.ONE_WAY
        self.positions: dict[str, Position] = {}  # instead of what the fills come to
        self.coins: dict[str, Decimal] = {}
        self.list_symbol("BTCUSDT")

    # Scripting

    def list_symbol(self, symbol: str, **rules: Any) -> None:
        self.listed[symbol] = Listed(an_instrument(symbol=symbol, **rules), a_market(symbol=symbol))

    def move_price(self, symbol: str, *, bid: str, ask: str) -> None:
        listed = self.listed[symbol]
        low, high = Decimal(bid), Decimal(ask)
        listed.market = replace(listed.market, bid=low, ask=high, last=high, mark=high)

    def trouble(self, method: str, error: ExchangeError, *, applied: bool = False, times: int = 1) -> None:
        self._troubles.setdefault(method, []).append(Trouble(error, applied, times))

    def before(self, method: str, act: Callable[[], None]) -> None:
        """Run `act` once, right before the next call of the method."""
        self._before.setdefault(method, []).append(act)

    def hide(self, client_order_id: str) -> None:
        self._hidden.add(client_order_id)

    def show(self, client_order_id: str) -> None:
        self._hidden.discard(client_order_id)

    def count(self, method: str) -> int:
        return sum(called == method for called, _ in self.calls)

    def take(self, request: OrderRequest, *, exchange_order_id: str | None = None) -> None:
        """Have an order as if it had been placed before the test began."""
        report = self._accept(request)
        self.placed.remove(request)
        if exchange_order_id is not None:
            report = replace(self.reports[request.client_order_id], exchange_order_id=exchange_order_id)
            self.reports[request.client_order_id] = report

    def fill(self, client_order_id: str, quantity: Decimal | str, *, price: Decimal | None = None) -> None:
        """Fill so much of an open order."""
        report, amount = self.reports[client_order_id], Decimal(quantity)
        at = price or report.price or self.listed[report.symbol].market.last
        filled = report.filled_quantity + amount
        cost = report.filled_quantity * (report.average_price or ZERO) + amount * at
        fee = amount * at * FEE_RATE
        is_done = filled >= report.quantity
        self._report(
            report,
            status=OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED,
            filled_quantity=filled,
            average_price=cost / filled,
            fees=report.fees + fee,
        )
        self.fills.setdefault(client_order_id, []).append(
            Execution(
                exec_id=f"exec-{next(self._numbers)}",
                exchange_order_id=report.exchange_order_id,
                client_order_id=client_order_id,
                symbol=report.symbol,
                category=report.category,
                fill=Fill(side=report.side, quantity=amount, price=at, fee=fee),
                fee_currency="USDT",
                is_maker=report.order_type is OrderType.LIMIT,
                exec_type="Trade",
                executed_at=self._clock(),
            )
        )

    def end(self, client_order_id: str, *, status: OrderStatus = OrderStatus.CANCELLED, reason: str) -> None:
        """The exchange itself ends an open order."""
        self._report(self.reports[client_order_id], status=status, reason=reason)

    def _report(self, report: OrderReport, **changes: Any) -> None:
        # A later millisecond each time, as the exchange's clock would have it.
        moment = max(self._clock(), report.updated_at + timedelta(milliseconds=1))
        self.reports[report.client_order_id] = replace(report, updated_at=moment, **changes)

    @contextmanager
    def _called(self, method: str, subject: str) -> Iterator[None]:
        """Notes the call and lets its trouble happen, before the deed or after it."""
        self.calls.append((method, subject))
        for act in self._before.pop(method, []):
            act()
        waiting = self._troubles.get(method, [])
        trouble = waiting[0] if waiting else None
        if trouble is not None:
            trouble.times -= 1
            if trouble.times == 0:
                waiting.pop(0)
            if not trouble.is_applied:
                raise trouble.error
        yield
        if trouble is not None:
            raise trouble.error

    # services.ports.Exchange

    def instrument(self, symbol: str) -> Instrument | None:
        with self._called("instrument", symbol):
            listed = self.listed.get(symbol)
            return listed.instrument if listed else None

    def instruments(self) -> tuple[Instrument, ...]:
        with self._called("instruments", ""):
            return tuple(listed.instrument for listed in self.listed.values())

    def market(self, symbol: str) -> Market:
        with self._called("market", symbol):
            return replace(self.listed[symbol].market, at=self._clock())

    def position_mode(self, symbol: str) -> PositionMode:
        with self._called("position_mode", symbol):
            return self.mode

    def place_order(
        self, request: OrderRequest, *, sign_at: Callable[[], datetime] | None = None
    ) -> Acceptance:
        if sign_at is not None:
            self.signed_at.append(sign_at())
        with self._called("place_order", request.client_order_id):
            known = self.reports.get(request.client_order_id)
            if known is None:
                known = self._accept(request)
            elif (known.side, known.quantity) != (request.side, request.quantity):
                raise Refused("another order has this client_order_id", ret_code=110072)
        return Acceptance(exchange_order_id=known.exchange_order_id, at=known.created_at)

    def _accept(self, request: OrderRequest) -> OrderReport:
        listed, now = self.listed[request.symbol], self._clock()
        touch = listed.market.ask if request.side is Side.BUY else listed.market.bid
        if request.quantity % listed.instrument.lot_size:
            raise Refused("Qty invalid", ret_code=10001)
        if request.quantity * (request.price or touch) > self.balance:
            raise InsufficientBalance("ab not enough for new order", ret_code=110007)
        report = OrderReport(
            client_order_id=request.client_order_id,
            exchange_order_id=f"exchange-{next(self._numbers)}",
            symbol=request.symbol,
            category=request.category,
            side=request.side,
            order_type=request.order_type,
            time_in_force=request.time_in_force,
            status=OrderStatus.PENDING,
            quantity=request.quantity,
            price=request.price,
            filled_quantity=ZERO,
            average_price=None,
            fees=ZERO,
            reduce_only=request.reduce_only,
            position_idx=request.position_idx,
            reason=None,
            created_at=now,
            updated_at=now,
        )
        self.reports[request.client_order_id] = report
        self.placed.append(request)
        crosses = request.price is None or (touch - request.price) * request.side.sign <= 0
        if crosses and request.time_in_force is TimeInForce.POST_ONLY:
            self.end(request.client_order_id, reason="EC_PostOnlyWillTakeLiquidity")
        elif crosses:
            self.fill(request.client_order_id, request.quantity, price=touch)
        return report

    def cancel_order(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> None:
        client_order_id = self._name(client_order_id, exchange_order_id)
        with self._called("cancel_order", client_order_id):
            self._open(client_order_id)
            self.end(client_order_id, reason="CancelByUser")

    def amend_order(
        self, symbol: str, client_order_id: str, *, quantity: Decimal | None, price: Decimal | None
    ) -> None:
        with self._called("amend_order", client_order_id):
            report = self._open(client_order_id)
            self._report(report, quantity=quantity or report.quantity, price=price or report.price)

    def _open(self, client_order_id: str) -> OrderReport:
        report = self.reports.get(client_order_id)
        if report is None or report.status.is_terminal:
            raise OrderNotFound("order not exists or too late", ret_code=110001)
        return report

    def evidence(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> Evidence:
        client_order_id = self._name(client_order_id, exchange_order_id)
        with self._called("evidence", client_order_id):
            is_hidden = client_order_id in self._hidden
            if is_hidden and self.fills.get(client_order_id):
                raise OutcomeUnknown("it has fills, but no order shows yet")
            report = None if is_hidden else self.reports.get(client_order_id)
            return Evidence(report=report, asked_at=self._clock())

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        with self._called("open_orders", symbol):
            mine = [report for report in self.reports.values() if report.symbol == symbol]
            return tuple(
                report
                for report in mine
                if not report.status.is_terminal and report.client_order_id not in self._hidden
            )

    def closed_orders_since(self, symbol: str, since: datetime) -> tuple[OrderReport, ...]:
        with self._called("closed_orders_since", symbol):
            return tuple(
                report
                for name, report in self.reports.items()
                if report.symbol == symbol
                and report.status.is_terminal
                and report.created_at >= since
                and name not in self._hidden
            )

    def executions(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> tuple[Execution, ...]:
        client_order_id = self._name(client_order_id, exchange_order_id)
        with self._called("executions", client_order_id):
            return tuple(self.fills.get(client_order_id, ()))

    def executions_since(self, symbol: str, since: datetime) -> tuple[Execution, ...]:
        with self._called("executions_since", symbol):
            booked = [one for fills in self.fills.values() for one in fills if one.symbol == symbol]
            return tuple(one for one in booked if one.executed_at >= since)

    def symbols_in_use(self, since: datetime | None = None) -> frozenset[str]:
        with self._called("symbols_in_use", ""):
            open_orders = [report for report in self.reports.values() if not report.status.is_terminal]
            held = [symbol for symbol in self.listed if self._position(symbol).gross_size()]
            booked = [one for fills in self.fills.values() for one in fills]
            traded = [one.symbol for one in booked if since is not None and one.executed_at >= since]
            return frozenset({*held, *traded, *(report.symbol for report in open_orders)})

    def position(self, symbol: str) -> Position | None:
        """What the fills of the symbol come to, or what a test put into `positions`."""
        with self._called("position", symbol):
            return self._position(symbol)

    def _position(self, symbol: str) -> Position:
        if symbol in self.positions:
            return self.positions[symbol]
        position = Position(symbol=symbol, mode=self.mode)
        for one in (one for fills in self.fills.values() for one in fills if one.symbol == symbol):
            idx = self.reports[one.client_order_id].position_idx
            position = position.with_fill(idx, one.fill)
        return position

    def coin_balance(self, coin: str) -> Decimal:
        with self._called("coin_balance", coin):
            return self.coins.get(coin, ZERO)

    def _name(self, client_order_id: str, exchange_order_id: str | None) -> str:
        """The name that the fake keeps its orders by."""
        if exchange_order_id is None:
            return client_order_id
        named = [key for key, report in self.reports.items() if report.exchange_order_id == exchange_order_id]
        return named[0] if named else exchange_order_id

    def available_balance(self) -> Decimal:
        with self._called("available_balance", ""):
            return self.balance


@dataclass
class RecordingPublisher:
    """Keeps what it was given; while `is_away` it raises as a lost broker would."""

    events: list[Event] = field(default_factory=list)
    is_away: bool = False

    def publish(self, events: Iterable[Event]) -> None:
        given = list(events)
        if self.is_away:
            raise ConnectionError("the broker is away")
        self.events += given

    @property
    def types(self) -> list[str]:
        return [event.event_type for event in self.events]
