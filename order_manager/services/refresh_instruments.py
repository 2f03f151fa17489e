"""Refresh instruments: trading rules change twice a month, a symbol may stop trading, a mode may change."""

import structlog

from order_manager.services.open_symbol import SymbolStore
from order_manager.services.ports import Exchange

log = structlog.get_logger(__name__)

CHUNK = 200  # rows per statement


def refresh_instruments(*, store: SymbolStore, exchange: Exchange) -> int:
    """Returns how many instruments the exchange lists; raises Retryable and leaves what it had."""
    listed = list(exchange.instruments())
    for start in range(0, len(listed), CHUNK):
        store.save_instruments(listed[start : start + CHUNK])
    if listed:
        store.mark_unlisted(listed[0].category, {instrument.symbol for instrument in listed})
    for symbol in store.known_lanes():
        store.save_position_mode(symbol, exchange.position_mode(symbol))
    log.info("instruments_refreshed", count=len(listed))
    return len(listed)
