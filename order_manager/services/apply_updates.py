"""Apply updates: what the exchange told of a symbol becomes what we know of it."""

from collections.abc import Sequence
from decimal import Decimal

import structlog

from order_manager.domain.exchange import Execution, PositionReport, Update
from order_manager.domain.orders import OrderReport
from order_manager.errors import ExchangeError, LaneLost, is_bug
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.record_reports import apply_reports

log = structlog.get_logger(__name__)

PAGE = 200  # updates
LOOKS, LOOK_S = 3, 0.05  # for what was overtaken


def apply_updates(lane: Lane, desk: Desk) -> int:
    """Apply all that waits, in order of arrival; returns how many updates. Asks the exchange nothing.

    Topics overtake one another: a fill or a position can be told before the order that it belongs to. So
    where the updates do not add up, the rest is waited for, for a moment; then the lane is to be compared
    with the exchange.
    """
    doubts = Doubts()
    applied = _apply_waiting(lane, doubts, desk)
    for _ in range(LOOKS):
        if not doubts.are_left(lane):
            return applied
        desk.pause(LOOK_S)
        applied += _apply_waiting(lane, doubts, desk)
    if doubts.are_left(lane):
        log.info("updates_do_not_add_up", symbol=lane.symbol)
        lane.request_reconciliation()
    return applied


class Doubts:
    """What the updates tell of fills and positions that the orders have to explain."""

    def __init__(self) -> None:
        self.traded: set[str] = set()  # exchange_order_ids with executions
        self.legs: dict[int, PositionReport] = {}  # the newest word on each
        self._mark_price: Decimal | None = None

    def add(self, updates: Sequence[Update]) -> None:
        for update in updates:
            if isinstance(update, PositionReport):
                self.legs[update.position_idx] = update
                self._mark_price = update.mark_price or self._mark_price

    def are_left(self, lane: Lane) -> bool:
        if self.traded:
            self.traded = set(lane.behind(sorted(self.traded)))
        if self.legs:
            positions = lane.marked_positions(self._mark_price)
            stored = {idx: leg.size for position in positions for idx, leg in position.legs.items()}
            self.legs = {
                idx: report for idx, report in self.legs.items() if report.size != stored.get(idx, 0)
            }
        return bool(self.traded or self.legs)


def _apply_waiting(lane: Lane, doubts: Doubts, desk: Desk) -> int:
    applied = 0
    while waiting := lane.updates(PAGE):
        updates = [update for _, update in waiting]
        try:
            doubts.traded.update(_apply(lane, updates, desk))
        except (LaneLost, ExchangeError):
            raise
        except Exception as error:  # whatever it is, one bad update must not stop the symbol
            if not lane.survives(error):
                raise
            log.error(
                "updates_not_applied",
                symbol=lane.symbol,
                count=len(waiting),
                error=repr(error),
                exc_info=is_bug(error),
            )
            _apply_one_by_one(lane, waiting, desk)
        doubts.add(updates)
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


def _apply(lane: Lane, updates: Sequence[Update], desk: Desk) -> Sequence[str]:
    """Returns the exchange_order_ids that have traded more than we know of."""
    apply_reports(lane, [update for update in updates if isinstance(update, OrderReport)], desk)
    return lane.book_executions([update for update in updates if isinstance(update, Execution)])
