"""Discover symbols: what somebody else trades on our account gets a lane too, and with it our attention."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from order_manager.domain.exchange import OVERLAP
from order_manager.errors import ExchangeError
from order_manager.services.ports import Exchange

log = structlog.get_logger(__name__)

LONGEST = timedelta(days=7)


class LookStore(Protocol):
    def known_lanes(self) -> Mapping[str, int]: ...

    def discovered_at(self) -> datetime | None: ...

    def save_discovered(self, asked_at: datetime) -> None: ...


def discover_symbols(
    *,
    store: LookStore,
    exchange: Exchange,
    open_symbol: Callable[[str], object],
    now: Callable[[], datetime],
) -> list[str]:
    """Open a lane for every symbol without one that is in use, or was since the last look; returns them.

    A lane that is opened is compared with the exchange from the last look on, so `open_symbol` has to have
    opened it when it returns. Raises what the exchange raises; the next round asks again.
    """
    asked_at, looked_at = now(), store.discovered_at()
    since = None if looked_at is None else max(looked_at - OVERLAP, asked_at - LONGEST)
    unknown = sorted(exchange.symbols_in_use(since) - set(store.known_lanes()))
    failed = [error for symbol in unknown if (error := _failure(open_symbol, symbol)) is not None]
    if failed:
        raise failed[0]
    store.save_discovered(asked_at)
    if unknown:
        log.warning("symbols_discovered", symbols=unknown)
    return unknown


def _failure(open_symbol: Callable[[str], object], symbol: str) -> ExchangeError | None:
    """One that can't be opened must not keep the others waiting."""
    try:
        open_symbol(symbol)
    except ExchangeError as error:
        log.warning("symbol_not_opened", symbol=symbol, error=error.message)
        return error
    return None
