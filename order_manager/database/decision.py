"""The decision's transaction: what is true while nobody else may decide, and what was decided."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, update

from order_manager import metrics
from order_manager.database import lane_sql, outbox
from order_manager.database.prepared import Step
from order_manager.database.rows import EXACT, order_values, plain, position_from, some
from order_manager.database.tables import orders, trading_signals
from order_manager.domain.events import Event
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Order
from order_manager.domain.portfolio import OURS, View, with_portfolio
from order_manager.domain.positions import PositionMode
from order_manager.domain.signals import Signal
from order_manager.domain.state import Market, TradingMode, TradingState, mode_holder, stricter_mode


class Decision:
    """The account row is locked, and what decisions depend on was read: record what was decided."""

    def __init__(self, connection: Connection, symbol: str, row: RowMapping) -> None:
        self._connection = connection
        self._symbol = symbol
        self._row = row
        self.has_events = False  # some were written
        self.last_steps: list[Step] = []  # to be sent together with the COMMIT

    def state(
        self, instrument: Instrument, market: Market, open_orders: Sequence[Order], view: View = OURS
    ) -> TradingState:
        """`open_orders` are the symbol's: while the lane is held nobody else can change them."""
        row = self._row
        other_orders = some(row["other_orders"])
        account_mode, lane_mode = TradingMode(row["account_mode"]), TradingMode(row["lane_mode"])
        state = TradingState(
            mode=stricter_mode(account_mode, lane_mode),
            mode_of=mode_holder(account_mode, lane_mode, self._symbol),
            instrument=instrument,
            market=market,
            position=position_from(
                row if row["asset"] is not None else None,
                symbol=self._symbol,
                mode=PositionMode(row["position_mode"]),
            ),
            open_orders=tuple(open_orders),
            other_exposure=EXACT.add(some(row["other_positions"]), other_orders),
            available_balance=_available_balance(row),
            source=view.source,
        )
        if view.portfolio is None:
            return state
        return with_portfolio(state, view.portfolio, other_orders=other_orders, moved_at=row["updated_at"])

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
    ) -> None:
        """Orders to place, durable before the exchange hears of them."""
        sequence = 1 if events else 0  # a dry run's orders are announced at once
        rows = [
            {**order_values(order), "slice": number, "trace_id": signal.trace_id, "event_sequence": sequence}
            for number, order in enumerate(planned)
        ]
        values = {
            "orders": rows,
            "signal_id": signal.signal_id,
            "decision": decision,
            "reserve": reserve,
            "state": state,
            "now": now,
        }
        if events:
            lane_sql.PLAN(self._connection, values)
            self._announce(events)
        else:
            self.last_steps.append((lane_sql.PLAN, values))
        if state == "executed":
            metrics.end_signal(state)

    def record_rejection(
        self,
        signal: Signal,
        *,
        code: str,
        reason: str,
        decision: Mapping[str, Any],
        events: Sequence[Event],
        now: datetime,
    ) -> None:
        self._connection.execute(
            update(trading_signals)
            .where(trading_signals.c.signal_id == signal.signal_id)
            .values(
                state="rejected", code=code, reason=reason, decision=decision, decided_at=now, finished_at=now
            )
        )
        self._announce(events)
        metrics.end_signal("rejected", code)

    def request_cancels(
        self, signal: Signal, cancelled: Sequence[Order], *, reason: str, now: datetime
    ) -> None:
        """Remember that these are to be cancelled, before the exchange hears of it."""
        self._connection.execute(
            update(orders)
            .where(orders.c.id.in_([order.id for order in cancelled]))
            .values(cancel_requested_at=now, reason=reason, updated_at=now)
        )
        self._relate(signal, cancelled, "cancelled")

    def request_amendment(
        self, signal: Signal, order: Order, *, quantity: Decimal, price: Decimal | None, now: datetime
    ) -> None:
        """Count the larger order against the limits before the exchange hears of it."""
        self._connection.execute(
            update(orders)
            .where(orders.c.id == order.id)
            .values(amend_quantity=quantity, amend_price=price, updated_at=now)
        )
        self._relate(signal, [order], "amended")

    def _announce(self, events: Sequence[Event]) -> None:
        outbox.add(self._connection, events)
        self.has_events = self.has_events or bool(events)

    def _relate(self, signal: Signal, related: Sequence[Order], relation: str) -> None:
        self._connection.execute(
            lane_sql.RELATE,
            [
                {"signal_id": signal.signal_id, "order_id": order.id, "relation": relation}
                for order in related
            ],
        )


def _available_balance(row: RowMapping) -> Decimal | None:
    """Quote, as the exchange said, less what was reserved since; None when it was never asked."""
    available = plain(row["available_balance"])
    return None if available is None else max(available - some(row["reserved"]), Decimal(0))
