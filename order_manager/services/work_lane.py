"""Work a lane: settle what is in flight, then a few of the symbol's signals, in order of arrival."""

from datetime import timedelta

import structlog

from order_manager import metrics
from order_manager.errors import AccessDenied, ExchangeError, LaneLost, RateLimited, Retryable
from order_manager.services.apply_updates import apply_updates
from order_manager.services.desk import Desk
from order_manager.services.execute_signal import execute_signal
from order_manager.services.ports import Lane
from order_manager.services.publish_events import publish_events
from order_manager.services.reconcile_orders import reconcile_symbol
from order_manager.services.settle_orders import settle_orders

log = structlog.get_logger(__name__)


def work_lane(lane: Lane, desk: Desk, *, batch: int) -> int:
    """Returns how many signals were brought to their end.

    First what the exchange told, which asks nobody; then, where that is due, everything is compared with
    the exchange. When it is away or an outcome is unknown the lane is blocked for a moment and the rest
    waits: a later signal never overtakes. Raises LaneLost.
    """
    done = 0
    if lane.has_updates:
        apply_updates(lane, desk)
    publish_events(lane, desk.publisher)
    retry_at = lane.retry_at
    if retry_at is not None and retry_at > desk.now():
        return 0
    try:
        if lane.is_reconciliation_due:
            _reconcile(lane, desk)
        for waiting in lane.waiting(batch) if lane.has_signals else ():
            signal = waiting.signal
            with structlog.contextvars.bound_contextvars(
                trace_id=signal.trace_id, signal_id=signal.signal_id, symbol=signal.symbol
            ):
                settled = settle_orders(lane, desk)
                execute_signal(lane, waiting, settled.still_open, desk)
            done += 1
        if done or lane.has_unsettled:
            # A market order has ended by now: the next decision, and everybody else, knows at once.
            settle_orders(lane, desk, only_unsettled=True)
    except ExchangeError as error:
        _block(lane, error, desk)
    except Exception as error:
        # Not one that we know: the symbol waits, and says why, rather than try the same for ever in silence.
        if isinstance(error, LaneLost) or not lane.survives(error):
            raise
        _block(lane, error, desk)
    else:
        if retry_at is not None:
            lane.unblock()
            log.info("lane_unblocked", symbol=lane.symbol)
    publish_events(lane, desk.publisher)
    return done


def _reconcile(lane: Lane, desk: Desk) -> None:
    if desk.rules.is_dry_run:
        lane.dismiss_reconciliation()
        return
    try:
        reconcile_symbol(lane, desk)
    except ExchangeError as error:
        lane.fail_reconciliation(error.message)
        log.warning("reconciliation_incomplete", symbol=lane.symbol, error=error.message)
        if lane.must_reconcile:
            raise
    publish_events(lane, desk.publisher)


def _block(lane: Lane, error: Exception, desk: Desk) -> None:
    metrics.LANE_BLOCKS.labels(type(error).__name__).inc()
    now, wait_s = desk.now(), desk.patience.person_s
    reason = error.reason if isinstance(error, ExchangeError) else repr(error)
    if isinstance(error, Retryable):
        wait_s = error.retry_after_s if isinstance(error, RateLimited) else desk.patience.retry_s
        log.warning("lane_blocked", symbol=lane.symbol, retry_s=wait_s, error=reason)
    elif isinstance(error, ExchangeError):
        event = "exchange_access_denied" if isinstance(error, AccessDenied) else "exchange_not_understood"
        log.error(event, symbol=lane.symbol, ret_code=error.ret_code, error=reason, retry_s=wait_s)
    else:
        log.error("lane_failed", symbol=lane.symbol, error=reason, retry_s=wait_s, exc_info=True)
    lane.block(until=now + timedelta(seconds=wait_s), reason=reason, now=now)
