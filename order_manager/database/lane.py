"""A symbol's lane: the session that may act on the symbol, and all that it reads and writes.

The lane is a session-level advisory lock, and every statement runs on the session that holds it. A session
that the server has ended (process dead, or silent for longer than the session timeout) can write no more,
so a successor never meets its predecessor's writes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from order_manager import metrics
from order_manager.database import lane_sql, outbox
from order_manager.database.decision import Decision
from order_manager.database.engine import transaction
from order_manager.database.lane_upkeep import LaneUpkeep
from order_manager.database.locks import LANE_LOCK
from order_manager.database.prepared import Prepared, in_one_trip
from order_manager.database.rows import (
    order_from,
    order_values,
    position_from,
    position_values,
    signal_from,
)
from order_manager.database.tables import (
    lanes,
    orders,
    signal_order_relationships,
    trading_signals,
)
from order_manager.domain.events import Event
from order_manager.domain.orders import Order
from order_manager.domain.positions import Position, PositionMode
from order_manager.domain.signals import Signal
from order_manager.errors import AlreadyPlaced, LaneLost

LINK_ID_ONCE = "uq_orders_client_order_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A signal of the inbox that has not ended."""

    signal: Signal
    is_planned: bool  # its orders are recorded; else nothing is decided yet
    received_at: datetime
    decided_at: datetime | None
    began_amending: bool = False  # an earlier holder set out to amend an order for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a change of an order needs besides the order."""

    signal: Signal | None
    received_at: datetime | None  # when the signal was
    trace_id: str
    event_sequence: int  # events told of the order so far
    position: Position  # that the order's fills move


class LaneStore:
    """Opens lanes. One per process; a lane uses one connection of its pool at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection whose loss is told as LaneLost."""
        try:
            connection = self._engine.connect()
        except OperationalError as error:
            raise LaneLost(f"the database is away: {error.orig}") from error
        try:
            yield connection
        except DBAPIError as error:
            if error.connection_invalidated:
                raise LaneLost("the database ended the session that held the lane") from error
            connection.invalidate()  # the session may hold the lane still, and must end with it
            if isinstance(error, OperationalError):
                raise LaneLost(f"the database did not answer in time: {error.orig}") from error
            raise
        finally:
            connection.close()

    @contextmanager
    def take(self, symbol: str) -> Iterator["Lane | None"]:
        """The symbol's lane, or None where there is nothing to do or another process holds it."""
        with self.session() as connection, self._locked(connection, symbol, lane_sql.LOCK_IF_BUSY) as lane:
            yield lane

    @contextmanager
    def take_for_upkeep(self, symbol: str) -> Iterator["Lane | None"]:
        """The symbol's lane whether or not something waits; None where it is unknown or held."""
        with self.session() as connection, self._locked(connection, symbol, lane_sql.LOCK) as lane:
            yield lane

    @staticmethod
    @contextmanager
    def _locked(connection: Connection, symbol: str, lock: Prepared) -> Iterator["Lane | None"]:
        # Looked at only with the lock: before it, the last holder could still have been writing.
        preview = in_one_trip(
            connection,
            (lock, {"lock_class": LANE_LOCK, "symbol": symbol}),
            (lane_sql.PREVIEW, {"symbol": symbol}),
        ).first()
        if preview is None or not preview.is_ours:
            yield None
            return
        lane = Lane(connection, symbol, preview)
        try:
            yield lane
        finally:
            if not connection.invalidated:
                left = in_one_trip(
                    connection,
                    (lane_sql.UNLOCK, {"lock_class": LANE_LOCK, "id": lane.lane_id}),
                    (lane_sql.PREVIEW, {"symbol": symbol}),
                ).one()
                is_due = left.is_due and (left.has_signals or left.is_reconciliation_due)
                lane.is_work_left = bool(left.has_updates or is_due)
                lane.are_only_updates_left = lane.is_work_left and not is_due


