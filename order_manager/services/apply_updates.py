"""Apply updates: what the exchange told of a symbol becomes what we know of it."""

from collections.abc import Sequence

import structlog

from order_manager.domain.exchange import Execution, PositionReport
from order_manager.domain.orders import OrderReport
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.record_reports import apply_reports

log = structlog.get_logger(__name__)

PAGE = 200  # updates


def apply_updates(lane: Lane, desk: Desk) -> int:
    """Apply all that waits, in order of arrival; returns how many updates. Asks the exchange nothing.

    Where the updates do not add up to what we know, the lane is to be compared with the exchange.
    """
    applied = 0
    while waiting := lane.updates(PAGE):
        updates = [update for _, update in waiting]
        apply_reports(lane, [update for update in updates if isinstance(update, OrderReport)], desk)
        executions = [update for update in updates if isinstance(update, Execution)]
        if behind := lane.book_executions(executions):
            log.info("executions_ahead", symbol=lane.symbol, exchange_order_ids=behind)
            lane.request_reconciliation()
        _look_at_positions(lane, [update for update in updates if isinstance(update, PositionReport)])
        lane.drop_updates([number for number, _ in waiting])
        applied += len(waiting)
        if len(waiting) < PAGE:
            break
    return applied


def _look_at_positions(lane: Lane, reports: Sequence[PositionReport]) -> None:
    """The newest word on each leg; a size that is not ours has the symbol compared with the exchange."""
    if not reports:
        return
    newest = {report.position_idx: report for report in reports}
    mark_price = next((report.mark_price for report in reversed(reports) if report.mark_price), None)
    positions = lane.marked_positions(mark_price)
    stored = {idx: leg.size for position in positions for idx, leg in position.legs.items()}
    if any(report.size != stored.get(idx, 0) for idx, report in newest.items()):
        lane.request_reconciliation()
