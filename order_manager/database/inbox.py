"""The inbox and its neighbours: what the consumer and the sweeps need of the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, text, update

from order_manager import metrics
from order_manager.database import outbox
from order_manager.database.engine import transaction
from order_manager.database.locks import ARRIVAL_LOCK
from order_manager.database.rows import signal_from, signal_values
from order_manager.database.symbols import SymbolStore
from order_manager.database.tables import (
    dead_letters,
    exchange_updates,
    lanes,
    order_events,
    orders,
    trading_signals,
)
from order_manager.domain.events import Event, signal_event
from order_manager.domain.signals import Signal
from order_manager.domain.state import Rejection


class Receipt(StrEnum):
    """What became of a signal at the inbox."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # waiting, executed, or rejected by rule: dropped
    RETRIED = "retried"  # its processing had failed: it waits again, at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    receipt: Receipt
    state: str  # of the signal, before this delivery for a duplicate


# One round trip: the lock makes arrival numbers of a symbol commit in their own order, however many
# consumers run; without it a later number could be seen first.
_STORE = text(f"""
    WITH arrival AS MATERIALIZED (
        SELECT pg_advisory_xact_lock({ARRIVAL_LOCK}, hashtext(:symbol))
    )
    INSERT INTO trading_signals
        (seq, signal_id, symbol, side, notional, confidence, is_urgent, snapshot_price, snapshot_spread,
         sent_at, strategy_id, trace_id, body)
    SELECT nextval(pg_get_serial_sequence('trading_signals', 'seq')),
        :signal_id, :symbol, :side, :notional, :confidence, :is_urgent, :snapshot_price, :snapshot_spread,
        :sent_at, :strategy_id, :trace_id, :body
    FROM arrival
    ON CONFLICT (signal_id) DO NOTHING
    RETURNING seq
""")
_STATE = select(trading_signals.c.state).where(trading_signals.c.signal_id == bindparam("id"))
_RETRY = text(f"""
    WITH arrival AS MATERIALIZED (
        SELECT pg_advisory_xact_lock({ARRIVAL_LOCK}, hashtext(:symbol))
    )
    UPDATE trading_signals SET
        seq = nextval(pg_get_serial_sequence('trading_signals', 'seq')),
        symbol = :symbol, side = :side, notional = :notional, confidence = :confidence,
        is_urgent = :is_urgent, snapshot_price = :snapshot_price, snapshot_spread = :snapshot_spread,
        sent_at = :sent_at, strategy_id = :strategy_id, trace_id = :trace_id, body = :body, state = 'waiting',
        attempt = attempt + 1, received_at = now(), decided_at = NULL, finished_at = NULL,
        decision = NULL, code = NULL, reason = NULL
    FROM arrival
    WHERE signal_id = :signal_id AND state = 'failed'
    RETURNING seq
""")


def storable(value: object) -> str:
    """Any value as text that PostgreSQL takes: no NUL, no lone surrogate, and not endless."""
    text = str(value)[:1000].encode("utf-8", "backslashreplace").decode()
    return text.replace("\x00", "\\x00")