class Lane(LaneUpkeep):
    """One symbol, while this process holds its lock. Every method is one transaction."""

    def __init__(self, connection: Connection, symbol: str, preview: Row[Any]) -> None:
        super().__init__(connection, symbol, preview.id)
        self.retry_at: datetime | None = preview.retry_at
        self.has_signals: bool = preview.has_signals
        self.has_unsettled: bool = preview.has_unsettled
        self.has_events: bool = preview.has_events
        self.has_updates: bool = preview.has_updates
        self.reconcile_requested_at = preview.reconcile_requested_at
        self.is_reconciliation_due = preview.is_reconciliation_due
        self.must_reconcile = preview.must_reconcile
        self.validate_requested_at = preview.validate_requested_at
        self.balance_at: datetime | None = preview.balance_at
        self.is_work_left = False  # told on leaving: something arrived that this holder did not see
        self.are_only_updates_left = False
        self._fresh: list[tuple[int, Event]] = []  # written here and not yet published

    # What waits

    def waiting(self, limit: int) -> list[Waiting]:
        """Signals that have not ended, in order of arrival."""
        rows = lane_sql.WAITING(self._connection, {"symbol": self.symbol, "limit": limit}).mappings()
        return [
            Waiting(
                signal=signal_from(row),
                is_planned=row["state"] == "planned",
                received_at=row["received_at"],
                decided_at=row["decided_at"],
                began_amending=row["began_amending"],
            )
            for row in rows
        ]

    def open_orders(self) -> list[Order]:
        rows = lane_sql.OPEN_ORDERS(self._connection, {"symbol": self.symbol}).mappings()
        return [order_from(row) for row in rows]

    def orders_of(self, signal: Signal) -> list[Order]:
        """The orders that this attempt at `signal` planned, by slice."""
        rows = self._connection.execute(_ORDERS_OF, {"signal_id": signal.signal_id}).mappings()
        return [order_from(row) for row in rows]

    def amendment_shows(self, signal: Signal) -> bool:
        """Whether an order that was to be amended for `signal` is as wanted at the exchange."""
        return bool(
            self._connection.execute(lane_sql.AMENDMENT_SHOWS, {"signal_id": signal.signal_id}).scalar()
        )

    def origin_of(self, order: Order) -> Origin:
        """What a change of `order` needs besides the order itself."""
        row = lane_sql.ORIGIN(self._connection, {"id": order.id}).mappings().one()
        mode = PositionMode.ONE_WAY if order.request.position_idx == 0 else PositionMode.HEDGE
        text = row["position"]
        stored = None if text is None else json.loads(text, parse_float=Decimal, parse_int=Decimal)
        return Origin(
            signal=signal_from(row) if row["seq"] is not None else None,
            received_at=row["received_at"],
            trace_id=row["order_trace_id"] or "",
            event_sequence=row["event_sequence"],
            position=position_from(stored, symbol=self.symbol, mode=mode),
        )

    # Fencing

    def renew(self, open_order_ids: Sequence[str], now: datetime) -> None:
        """Move the moment before which these orders had not been sent; raises LaneLost when we may not."""
        self._connection.execute(lane_sql.RENEW, {"ids": list(open_order_ids), "now": now})

    def touch(self) -> None:
        """Keep the session alive through a pause; raises LaneLost when it is gone."""
        self._connection.exec_driver_sql("SELECT 1")

    # Decisions

    @contextmanager
    def deciding(self) -> Iterator[Decision]:
        """The decision's transaction: holds the account row until the block ends. Raises AlreadyPlaced."""
        try:
            row = in_one_trip(
                self._connection, "BEGIN", lane_sql.LOCK_ACCOUNT, (lane_sql.STATE, {"symbol": self.symbol})
            ).mappings()
            decision = Decision(self._connection, self.symbol, row.one())
            yield decision
            in_one_trip(self._connection, *decision.last_steps, "COMMIT")
        except BaseException as error:
            if not self._connection.invalidated:
                self._connection.exec_driver_sql("ROLLBACK")
            if isinstance(error, IntegrityError) and LINK_ID_ONCE in str(error.orig):
                raise AlreadyPlaced from error
            raise
        self.has_events = self.has_events or decision.has_events

    def save_balance(self, available: Decimal, *, asked_at: datetime) -> None:
        """What the exchange said; what was planned since then is reserved on top."""
        self._connection.execute(lane_sql.SAVE_BALANCE, {"available": available, "asked_at": asked_at})
        self.balance_at = asked_at

    def claim_orders(self, signal: Signal, client_order_id_prefix: str) -> list[str]:
        """Make the signal's own what was taken for others' orders; returns their client_order_ids."""
        values = {"signal_id": signal.signal_id, "symbol": self.symbol, "prefix": client_order_id_prefix}
        return list(self._connection.execute(lane_sql.CLAIM, values).scalars())

    # Outcomes

    def record_accepted(
        self, order: Order, *, exchange_order_id: str, event: Event, is_last: bool, now: datetime
    ) -> None:
        """The exchange took the order; with `is_last` its signal is executed."""
        number = lane_sql.ACCEPT(
            self._connection,
            {
                "id": order.id,
                "exchange_order_id": exchange_order_id,
                "signal_id": order.signal_id,
                "is_last": is_last,
                "now": now,
                "event_id": event.event_id,
                "event_type": event.event_type,
                "symbol": self.symbol,
                "sequence": event.sequence,
                "trace_id": event.trace_id,
                "body": event.body,
            },
        ).scalar_one()
        self._fresh.append((int(number), event))
        if is_last:
            metrics.end_signal("executed")

    def record_order(
        self,
        order: Order,
        *,
        events: Sequence[Event] = (),
        position: Position | None = None,
        mark_price: Decimal | None = None,
    ) -> None:
        """An order as it is now, with its events, and the position that its growth moved."""
        self._fresh.extend(self._record(order, events, position=position, mark_price=mark_price))

    def _record(
        self,
        order: Order,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        mark_price: Decimal | None = None,
    ) -> Iterator[tuple[int, Event]]:
        moved = [] if position is None else [{**position_values(position), "mark_price": mark_price}]
        values = {
            **order_values(order),
            "event_count": len(events),
            "events": [outbox.event_values(event) for event in events],
            "positions": moved,
        }
        numbers = lane_sql.RECORD(self._connection, values).scalars().all()
        return zip(numbers, events, strict=True)

    def end_amendment(self, signal: Signal, order: Order, *, is_applied: bool) -> None:
        """The change no longer counts twice; one that did not come is not the signal's either."""
        with transaction(self._connection):
            self._connection.execute(
                update(orders).where(orders.c.id == order.id).values(amend_quantity=None, amend_price=None)
            )
            if not is_applied:
                self._connection.execute(
                    delete(signal_order_relationships).where(
                        signal_order_relationships.c.signal_id == signal.signal_id,
                        signal_order_relationships.c.order_id == order.id,
                        signal_order_relationships.c.relation == "amended",
                    )
                )

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
    ) -> None:
        """The signal's end, and with it that of its orders that were never sent."""
        with transaction(self._connection):
            for order, event in refused:
                self._record(order, [event])
            self._connection.execute(
                update(trading_signals)
                .where(trading_signals.c.signal_id == signal.signal_id)
                .values(state=state, code=code, reason=reason, finished_at=now)
            )
            outbox.add(self._connection, events)
        self.has_events = self.has_events or bool(events or refused)
        metrics.end_signal(state, code)

    # Events

    def unpublished(self, *, limit: int) -> list[tuple[int, Event]]:
        """Oldest first. Asked of the database only where it may hold events that were not written here."""
        if self.has_events:
            self._fresh = outbox.unpublished(self._connection, self.symbol, limit=limit)
            self.has_events = len(self._fresh) == limit
        return self._fresh[:limit]

    def mark_published(self, ids: Sequence[int]) -> None:
        outbox.mark_published(self._connection, ids)
        self._fresh = [(number, event) for number, event in self._fresh if number not in ids]

    # Waiting for the exchange

    def block(self, *, until: datetime, reason: str, now: datetime) -> None:
        """Nothing more on this symbol before `until`."""
        self._connection.execute(
            update(lanes)
            .where(lanes.c.id == self.lane_id)
            .values(
                retry_at=until, blocked_reason=reason, blocked_since=func.coalesce(lanes.c.blocked_since, now)
            )
        )

    def unblock(self) -> None:
        self._connection.execute(
            update(lanes)
            .where(lanes.c.id == self.lane_id, lanes.c.retry_at.is_not(None))
            .values(retry_at=None, blocked_reason=None, blocked_since=None)
        )


_ORDERS_OF = (
    select(orders)
    .join(signal_order_relationships, signal_order_relationships.c.order_id == orders.c.id)
    .join(trading_signals, trading_signals.c.signal_id == signal_order_relationships.c.signal_id)
    .where(
        signal_order_relationships.c.signal_id == bindparam("signal_id"),
        signal_order_relationships.c.relation == "placed",
        orders.c.created_at >= trading_signals.c.decided_at,
    )
    .order_by(orders.c.slice)
)
