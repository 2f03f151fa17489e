"""What a lane does beside signals: apply what the exchange told, and compare with it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import Connection, Row, RowMapping, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import InterfaceError, OperationalError

from order_manager import metrics
from order_manager.database import outbox, upkeep_sql
from order_manager.database.engine import transaction
from order_manager.database.prepared import Step, in_one_trip
from order_manager.database.rows import order_from, order_values, position_from, position_values, some
from order_manager.database.tables import orders
from order_manager.database.update_rows import execution_values, update_from
from order_manager.domain.events import Event
from order_manager.domain.exchange import TRADES, Execution, Update
from order_manager.domain.orders import Order
from order_manager.domain.positions import Position, PositionMode
from order_manager.domain.validating import LegDifference, Recount, Takings

log = structlog.get_logger(__name__)

FAILED_PAUSE_S = 5.0  # after a comparison that nothing depends on


class LaneUpkeep:
    """The half of a lane that is not about signals; `database.lane.Lane` is both."""

    def __init__(self, connection: Connection, symbol: str, lane_id: int) -> None:
        self._connection = connection
        self.symbol = symbol
        self.lane_id = lane_id
        self.has_events = False
        self.reconcile_requested_at: datetime | None = None
        self.is_reconciliation_due = False
        self.must_reconcile = False
        self.validate_requested_at: datetime | None = None

    # What the exchange told

    def updates(self, limit: int) -> list[tuple[int, Update]]:
        """The oldest that wait, in order of arrival, with their numbers."""
        rows = upkeep_sql.UPDATES(self._connection, {"symbol": self.symbol, "limit": limit})
        found = []
        for row in rows.all():
            try:
                found.append((row.id, update_from(row.kind, row.body)))
            except Exception as error:  # noqa: BLE001 - written by another release, or by hand
                log.error("update_unreadable", symbol=self.symbol, update=row.id, error=repr(error))
                self.set_update_aside(row.id, reason=repr(error))
                self.request_reconciliation()
        return found

    def drop_updates(self, numbers: Sequence[int]) -> None:
        upkeep_sql.DROP_UPDATES(self._connection, {"ids": list(numbers)})

    def survives(self, error: Exception) -> bool:
        """False where the session is gone or the database did not answer: no update is to blame for that."""
        return not self._connection.invalidated and not isinstance(error, OperationalError | InterfaceError)

    def set_update_aside(self, number: int, *, reason: str) -> None:
        """Make a dead letter of an update that can't be applied."""
        self._connection.execute(upkeep_sql.SET_ASIDE, {"id": number, "reason": reason[:1000]})

    def find_orders(
        self, *, exchange_order_ids: Sequence[str] = (), client_order_ids: Sequence[str] = ()
    ) -> list[Order]:
        """Orders of the symbol that go by any of these ids, ended ones too."""
        rows = upkeep_sql.FIND_ORDERS(
            self._connection,
            {
                "symbol": self.symbol,
                "exchange_order_ids": list(exchange_order_ids),
                "client_order_ids": list(client_order_ids),
            },
        )
        return [order_from(row) for row in rows.mappings()]

    def adopt(self, order: Order, *, spare_id: str) -> Order:
        """Record an order that we did not place; under `spare_id` where its client_order_id is taken."""
        values = {**order_values(order), "is_external": True}
        statement = upsert(orders).on_conflict_do_nothing().returning(orders)
        row = self._connection.execute(statement, values).mappings().first()
        if row is None:
            values["client_order_id"] = spare_id
            row = self._connection.execute(insert(orders).returning(orders), values).mappings().one()
        return order_from(row)

    def book_executions(self, executions: Sequence[Execution]) -> list[str]:
        """Keep each once. Returns the exchange_order_ids that have traded more than we know of."""
        if not executions:
            return []
        # The exchange may tell one twice in a row; a statement can't touch its row twice.
        rows = [*{execution.exec_id: execution_values(execution) for execution in executions}.values()]
        traded = sorted({one.exchange_order_id for one in executions if one.is_trade})
        return self._behind(traded, (upkeep_sql.BOOK_EXECUTIONS, {"executions": rows}))

    def behind(self, exchange_order_ids: Sequence[str]) -> list[str]:
        """Those of these that have traded more than we know of."""
        return self._behind(exchange_order_ids)

    def _behind(self, exchange_order_ids: Sequence[str], *before: Step) -> list[str]:
        values = {
            "exchange_order_ids": list(exchange_order_ids),
            "symbol": self.symbol,
            "trades": sorted(TRADES),
        }
        rows = in_one_trip(self._connection, *before, (upkeep_sql.BEHIND, values))
        return [row.exchange_order_id for row in rows]

    def name_executions(self, exchange_order_ids: Sequence[str]) -> None:
        """Executions that came before their order was known are its own now."""
        values = {"symbol": self.symbol, "exchange_order_ids": list(exchange_order_ids)}
        self._connection.execute(upkeep_sql.NAME_EXECUTIONS, values)

    def executions_known_until(self) -> datetime:
        """When all of them were known: at the last complete comparison, or when the lane was opened."""
        known_until: datetime = self._connection.execute(
            upkeep_sql.KNOWN_UNTIL, {"id": self.lane_id}
        ).scalar_one()
        return known_until

    def executions_without_order(self, limit: int) -> list[str]:
        """exchange_order_ids of recent fills whose order we do not know."""
        values = {"symbol": self.symbol, "trades": sorted(TRADES), "limit": limit}
        rows = self._connection.execute(upkeep_sql.WITHOUT_ORDER, values)
        return [row.exchange_order_id for row in rows]

    # Positions

    def save_position_mode(self, mode: PositionMode) -> None:
        """The account's, for this symbol."""
        self._connection.execute(upkeep_sql.SAVE_MODE, {"id": self.lane_id, "mode": mode.value})

    def stored_positions(self) -> list[Position]:
        """One per mode that the account ever was in."""
        rows = self._connection.execute(upkeep_sql.STORED_LEGS, {"symbol": self.symbol})
        return self._positions(rows.mappings().all())

    def marked_positions(self, mark_price: Decimal | None) -> list[Position]:
        """The same, after the mark price was stored with them, where there is one."""
        rows = upkeep_sql.MARK_LEGS(self._connection, {"symbol": self.symbol, "mark_price": mark_price})
        return self._positions(rows.mappings().all())

    def _positions(self, rows: Sequence[RowMapping]) -> list[Position]:
        return [position_from(row, symbol=self.symbol, mode=PositionMode(row["mode"])) for row in rows]

    def correct_leg(
        self,
        position: Position,
        difference: LegDifference,
        *,
        source: str,
        reason: str,
        events: Sequence[Event],
    ) -> None:
        """Store `position`, in which a leg was set to what `source` says, with the reason and the events."""
        with transaction(self._connection):
            self._connection.execute(
                upkeep_sql.CORRECT_LEG,
                {
                    **position_values(position),
                    "position_idx": difference.position_idx,
                    "size_before": difference.stored.size,
                    "size_after": difference.size,
                    "average_price_before": difference.stored.average_price,
                    "average_price_after": difference.average_price,
                    "source": source,
                    "reason": reason,
                },
            )
            outbox.add(self._connection, events)
        self.has_events = self.has_events or bool(events)
        metrics.POSITIONS_CORRECTED.labels("size" if difference.is_of_size else "price", source).inc()

    def recount(self, base_coin: str) -> Recount:
        """Add up the fills and the adjustments; on spot, fees in `base_coin` are not held."""
        rows = self._connection.execute(
            upkeep_sql.RECOUNT, {"symbol": self.symbol, "base_coin": base_coin, "trades": sorted(TRADES)}
        ).all()
        return Recount(
            sizes={row.position_idx: some(row.size) for row in rows},
            takings={row.position_idx: None if row.has_unseen else _takings(row) for row in rows},
            incomplete=sum(row.incomplete for row in rows),
        )

    def orders_without_all_executions(self, limit: int) -> list[Order]:
        """Any orders whose executions do not add up to what is filled."""
        values = {"symbol": self.symbol, "limit": limit, "trades": sorted(TRADES)}
        rows = self._connection.execute(upkeep_sql.INCOMPLETE, values).mappings()
        return [order_from(row) for row in rows]

    # Requests

    def request_cancels(self, stale: Sequence[Order], *, reason: str, now: datetime) -> None:
        """Remember that these are to be cancelled, before the exchange hears of it."""
        ids = [order.id for order in stale]
        self._connection.execute(upkeep_sql.REQUEST_CANCEL, {"ids": ids, "reason": reason, "now": now})

    def request_reconciliation(self) -> None:
        """Have this very holder, or the next, compare with the exchange."""
        self.reconcile_requested_at = self._connection.execute(
            upkeep_sql.REQUEST_RECONCILIATION, {"id": self.lane_id}
        ).scalar_one()
        self.is_reconciliation_due = self.must_reconcile = True

    def finish_reconciliation(self, *, seen: int, corrected: int, discrepancies: int) -> None:
        """The comparison is complete, and answers the requests that this holder knows of."""
        self._connection.execute(
            upkeep_sql.RECONCILED,
            {
                "id": self.lane_id,
                "seen": seen,
                "corrected": corrected,
                "discrepancies": discrepancies,
                "requested_at": self.reconcile_requested_at,
                "validation_requested_at": self.validate_requested_at,
            },
        )
        self.reconcile_requested_at = self.validate_requested_at = None
        self.is_reconciliation_due = self.must_reconcile = False
        metrics.RECONCILIATIONS.labels("complete").inc()
        metrics.ORDERS_RECONCILED.labels("seen").inc(seen)
        metrics.ORDERS_RECONCILED.labels("corrected").inc(corrected)

    def dismiss_reconciliation(self) -> None:
        """There is nothing to compare with; what is known stays as it was known."""
        self._connection.execute(upkeep_sql.DISMISSED, {"id": self.lane_id})
        self.reconcile_requested_at = self.validate_requested_at = None
        self.is_reconciliation_due = self.must_reconcile = False

    def fail_reconciliation(self, error: str) -> None:
        values = {"id": self.lane_id, "error": error[:500], "pause_s": FAILED_PAUSE_S}
        self._connection.execute(upkeep_sql.RECONCILE_FAILED, values)
        metrics.RECONCILIATIONS.labels("incomplete").inc()


def _takings(row: Row[Any]) -> Takings:
    return Takings(cash=some(row.cash), fees=some(row.fees), turnover=some(row.turnover))
