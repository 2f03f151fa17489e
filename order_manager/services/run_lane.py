"""Run a lane: take it, do the work, leave it, and look once more."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from order_manager.errors import LaneLost
from order_manager.services.cancel_stale_orders import cancel_stale_orders
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.work_lane import work_lane

log = structlog.get_logger(__name__)

Taking = AbstractContextManager[Lane | None]


class Lanes(Protocol):
    def take(self, symbol: str) -> Taking: ...

    def take_for_upkeep(self, symbol: str) -> Taking: ...


def run_lane(symbol: str, *, lanes: Lanes, desk: Desk, batch: int, wake: Callable[[str], None]) -> int:
    """Returns how many signals ended. Returns 0 at once when another process holds the lane.

    Who finds the lane held may leave at once only because its holder looks again after leaving: what
    arrived in between wakes the lane anew.
    """

    def work(lane: Lane) -> int:
        return work_lane(lane, desk, batch=batch)

    done, lane = _held(symbol, lanes.take(symbol), work, desk)
    if lane is not None and lane.are_only_updates_left:
        # The fills of what was just ordered, as a rule: quicker than a wake-up, and over as soon.
        more, lane = _held(symbol, lanes.take(symbol), work, desk)
        done += more
    if lane is not None and lane.is_work_left:
        wake(symbol)
    return done


def run_cancel_stale(symbol: str, *, lanes: Lanes, desk: Desk, wake: Callable[[str], None]) -> int:
    """Returns how many stale orders ended; 0 when another process holds the lane, until the next round."""
    done, lane = _held(
        symbol, lanes.take_for_upkeep(symbol), lambda lane: cancel_stale_orders(lane, desk), desk
    )
    if lane is not None and lane.is_work_left:
        wake(symbol)
    return done


def _held(symbol: str, taking: Taking, work: Callable[[Lane], int], desk: Desk) -> tuple[int, Lane | None]:
    """How much was done, and the lane, which knows what is left; None where it was not ours or got lost."""
    done = 0
    try:
        with taking as lane:
            if lane is None:
                return 0, None
            with desk.pause.guarding(lane.touch):
                done = work(lane)
    except LaneLost as error:
        log.warning("lane_lost", symbol=symbol, error=str(error))
        return done, None
    return done, lane
