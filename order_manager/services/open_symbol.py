"""Open a symbol: a first signal for a listed symbol opens its lane; for any other it is rejected."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Category
from order_manager.domain.positions import PositionMode
from order_manager.domain.signals import Signal
from order_manager.domain.state import Rejection
from order_manager.services.ports import Exchange

log = structlog.get_logger(__name__)


class SymbolStore(Protocol):
    def open_lane(self, instrument: Instrument, mode: PositionMode) -> None: ...

    def save_position_mode(self, symbol: str, mode: PositionMode) -> None: ...

    def mark_unlisted(self, category: str, listed: Collection[str]) -> None: ...

    def known_lanes(self) -> Mapping[str, int]: ...

    def waiting(self, symbol: str) -> list[Signal]: ...

    def discard_updates(self, symbol: str) -> int: ...

    def reject_waiting(
        self, symbol: str, rejection: Rejection, *, signals: Sequence[Signal], now: datetime
    ) -> None: ...

    def save_instruments(self, listed: Sequence[Instrument]) -> None: ...


def open_symbol(
    symbol: str,
    *,
    store: SymbolStore,
    exchange: Exchange,
    category: Category,
    wake: Callable[[str], None],
    now: datetime,
) -> bool:
    """Whether the exchange lists the symbol. Raises Retryable when it can't be asked; nothing has changed."""
    instrument = exchange.instrument(symbol)
    if instrument is not None:
        store.open_lane(instrument, exchange.position_mode(symbol))
        log.info("lane_opened", symbol=symbol)
        wake(symbol)
        return True
    rejection = Rejection(
        code="unknown_symbol",
        message=f"asset {symbol} is not listed in the exchange's {category} category",
        value=symbol,
    )
    store.discard_updates(symbol)
    signals = store.waiting(symbol)
    store.reject_waiting(symbol, rejection, signals=signals, now=now)
    log.warning("symbol_unknown", symbol=symbol, signals=[signal.signal_id for signal in signals])
    return False
