"""Cancel stale orders: what rests for too long is no longer what the signal meant."""

import structlog

from order_manager.domain.cancelling import stale_orders
from order_manager.errors import ExchangeError, Refused
from order_manager.services.apply_updates import apply_updates
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.publish_events import publish_events
from order_manager.services.settle_orders import confirm_cancel, give_up_cancel

log = structlog.get_logger(__name__)


def cancel_stale_orders(lane: Lane, desk: Desk) -> int:
    """Returns how many orders ended, by the cancel or by a fill that came first.

    A cancel whose outcome is unknown is recorded as asked for, and goes on when the lane is worked next.
    """
    apply_updates(lane, desk)
    now = desk.now()
    timeout_s = desk.patience.stale_s
    stale = stale_orders(lane.open_orders(), now=now, timeout_s=timeout_s, rules=desk.rules)
    ended = 0
    if stale:
        lane.request_cancels(stale, reason=f"stale: open for more than {timeout_s:g} s", now=now)
        asked = {order.id for order in stale}
        for order in [order for order in lane.open_orders() if order.id in asked]:
            try:
                after = confirm_cancel(lane, order, desk)
            except Refused as refusal:
                give_up_cancel(lane, order, refusal)
            except ExchangeError as error:
                log.warning("stale_cancel_waits", symbol=lane.symbol, error=error.message)
                break
            else:
                ended += not after.is_open
                log.info(
                    "stale_order_cancelled",
                    symbol=lane.symbol,
                    client_order_id=after.client_order_id,
                    status=after.status.value,
                )
    publish_events(lane, desk.publisher)
    return ended
