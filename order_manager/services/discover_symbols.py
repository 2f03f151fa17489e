"""Discover symbols: what somebody else trades on our account gets a lane too, and with it our attention."""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from order_manager.services.ports import Exchange

log = structlog.get_logger(__name__)


class KnownLanes(Protocol):
    def known_lanes(self) -> Mapping[str, int]: ...


def discover_symbols(
    *, store: KnownLanes, exchange: Exchange, open_symbol: Callable[[str], None]
) -> list[str]:
    """Open a lane for every symbol in use at the exchange that has none; returns them.

    Raises what the exchange raises; the next round asks again.
    """
    unknown = sorted(exchange.symbols_in_use() - set(store.known_lanes()))
    for symbol in unknown:
        open_symbol(symbol)
    if unknown:
        log.warning("symbols_discovered", symbols=unknown)
    return unknown
