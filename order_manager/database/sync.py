"""Where the comparisons that somebody asked for are remembered."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Engine, insert, select, text

from order_manager.database.adjustments import adjustments_since
from order_manager.database.tables import sync_runs
from order_manager.domain.syncing import LaneSync, SyncRun

_LANES = text("""
    SELECT symbol, coalesce(reconciled_at >= :at, false) AS is_done, coalesce(reconciled_orders, 0) AS seen,
        coalesce(corrected_orders, 0) AS corrected, coalesce(discrepancies, 0) AS discrepancies,
        CASE WHEN reconcile_failed_at >= :at THEN reconcile_error END AS error
    FROM lanes WHERE symbol = ANY(:symbols) ORDER BY symbol
""")


class SyncStore:
    """Each method commits by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, scope: str, asset: str | None, symbols: Sequence[str]) -> str:
        """Remember a run; ask for the lanes' comparison only after this."""
        number = str(uuid.uuid4())
        values = {"id": number, "scope": scope, "asset": asset, "symbols": list(symbols)}
        with self._engine.connect() as connection:
            connection.execute(insert(sync_runs).values(values))
        return number

    def find(self, run_id: str) -> SyncRun | None:
        with self._engine.connect() as connection:
            run = connection.execute(select(sync_runs).where(sync_runs.c.id == run_id)).first()
            if run is None:
                return None
            lanes = connection.execute(_LANES, {"at": run.requested_at, "symbols": run.symbols}).mappings()
            return SyncRun(
                id=str(run.id),
                scope=run.scope,
                asset=run.asset,
                requested_at=run.requested_at,
                lanes=tuple(LaneSync(**lane) for lane in lanes),
                adjustments=adjustments_since(connection, run.requested_at, symbols=run.symbols),
            )
