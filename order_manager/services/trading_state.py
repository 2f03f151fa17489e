"""Trading state: stop, restrict or resume trading, of the account or of one symbol.

In effect from the next decision: each reads the mode in the transaction that records what it decides.
"""

from typing import Protocol

import structlog

from order_manager.domain.state import TradingMode

log = structlog.get_logger(__name__)


class TradingStateStore(Protocol):
    def set_mode(
        self, mode: TradingMode, *, symbol: str | None, reason: str, by: str
    ) -> TradingMode | None: ...


def change_trading_state(
    mode: TradingMode, *, symbol: str | None, reason: str, by: str, store: TradingStateStore
) -> TradingMode | None:
    """Set the account's mode, or the symbol's; returns what it was, None where the symbol has no lane.

    Why and by whom is remembered with it. Safe to repeat. Orders that are open stay open; signals that come
    meanwhile are rejected.
    """
    before = store.set_mode(mode, symbol=symbol, reason=reason, by=by)
    if before is not None:
        log.warning(
            "trading_state_changed",
            mode=mode.value,
            before=before.value,
            symbol=symbol,
            reason=reason,
            changed_by=by,
        )
    return before
