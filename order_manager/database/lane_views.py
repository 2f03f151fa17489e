"""Lanes: what waits in each, since when, and how it stands with the exchange."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from order_manager.database.queries import Page
from order_manager.domain.positions import PositionMode
from order_manager.domain.state import TradingMode

# Each count reads a partial index or one that begins with the symbol.
_LANES = text("""
    SELECT l.symbol, l.mode, l.position_mode, l.opened_at, l.retry_at, l.blocked_since, l.blocked_reason,
        s.depth, CAST(extract(epoch FROM now() - s.oldest) AS double precision) AS oldest_age_s,
        o.open_orders, o.in_flight, o.cancelling,
        u.updates, CAST(extract(epoch FROM now() - u.oldest) AS double precision) AS oldest_update_age_s,
        l.reconcile_requested_at, l.validate_requested_at, l.reconciled_at, l.reconciled_orders,
        l.corrected_orders, l.discrepancies, l.reconcile_failed_at, l.reconcile_error
    FROM (
        SELECT * FROM lanes
        WHERE (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
            AND (CAST(:mode AS text) IS NULL OR mode = :mode)
        ORDER BY symbol LIMIT :limit OFFSET :offset
    ) l CROSS JOIN LATERAL (
        SELECT count(*) AS depth, min(received_at) AS oldest FROM trading_signals
        WHERE symbol = l.symbol AND state IN ('waiting', 'planned')
    ) s CROSS JOIN LATERAL (
        SELECT count(*) AS open_orders, count(*) FILTER (WHERE exchange_order_id IS NULL) AS in_flight,
            count(*) FILTER (WHERE cancel_requested_at IS NOT NULL) AS cancelling FROM orders
        WHERE symbol = l.symbol AND status IN ('pending', 'partially_filled')
    ) o CROSS JOIN LATERAL (
        SELECT count(*) AS updates, min(received_at) AS oldest FROM exchange_updates WHERE symbol = l.symbol
    ) u
    ORDER BY l.symbol
""")
_COUNT = text("""
    SELECT count(*) FROM lanes
    WHERE (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
        AND (CAST(:mode AS text) IS NULL OR mode = :mode)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """One symbol's lane as it stands."""

    symbol: str
    mode: TradingMode
    position_mode: PositionMode
    opened_at: datetime
    depth: int  # signals that wait or are being carried out
    oldest_age_s: float | None  # of them; None when nothing waits
    open_orders: int
    in_flight: int  # of them, sent or about to be, with no answer of the exchange yet
    cancelling: int  # of them, to be cancelled
    updates: int  # of the exchange, not applied yet
    oldest_update_age_s: float | None
    retry_at: datetime | None  # nothing is tried before
    blocked_since: datetime | None
    blocked_reason: str | None
    reconcile_requested_at: datetime | None  # a comparison with the exchange is due since then
    validate_requested_at: datetime | None
    reconciled_at: datetime | None  # when the last complete comparison began
    reconciled_orders: int | None  # orders that it looked at
    corrected_orders: int | None
    discrepancies: int | None  # differences of the position that it corrected
    reconcile_failed_at: datetime | None
    reconcile_error: str | None

    @property
    def reconciliation(self) -> str:
        """completed, failed or never: the last try."""
        if self.reconcile_failed_at is not None and (
            self.reconciled_at is None or self.reconcile_failed_at > self.reconciled_at
        ):
            return "failed"
        return "never" if self.reconciled_at is None else "completed"


def list_lanes(
    engine: Engine,
    *,
    page: Page,
    symbol: str | None = None,
    mode: TradingMode | None = None,
) -> tuple[list[LaneView], int]:
    """One page of the lanes by symbol, and how many there are on all pages."""
    wanted = {"symbol": symbol, "mode": mode and mode.value}
    with engine.connect() as connection:
        rows = connection.execute(_LANES, {**wanted, "limit": page.limit, "offset": page.offset}).mappings()
        lanes = [
            LaneView(
                **{
                    **row,
                    "mode": TradingMode(row["mode"]),
                    "position_mode": PositionMode(row["position_mode"]),
                }
            )
            for row in rows
        ]
        return lanes, connection.execute(_COUNT, wanted).scalar_one()
