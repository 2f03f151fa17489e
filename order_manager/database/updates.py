"""Where the exchange's updates wait for their symbol's lane."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, select, text

from order_manager.database import lane_sql
from order_manager.database.engine import dumps
from order_manager.database.tables import account_state
from order_manager.database.update_rows import update_kind, update_values
from order_manager.domain.exchange import Update

_STORE = text("""
    INSERT INTO exchange_updates (symbol, kind, body, source, received_at)
    SELECT symbol, kind, body, :source, :received_at
    FROM jsonb_to_recordset(CAST(:updates AS jsonb)) AS u(number integer, symbol text, kind text, body jsonb)
    ORDER BY number
    RETURNING id, symbol
""")
# In a statement of its own, after ours are visible: what waits still now was stored before ours, so who
# deletes it finds ours when it looks again.
_AWAITED = text("""
    SELECT DISTINCT symbol FROM exchange_updates WHERE symbol = ANY(:symbols) AND id < :first
""")
_REQUEST = text("""
    UPDATE lanes SET reconcile_requested_at = clock_timestamp(), must_reconcile = must_reconcile OR :must,
        validate_requested_at = CASE WHEN :validate THEN clock_timestamp() ELSE validate_requested_at END
    WHERE CAST(:symbols AS text[]) IS NULL OR symbol = ANY(CAST(:symbols AS text[]))
    RETURNING symbol
""")


class UpdateStore:
    """What receives updates, and asks lanes to compare with the exchange. Each method commits by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, updates: Sequence[Update], *, source: str, received_at: datetime) -> set[str]:
        """Keep `updates` until their lanes have applied them; returns the symbols to wake.

        Where earlier ones wait already, somebody was woken and will find these too.
        """
        rows = [
            {
                "number": number,
                "symbol": update.symbol,
                "kind": update_kind(update),
                "body": update_values(update),
            }
            for number, update in enumerate(updates)
        ]
        with self._engine.connect() as connection:
            stored = connection.execute(
                _STORE, {"updates": dumps(rows), "source": source, "received_at": received_at}
            ).all()
            symbols = {row.symbol for row in stored}
            first = min(row.id for row in stored)
            awaited = connection.execute(_AWAITED, {"symbols": list(symbols), "first": first})
            return symbols - {row.symbol for row in awaited}

    def request_reconciliation(
        self,
        symbols: Sequence[str] | None = None,
        *,
        validate: bool = False,
        must: bool = False,
    ) -> list[str]:
        """Have these lanes, or all, compared with the exchange.

        With `must` no signal is executed before that. With `validate` their positions are recounted from
        the fills too. Returns the lanes to wake.
        """
        values = {
            "symbols": None if symbols is None else list(symbols),
            "validate": validate,
            "must": must,
        }
        with self._engine.connect() as connection:
            return [row.symbol for row in connection.execute(_REQUEST, values)]

    def available_balance(self) -> Decimal | None:
        """Quote, as we last heard it; None before the first time."""
        with self._engine.connect() as connection:
            known: Decimal | None = connection.execute(select(account_state.c.available_balance)).scalar()
            return known

    def save_balance(self, available: Decimal, *, asked_at: datetime) -> None:
        """Quote, as of `asked_at`; an older one than is known changes nothing."""
        with self._engine.connect() as connection:
            connection.execute(lane_sql.SAVE_BALANCE, {"available": available, "asked_at": asked_at})