class Inbox(SymbolStore):
    """Signals in, dead letters aside, and the list of what waits. Each method commits by itself."""

    def receive(self, signal: Signal, body: str) -> Received:
        """Store a signal once. Safe to repeat: a second delivery is a duplicate."""
        values = {**signal_values(signal), "body": body}
        with self._engine.connect() as connection:
            if connection.execute(_STORE, values).first() is not None:
                return Received(receipt=Receipt.STORED, state="waiting")
            if connection.execute(_RETRY, values).first() is not None:
                return Received(receipt=Receipt.RETRIED, state="failed")
            state = connection.execute(_STATE, {"id": signal.signal_id}).scalar_one()
            return Received(receipt=Receipt.DUPLICATE, state=state)

    def record_dead_letter(
        self,
        *,
        queue: str,
        code: str,
        field: str,
        reason: str,
        body: bytes,
        headers: Mapping[str, Any],
        events: Sequence[Event] = (),
    ) -> int:
        """Keep a message that can't be used, whole, with its reason; returns its id.

        The events that are written with it name the signal_id, where one could be read.
        """
        values = {
            "queue": queue,
            "code": code,
            "field": field[:100],
            "reason": reason,
            "body": body,
            "signal_id": next((event.signal_id for event in events), None),
            "headers": {storable(key): storable(value) for key, value in headers.items()},
        }
        with self._engine.connect() as connection, transaction(connection):
            number = connection.execute(
                insert(dead_letters).values(values).returning(dead_letters.c.id)
            ).scalar_one()
            outbox.add(connection, events)
        return int(number)

    def reject_waiting(
        self, symbol: str, rejection: Rejection, *, signals: Sequence[Signal], now: datetime
    ) -> None:
        """End signals of a symbol that can have no lane, each with its event."""
        with self._engine.connect() as connection, transaction(connection):
            for signal in signals:
                ended = connection.execute(
                    update(trading_signals)
                    .where(
                        trading_signals.c.signal_id == signal.signal_id, trading_signals.c.state == "waiting"
                    )
                    .values(
                        state="rejected",
                        code=rejection.code,
                        reason=rejection.message,
                        decided_at=now,
                        finished_at=now,
                    )
                )
                if ended.rowcount:
                    outbox.add(connection, [signal_event("signal_rejected", signal, rejection, now=now)])
                    metrics.end_signal("rejected", rejection.code)

    def waiting(self, symbol: str, *, limit: int = 500) -> list[Signal]:
        """The symbol's waiting signals, oldest first."""
        statement = (
            select(trading_signals)
            .where(trading_signals.c.symbol == symbol, trading_signals.c.state == "waiting")
            .order_by(trading_signals.c.seq)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [signal_from(row) for row in connection.execute(statement).mappings()]

    def discard_updates(self, symbol: str) -> int:
        """Forget what the exchange told of a symbol that can have no lane; returns how many updates."""
        with self._engine.connect() as connection:
            return connection.execute(
                delete(exchange_updates).where(exchange_updates.c.symbol == symbol)
            ).rowcount

    def forgotten(self, *, older_than_s: float) -> list[tuple[str, bool]]:
        """(symbol, has a lane) where signals, in-flight orders or events wait longer than they should."""
        age = func.make_interval(0, 0, 0, 0, 0, 0, older_than_s)
        due = or_(lanes.c.retry_at.is_(None), lanes.c.retry_at <= func.now())
        pending = select(trading_signals.c.symbol).where(
            trading_signals.c.state.in_(["waiting", "planned"]),
            trading_signals.c.received_at < func.now() - age,
        )
        unsettled = select(orders.c.symbol).where(
            orders.c.status.in_(["pending", "partially_filled"]),
            or_(orders.c.exchange_order_id.is_(None), orders.c.cancel_requested_at.is_not(None)),
            orders.c.updated_at < func.now() - age,
        )
        untold = select(exchange_updates.c.symbol).where(exchange_updates.c.received_at < func.now() - age)
        unreconciled = select(lanes.c.symbol).where(lanes.c.reconcile_requested_at < func.now() - age, due)
        unpublished = select(order_events.c.symbol).where(
            order_events.c.published_at.is_(None), order_events.c.created_at < func.now() - age
        )
        work = pending.union(unsettled).subquery()
        names = (
            select(work.c.symbol)
            .select_from(work.outerjoin(lanes, lanes.c.symbol == work.c.symbol))
            .where(or_(lanes.c.id.is_(None), due))
            .union(unreconciled, untold, unpublished)  # a blocked lane still hears and publishes
            .subquery()
        )
        statement = select(names.c.symbol, lanes.c.id.is_not(None).label("has_lane")).select_from(
            names.outerjoin(lanes, lanes.c.symbol == names.c.symbol)
        )
        with self._engine.connect() as connection:
            return [(row.symbol, row.has_lane) for row in connection.execute(statement)]

    def symbols_with_open_orders(self, *, created_before: datetime | None = None) -> list[str]:
        """Symbols with open orders; with `created_before` only those with one as old as that."""
        statement = (
            select(orders.c.symbol).where(orders.c.status.in_(["pending", "partially_filled"])).distinct()
        )
        if created_before is not None:
            statement = statement.where(orders.c.created_at < created_before)
        with self._engine.connect() as connection:
            return [row.symbol for row in connection.execute(statement)]

    def unpublished_without_lane(self) -> list[tuple[int, Event]]:
        """Events of symbols that have no lane, so that no lane will publish them."""
        statement = (
            select(order_events.c.symbol)
            .where(
                order_events.c.published_at.is_(None),
                ~exists().where(lanes.c.symbol == order_events.c.symbol),
            )
            .distinct()
            .limit(100)
        )
        with self._engine.connect() as connection:
            symbols = [row.symbol for row in connection.execute(statement)]
            return [pair for symbol in symbols for pair in outbox.unpublished(connection, symbol)]

    def mark_published(self, ids: Sequence[int]) -> None:
        with self._engine.connect() as connection:
            outbox.mark_published(connection, ids)
