"""Apply updates: what the exchange told of a symbol becomes what we know of it."""

from collections.abc import Sequence

import structlog

from order_manager.domain.exchange import Execution, PositionReport, Update
from order_manager.domain.orders import OrderReport
from order_manager.errors import ExchangeError, LaneLost
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
        try:
            _apply(lane, [update for _, update in waiting], desk)
        except (LaneLost, ExchangeError):
            raise
        except Exception as error:  # whatever it is, one bad update must not stop the symbol
            if not lane.survives(error):
                raise
            log.error("updates_not_applied", symbol=lane.symbol, count=len(waiting), error=repr(error))
            _apply_one_by_one(lane, waiting, desk)
        lane.drop_updates([number for number, _ in waiting])
        applied += len(waiting)
        if len(waiting) < PAGE:
            break
    return applied


def _apply_one_by_one(lane: Lane, waiting: Sequence[tuple[int, Update]], desk: Desk) -> None:
    """Each that can't be applied is kept as a dead letter with its reason."""
    for number, update in waiting:
        try:
            _apply(lane, [update], desk)
        except (LaneLost, ExchangeError):
            raise
        except Exception as error:
            if not lane.survives(error):
                raise
            lane.set_update_aside(number, reason=repr(error))
            lane.request_reconciliation()
            log.error("update_set_aside", symbol=lane.symbol, update=number, error=repr(error))


def _apply(lane: Lane, updates: Sequence[Update], desk: Desk) -> None:
    apply_reports(lane, [update for update in updates if isinstance(update, OrderReport)], desk)
    executions = [update for update in updates if isinstance(update, Execution)]
    if behind := lane.book_executions(executions):
        log.info("executions_ahead", symbol=lane.symbol, exchange_order_ids=behind)
        lane.request_reconciliation()
    _look_at_positions(lane, [update for update in updates if isinstance(update, PositionReport)])


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
