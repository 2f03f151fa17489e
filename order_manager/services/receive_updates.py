"""Receive updates: what the exchange tells, kept for its symbol's lane; what can't be read is set aside."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import structlog

from order_manager import metrics
from order_manager.domain.exchange import Update
from order_manager.errors import UnreadableAnswer

log = structlog.get_logger(__name__)

WALLET = "wallet"
BALANCE_EVERY_S = 1.0  # a wallet message comes with every order; each is a whole picture

Row = Mapping[str, Any]


class UpdateStore(Protocol):
    def store(self, updates: Sequence[Update], *, source: str, received_at: datetime) -> set[str]: ...

    def request_reconciliation(
        self, symbols: Sequence[str] | None = None, *, validate: bool = False, must: bool = False
    ) -> list[str]: ...

    def save_balance(self, available: Decimal, *, asked_at: datetime) -> None: ...


class DeadLetters(Protocol):
    def record_dead_letter(
        self, *, queue: str, code: str, field: str, reason: str, body: bytes, headers: Mapping[str, Any]
    ) -> int: ...

    def known_lanes(self) -> Mapping[str, int]: ...


class UpdateReceiver:
    """Whoever hears the exchange hands it here. What returns is durable; what raises must come again."""

    def __init__(
        self,
        *,
        store: UpdateStore,
        dead_letters: DeadLetters,
        readers: Mapping[str, Callable[[Row], Update]],
        read_balance: Callable[[Row], Decimal | None],
        category: str,
        wake: Callable[[str], None],
        open_symbol: Callable[[str], None],
        reconcile: Callable[[], None],
    ) -> None:
        """`readers` by topic: order, execution, position."""
        self._store = store
        self._dead_letters = dead_letters
        self._readers = readers
        self._read_balance = read_balance
        self._category = category
        self._wake = wake
        self._open_symbol = open_symbol
        self._reconcile = reconcile
        self._lanes: Mapping[str, int] = {}
        self._balance_at: datetime | None = None

    def receive(self, told: Mapping[str, Sequence[Row]], *, source: str, received_at: datetime) -> None:
        """Keep rows (Bybit's objects) by topic, and wake their lanes.

        Raises what the database or the broker raises: then all must come again, or count as missed.
        """
        updates = []
        for topic, rows in told.items():
            if topic == WALLET:
                self._receive_wallet(rows, received_at)
            else:
                updates += self._read(topic, rows, source)
        if not updates:
            return
        for symbol in sorted(self._store.store(updates, source=source, received_at=received_at)):
            (self._wake if self._has_lane(symbol) else self._open_symbol)(symbol)

    def gap(self, reason: str) -> None:
        """Updates may have been missed: have everything compared with the exchange."""
        symbols = self._store.request_reconciliation(must=True)
        log.info("reconciliation_requested", reason=reason, symbols=len(symbols))
        for symbol in symbols:
            self._wake(symbol)
        self._reconcile()

    def _read(self, topic: str, rows: Sequence[Row], source: str) -> list[Update]:
        """What cannot be read is set aside."""
        updates = []
        for row in rows:
            # The same symbol can be listed in several categories; a record without one is ours.
            if row.get("category") not in (None, self._category):
                continue
            try:
                updates.append(self._readers[topic](row))
            except UnreadableAnswer as error:
                self._set_aside(topic, row, error, source)
        metrics.UPDATES_RECEIVED.labels(source, topic).inc(len(updates))
        return updates

    def _receive_wallet(self, rows: Sequence[Row], received_at: datetime) -> None:
        last = self._balance_at
        if not rows or (last is not None and (received_at - last).total_seconds() < BALANCE_EVERY_S):
            return
        try:
            available = self._read_balance(rows[-1])
        except UnreadableAnswer as error:
            log.warning("wallet_unreadable", error=str(error))
            return
        if available is not None:
            self._store.save_balance(available, asked_at=received_at)
            self._balance_at = received_at

    def _set_aside(self, topic: str, row: Row, error: UnreadableAnswer, source: str) -> None:
        """Kept whole, and the symbol compared with the exchange: something did change there."""
        number = self._dead_letters.record_dead_letter(
            queue=f"{source}.{topic}",
            code="unreadable_update",
            field=getattr(error, "field", ""),
            reason=error.message,
            body=json.dumps(row, default=str).encode(),
            headers={},
        )
        metrics.UPDATES_UNREADABLE.labels(source, topic).inc()
        log.error("update_unreadable", topic=topic, dead_letter=number, error=error.message)
        symbol = row.get("symbol")
        if isinstance(symbol, str):
            for known in self._store.request_reconciliation([symbol], must=True):
                self._wake(known)

    def _has_lane(self, symbol: str) -> bool:
        if symbol not in self._lanes:
            self._lanes = self._dead_letters.known_lanes()
        return symbol in self._lanes
