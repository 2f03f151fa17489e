"""Apply updates: what the exchange told of a symbol becomes what we know of it."""

import uuid
from collections.abc import Sequence

import structlog

from order_manager.domain.exchange import Execution, PositionReport
from order_manager.domain.orders import Order, OrderReport, OrderRequest, OrderStatus, TimeInForce
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.settle_orders import apply

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


def apply_reports(lane: Lane, reports: Sequence[OrderReport], desk: Desk) -> int:
    """Merge each report into its order; one of an order that we do not know is recorded as external.

    Returns how many orders changed.
    """
    if not reports:
        return 0
    found = lane.find_orders(
        exchange_order_ids=[report.exchange_order_id for report in reports],
        client_order_ids=[report.client_order_id for report in reports if report.client_order_id],
    )
    by_exchange_id = {order.exchange_order_id: order for order in found if order.exchange_order_id}
    by_link_id = {order.client_order_id: order for order in found if not order.exchange_order_id}
    changed = set()
    for report in reports:
        order = by_exchange_id.get(report.exchange_order_id) or by_link_id.get(report.client_order_id)
        if order is None:
            order = adopt_external(lane, report, desk)
            changed.add(report.exchange_order_id)
        after = apply(lane, order, report, desk)
        if after is not order:
            changed.add(report.exchange_order_id)
        by_exchange_id[report.exchange_order_id] = after
    return len(changed)


def adopt_external(lane: Lane, report: OrderReport, desk: Desk) -> Order:
    """Record an order that we did not place, as nothing is known of it yet but its terms."""
    spare_id = f"ext-{report.exchange_order_id}"[:45]
    order = Order(
        id=str(uuid.uuid4()),
        request=OrderRequest(
            client_order_id=report.client_order_id or spare_id,
            symbol=report.symbol,
            category=report.category,
            side=report.side,
            order_type=report.order_type,
            time_in_force=report.time_in_force or TimeInForce.GTC,
            quantity=report.quantity,
            price=report.price,
            reduce_only=report.reduce_only,
            position_idx=report.position_idx,
        ),
        status=OrderStatus.PENDING,
        exchange_order_id=report.exchange_order_id,
        created_at=report.created_at,
        updated_at=desk.now(),
    )
    log.warning(
        "external_order",
        symbol=report.symbol,
        exchange_order_id=report.exchange_order_id,
        side=report.side.value,
        quantity=str(report.quantity),
    )
    return lane.adopt(order, spare_id=spare_id)


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
