"""Record reports: what the exchange says of orders becomes what we know of them, with its events."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from order_manager.domain.events import fill_json, order_event, text
from order_manager.domain.orders import Order, OrderEvent, OrderReport, OrderRequest, OrderStatus, TimeInForce
from order_manager.domain.reconciling import Correction, apply_report
from order_manager.domain.state import Market
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane

log = structlog.get_logger(__name__)

FILLS = (OrderEvent.PARTIALLY_FILLED, OrderEvent.FILLED)


def apply_reports(lane: Lane, reports: Sequence[OrderReport], desk: Desk) -> set[str]:
    """Merge each report into its order; one of an order that we do not know is recorded as external.

    Returns the exchange_order_ids of those that changed.
    """
    if not reports:
        return set()
    found = lane.find_orders(
        exchange_order_ids=[report.exchange_order_id for report in reports],
        client_order_ids=[report.client_order_id for report in reports if report.client_order_id],
    )
    by_exchange_id = {order.exchange_order_id: order for order in found if order.exchange_order_id}
    by_link_id = {order.client_order_id: order for order in found if not order.exchange_order_id}
    changed: set[str] = set()
    for report in reports:
        order = by_exchange_id.get(report.exchange_order_id) or by_link_id.get(report.client_order_id)
        if order is None and not _is_recordable(report):
            log.error("order_not_recordable", symbol=lane.symbol, exchange_order_id=report.exchange_order_id)
            continue
        if order is None:
            order = adopt_external(lane, report, desk)
            changed.add(report.exchange_order_id)
        after = apply(lane, order, report, desk)
        if is_news(order, after):
            changed.add(report.exchange_order_id)
        by_exchange_id[report.exchange_order_id] = after
    return changed


def is_news(before: Order, after: Order) -> bool:
    """Whether more changed than the moment at which the exchange was last heard."""
    return any(
        getattr(before, name) != getattr(after, name)
        for name in ("request", "status", "exchange_order_id", "filled_quantity", "fees", "intended_at")
    )


def _is_recordable(report: OrderReport) -> bool:
    """Not a conditional order that closes whatever is held by then: it has no quantity before it fills."""
    return report.quantity > 0 or report.filled_quantity > 0


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
            quantity=report.quantity or report.filled_quantity,
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


def apply(lane: Lane, order: Order, report: OrderReport, desk: Desk) -> Order:
    """Record what a report changes: the order, its events, and the position that its growth moves."""
    correction = apply_report(order, report)
    if correction is None:
        return order
    market = desk.last_market(lane.symbol)
    return record_correction(lane, order, correction, now=desk.now(), market=market)


def record_correction(
    lane: Lane, before: Order, correction: Correction, *, now: datetime, market: Market | None = None
) -> Order:
    """Returns the order as it is recorded."""
    after = replace(correction.order, updated_at=now)
    if correction.is_silent:
        lane.record_order(after)
        return after
    origin = lane.origin_of(before)
    fill = correction.fill
    position = correction.moved(origin.position)
    growth = [kind for kind in correction.events if kind in FILLS][-1:]  # told once, by the last of them
    events = [
        order_event(
            kind,
            after,
            sequence=origin.event_sequence + number,
            trace_id=origin.trace_id,
            now=now,
            signal=origin.signal,
            received_at=origin.received_at,
            market=market,
            last_fill=fill_json(fill) if fill and kind in growth else None,
            modification=_modification(correction) if kind == "modified" else None,
        )
        for number, kind in enumerate(correction.events, start=1)
    ]
    lane.record_order(
        after,
        events=events,
        position=position if position != origin.position else None,
        mark_price=correction.fill_price,
    )
    if correction.events:
        log.info(
            "order_updated",
            symbol=lane.symbol,
            client_order_id=after.client_order_id,
            events=[event.value for event in correction.events],
            status=after.status.value,
            filled_quantity=text(after.filled_quantity),
            reason=after.reason if after.status in {OrderStatus.CANCELLED, OrderStatus.REJECTED} else None,
        )
    return after


def _modification(correction: Correction) -> dict[str, Any] | None:
    change = correction.modification
    if change is None:
        return None
    return {
        "before": {"quantity": text(change.before.quantity), "price": text(change.before.price)},
        "after": {"quantity": text(change.after.quantity), "price": text(change.after.price)},
    }
