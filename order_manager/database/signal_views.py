"""Signals: what came in, what was decided and why, for the REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Engine, RowMapping, select

from order_manager.database.queries import Page, directed, matching, page_of, within
from order_manager.database.rows import order_from, signal_from
from order_manager.database.tables import orders, signal_order_relationships, trading_signals
from order_manager.database.waits import Waits, read_waits
from order_manager.domain.orders import Order
from order_manager.domain.signals import Signal


class SignalState(StrEnum):
    WAITING = "waiting"
    PLANNED = "planned"  # decided, and not carried out yet
    EXECUTED = "executed"
    REJECTED = "rejected"
    FAILED = "failed"


PENDING = (SignalState.WAITING, SignalState.PLANNED)


class SignalSort(StrEnum):
    """What a list of signals can be sorted by; the words of the interface."""

    RECEIVED_AT = "received_at"
    DECIDED_AT = "decided_at"
    FINISHED_AT = "finished_at"
    ASSET = "asset"
    AMOUNT = "amount"
    STATE = "state"


_SORT_COLUMNS: Mapping[SignalSort, Column[Any]] = {
    SignalSort.RECEIVED_AT: trading_signals.c.seq,  # the order of arrival is what counts
    SignalSort.DECIDED_AT: trading_signals.c.decided_at,
    SignalSort.FINISHED_AT: trading_signals.c.finished_at,
    SignalSort.ASSET: trading_signals.c.symbol,
    SignalSort.AMOUNT: trading_signals.c.notional,
    SignalSort.STATE: trading_signals.c.state,
}
_LISTED = [column for column in trading_signals.c if column.name not in {"body", "decision"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFilter:
    """Which signals; None asks for nothing."""

    symbol: str | None = None
    state: SignalState | None = None
    code: str | None = None  # why it was rejected or failed
    strategy_id: str | None = None
    signal_id: str | None = None
    received_from: datetime | None = None  # inclusive
    received_to: datetime | None = None  # inclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignal:
    """A signal and what became of it."""

    signal: Signal
    seq: int
    state: SignalState
    code: str | None
    reason: str | None
    received_at: datetime
    decided_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStory:
    """And why: the decision, the message as it came, and the orders that it placed, cancelled or amended."""

    stored: StoredSignal
    decision: Mapping[str, Any] | None
    message: str
    orders: tuple[tuple[str, Order], ...]  # (relation, order)
    waits: Waits | None  # None: it has ended


def list_signals(
    engine: Engine, wanted: SignalFilter, *, sort: SignalSort, is_descending: bool, page: Page
) -> tuple[list[StoredSignal], int]:
    """One page of the signals, and how many there are on all pages; the arrival settles ties."""
    conditions = matching(
        trading_signals,
        symbol=wanted.symbol,
        state=wanted.state,
        code=wanted.code,
        strategy_id=wanted.strategy_id,
        signal_id=wanted.signal_id,
    )
    conditions += within(trading_signals.c.received_at, wanted.received_from, wanted.received_to)
    columns = dict.fromkeys([_SORT_COLUMNS[sort], trading_signals.c.seq])
    order = [directed(column, is_descending=is_descending) for column in columns]
    query = select(*_LISTED).where(*conditions).order_by(*order)
    rows, total = page_of(engine, query, trading_signals, conditions, page)
    return [_stored(row) for row in rows], total


def find_signal(engine: Engine, signal_id: str) -> SignalStory | None:
    """The signal with this id; of several attempts the last."""
    related = (
        select(signal_order_relationships.c.relation, orders)
        .join_from(signal_order_relationships, orders, signal_order_relationships.c.order_id == orders.c.id)
        .where(signal_order_relationships.c.signal_id == signal_id)
        .order_by(orders.c.created_at, orders.c.slice, orders.c.id, signal_order_relationships.c.relation)
    )
    with engine.connect() as connection:
        query = select(trading_signals).where(trading_signals.c.signal_id == signal_id)
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        rows = connection.execute(related).mappings().all()
        stored = _stored(row)
        waits = read_waits(connection, row["symbol"], row["seq"]) if stored.state in PENDING else None
    return SignalStory(
        stored=stored,
        decision=row["decision"],
        message=row["body"],
        orders=tuple((one["relation"], order_from(one)) for one in rows),
        waits=waits,
    )


def _stored(row: RowMapping) -> StoredSignal:
    return StoredSignal(
        signal=signal_from(row),
        seq=row["seq"],
        state=SignalState(row["state"]),
        code=row["code"],
        reason=row["reason"],
        received_at=row["received_at"],
        decided_at=row["decided_at"],
        finished_at=row["finished_at"],
    )
