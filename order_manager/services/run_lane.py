"""Run a lane: take it, work a few signals, leave it, and look once more."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from order_manager.errors import LaneLost
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.work_lane import work_lane

log = structlog.get_logger(__name__)


class Lanes(Protocol):
    def take(self, symbol: str) -> AbstractContextManager[Lane | None]: ...

    def take_for_upkeep(self, symbol: str) -> AbstractContextManager[Lane | None]: ...


def run_lane(symbol: str, *, lanes: Lanes, desk: Desk, batch: int, wake: Callable[[str], None]) -> int:
    """Returns how many signals ended. Returns 0 at once when another process holds the lane.

    Who finds the lane held may leave at once only because its holder looks again after leaving: what
    arrived in between wakes the lane anew.
    """
    done = 0
    try:
        with lanes.take(symbol) as lane:
            if lane is None:
                return 0
            with desk.pause.guarding(lane.touch):
                done = work_lane(lane, desk, batch=batch)
    except LaneLost as error:
        log.warning("lane_lost", symbol=symbol, error=str(error))
        return done
    if lane.is_work_left:
        wake(symbol)
    return done
