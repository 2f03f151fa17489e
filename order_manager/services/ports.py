"""What the services need from the outside, as shapes; adapters fit without inheriting."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from order_manager.domain.events import Event
from order_manager.domain.exchange import Acceptance, Evidence, Execution, Update
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Order, OrderReport, OrderRequest
from order_manager.domain.portfolio import View
from order_manager.domain.positions import Position, PositionMode
from order_manager.domain.signals import Signal
from order_manager.domain.state import Market, TradingState
from order_manager.domain.validating import LegDifference, Recount


class Exchange(Protocol):
    """Bybit, as we see it.

    Every method raises the ExchangeError family. place, cancel and amend retry by themselves only what
    was certainly not applied (RateLimited, Unavailable) and raise OutcomeUnknown at once otherwise;
    reads retry whatever is Retryable.
    """

    def instrument(self, symbol: str) -> Instrument | None: ...

    def instruments(self) -> Sequence[Instrument]: ...

    def market(self, symbol: str) -> Market: ...

    def position_mode(self, symbol: str) -> PositionMode: ...

    def place_order(self, request: OrderRequest, *, sign_at: Callable[[], datetime]) -> Acceptance:
        """`sign_at` is asked right before each attempt and may raise to forbid it; the exchange refuses a
        request that reaches it more than the receive window after that moment."""
        ...

    def cancel_order(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> None:
        """Here and below: with `exchange_order_id` the order is named by that."""
        ...

    def amend_order(
        self, symbol: str, client_order_id: str, *, quantity: Decimal | None, price: Decimal | None
    ) -> None: ...

    def evidence(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> Evidence: ...

    def open_orders(self, symbol: str) -> Sequence[OrderReport]: ...

    def closed_orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]: ...

    def executions(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> Sequence[Execution]: ...

    def executions_since(self, symbol: str, since: datetime) -> Sequence[Execution]: ...

    def symbols_in_use(self, since: datetime | None = None) -> Set[str]: ...

    def position(self, symbol: str) -> Position | None: ...

    def coin_balance(self, coin: str) -> Decimal: ...

    def available_balance(self) -> Decimal: ...


class Publisher(Protocol):
    def publish(self, events: Iterable[Event]) -> None:
        """Returns when the broker has confirmed all; raises otherwise."""
        ...


class WaitingSignal(Protocol):
    """A signal of the inbox that has not ended."""

    @property
    def signal(self) -> Signal: ...

    @property
    def is_planned(self) -> bool: ...

    @property
    def received_at(self) -> datetime: ...

    @property
    def decided_at(self) -> datetime | None: ...

    @property
    def began_amending(self) -> bool:
        """An earlier holder of the lane set out to amend an order for it."""
        ...


class Origin(Protocol):
    """What a change of an order needs besides the order."""

    @property
    def signal(self) -> Signal | None: ...

    @property
    def received_at(self) -> datetime | None: ...

    @property
    def trace_id(self) -> str: ...

    @property
    def event_sequence(self) -> int: ...

    @property
    def position(self) -> Position: ...


class Decision(Protocol):
    """The account row is locked."""

    def state(
        self, instrument: Instrument, market: Market, open_orders: Sequence[Order], view: View
    ) -> TradingState: ...

    def record_plan(
        self,
        signal: Signal,
        planned: Sequence[Order],
        *,
        decision: Mapping[str, Any],
        reserve: Decimal,
        events: Sequence[Event],
        state: str,
        now: datetime,
    ) -> None: ...

    def record_rejection(
        self,
        signal: Signal,
        *,
        code: str,
        reason: str,
        decision: Mapping[str, Any],
        events: Sequence[Event],
        now: datetime,
    ) -> None: ...

    def request_cancels(
        self, signal: Signal, cancelled: Sequence[Order], *, reason: str, now: datetime
    ) -> None: ...

    def request_amendment(
        self, signal: Signal, order: Order, *, quantity: Decimal, price: Decimal | None, now: datetime
    ) -> None: ...


class UpkeepLane(Protocol):
    """What a lane does beside signals: apply what the exchange told, and compare with it."""

    @property
    def is_reconciliation_due(self) -> bool:
        """Compare with the exchange; as of when the lane was taken, or asked for since."""
        ...

    @property
    def must_reconcile(self) -> bool:
        """Something may have been missed: no signal before that."""
        ...

    @property
    def validate_requested_at(self) -> datetime | None:
        """And recount the position from its fills."""
        ...

    def updates(self, limit: int) -> Sequence[tuple[int, Update]]: ...

    def drop_updates(self, numbers: Sequence[int]) -> None: ...

    def survives(self, error: Exception) -> bool:
        """The lane goes on after `error`: it came from what was to be written."""
        ...

    def set_update_aside(self, number: int, *, reason: str) -> None: ...

    def find_orders(
        self, *, exchange_order_ids: Sequence[str] = (), client_order_ids: Sequence[str] = ()
    ) -> Sequence[Order]: ...

    def adopt(self, order: Order, *, spare_id: str) -> Order: ...

    def book_executions(self, executions: Sequence[Execution]) -> Sequence[str]: ...

    def behind(self, exchange_order_ids: Sequence[str]) -> Sequence[str]: ...

    def name_executions(self, exchange_order_ids: Sequence[str]) -> None: ...

    def executions_known_until(self) -> datetime: ...

    def executions_without_order(self, limit: int) -> Sequence[str]: ...

    def save_position_mode(self, mode: PositionMode) -> None: ...

    def stored_positions(self) -> Sequence[Position]: ...

    def marked_positions(self, mark_price: Decimal | None) -> Sequence[Position]: ...

    def correct_leg(
        self,
        position: Position,
        difference: LegDifference,
        *,
        source: str,
        reason: str,
        events: Sequence[Event],
    ) -> None: ...

    def recount(self, base_coin: str) -> Recount: ...

    def orders_without_all_executions(self, limit: int) -> Sequence[Order]: ...

    def request_cancels(self, stale: Sequence[Order], *, reason: str, now: datetime) -> None: ...

    def request_reconciliation(self) -> None: ...

    def finish_reconciliation(self, *, seen: int, corrected: int, discrepancies: int) -> None: ...

    def dismiss_reconciliation(self) -> None: ...

    def fail_reconciliation(self, error: str) -> None: ...


class Lane(UpkeepLane, Protocol):
    """One symbol, held by this process alone; every method is one transaction and raises LaneLost."""

    @property
    def symbol(self) -> str: ...

    @property
    def has_signals(self) -> bool:
        """Signals wait; as of when the lane was taken."""
        ...

    @property
    def has_unsettled(self) -> bool:
        """An order is in flight or about to end; as of when the lane was taken."""
        ...

    @property
    def has_updates(self) -> bool:
        """The exchange told something that is not applied yet; as of when the lane was taken."""
        ...

    @property
    def retry_at(self) -> datetime | None:
        """Nothing on this symbol before then; as of when the lane was taken."""
        ...

    @property
    def has_events(self) -> bool:
        """Events of an earlier holder wait to be published; as of when the lane was taken."""
        ...

    @property
    def balance_at(self) -> datetime | None:
        """When the balance that decisions see was asked for."""
        ...

    @property
    def is_work_left(self) -> bool:
        """On leaving: signals or updates arrived that this holder did not see."""
        ...

    @property
    def are_only_updates_left(self) -> bool:
        """On leaving: no signals are among them."""
        ...

    def waiting(self, limit: int) -> Sequence[WaitingSignal]: ...

    def open_orders(self) -> list[Order]: ...

    def orders_of(self, signal: Signal) -> list[Order]: ...

    def amendment_shows(self, signal: Signal) -> bool: ...

    def origin_of(self, order: Order) -> Origin: ...

    def renew(self, open_order_ids: Sequence[str], now: datetime) -> None: ...

    def touch(self) -> None: ...

    def deciding(self) -> AbstractContextManager[Decision]:
        """Raises AlreadyPlaced at its end where an order of the plan is on record."""
        ...

    def claim_orders(self, signal: Signal, client_order_id_prefix: str) -> Sequence[str]: ...

    def save_balance(self, available: Decimal, *, asked_at: datetime) -> None: ...

    def record_accepted(
        self, order: Order, *, exchange_order_id: str, event: Event, is_last: bool, now: datetime
    ) -> None: ...

    def record_order(
        self,
        order: Order,
        *,
        events: Sequence[Event] = (),
        position: Position | None = None,
        mark_price: Decimal | None = None,
    ) -> None: ...

    def end_amendment(self, signal: Signal, order: Order, *, is_applied: bool) -> None: ...

    def finish_signal(
        self,
        signal: Signal,
        state: str,
        *,
        code: str | None = None,
        reason: str | None = None,
        events: Sequence[Event] = (),
        refused: Sequence[tuple[Order, Event]] = (),
        now: datetime,
    ) -> None: ...

    def unpublished(self, *, limit: int) -> list[tuple[int, Event]]: ...

    def mark_published(self, ids: Sequence[int]) -> None: ...

    def block(self, *, until: datetime, reason: str, now: datetime) -> None: ...

    def unblock(self) -> None: ...
