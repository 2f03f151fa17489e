"""Signals: a wish from the model."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from order_manager.domain.orders import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Buy or sell `symbol` for `notional` quote currency."""

    signal_id: str  # unique for the sender; at most 100 characters
    side: Side
    symbol: str
    notional: Decimal  # quote, above zero
    confidence: Decimal | None  # 0 to 1; None when the sender gave none
    is_urgent: bool  # metadata asked for a market order
    snapshot_price: Decimal | None  # quote per base, as the model saw it
    snapshot_spread: Decimal | None  # quote, absolute
    timestamp: datetime | None  # the sender's clock
    strategy_id: str | None
    trace_id: str
    attempt: int = 1  # 2 and up when a failed signal was sent again
