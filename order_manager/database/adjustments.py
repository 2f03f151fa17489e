"""Positions that were set right: what no fill explained, read again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, text

from order_manager.database.rows import plain, some
from order_manager.domain.validating import Adjustment

_COLUMNS = """asset, position_idx, size_before, size_after, average_price_before, average_price_after, source,
        reason, created_at"""
_SINCE = text(f"""
    SELECT {_COLUMNS}
    FROM position_adjustments WHERE asset = ANY(:symbols) AND created_at >= :at ORDER BY id LIMIT 100
""")
# By the newest rows, however many there are.
_RECENT = text(f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM position_adjustments ORDER BY id DESC LIMIT :limit
    ) AS newest
    WHERE size_after <> size_before AND created_at > now() - CAST(:span_s * interval '1 s' AS interval)
    ORDER BY id DESC
""")

MOST = 50
DAY_S = 86_400


def adjustments_since(
    connection: Connection, at: datetime, *, symbols: Sequence[str]
) -> tuple[Adjustment, ...]:
    """Of these symbols' positions, the oldest first, those of a price or of PnL alone too."""
    rows = connection.execute(_SINCE, {"symbols": list(symbols), "at": at}).mappings()
    return tuple(_adjustment(row) for row in rows)


def recent_adjustments(engine: Engine) -> tuple[Adjustment, ...]:
    """Of a size, within the last 24 hours, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(_RECENT, {"limit": MOST, "span_s": DAY_S}).mappings()
        return tuple(_adjustment(row) for row in rows)


def _adjustment(row: RowMapping) -> Adjustment:
    return Adjustment(
        asset=row["asset"],
        position_idx=row["position_idx"],
        size_before=some(row["size_before"]),
        size_after=some(row["size_after"]),
        average_price_before=plain(row["average_price_before"]),
        average_price_after=plain(row["average_price_after"]),
        source=row["source"],
        reason=row["reason"],
        created_at=row["created_at"],
    )
