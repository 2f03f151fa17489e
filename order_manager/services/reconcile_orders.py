"""Reconcile orders: compare a symbol's open orders with the exchange's, and correct ours."""

from collections.abc import Callable

import structlog

from order_manager.errors import ExchangeError, LaneLost
from order_manager.services.desk import Desk
from order_manager.services.publish_events import publish_events
from order_manager.services.run_lane import Lanes
from order_manager.services.settle_orders import settle_orders

log = structlog.get_logger(__name__)


def reconcile_orders(symbol: str, *, lanes: Lanes, desk: Desk, wake: Callable[[str], None]) -> int:
    """Returns how many of the symbol's orders changed; 0 when another process holds the lane.

    An exchange that can't be asked changes nothing: the next round asks again.
    """
    changed = 0
    try:
        with lanes.take_for_upkeep(symbol) as lane:
            if lane is None:
                return 0
            with desk.pause.guarding(lane.touch):
                try:
                    changed = settle_orders(lane, desk).changed
                except ExchangeError as error:
                    log.warning("reconciliation_incomplete", symbol=symbol, error=error.message)
                publish_events(lane, desk.publisher)
    except LaneLost as error:
        log.warning("lane_lost", symbol=symbol, error=str(error))
        return changed
    if lane.is_work_left:
        wake(symbol)
    if changed:
        log.info("orders_reconciled", symbol=symbol, changed=changed)
    return changed
