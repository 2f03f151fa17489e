"""Reconcile: make a symbol's orders, fills and position what the exchange shows, before anything else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from order_manager.domain.exchange import OVERLAP
from order_manager.domain.orders import OrderReport
from order_manager.domain.reconciling import is_contradicted
from order_manager.errors import OutcomeUnknown
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane
from order_manager.services.settle_orders import Settlement, settle_with
from order_manager.services.validate_positions import correct_position, mark_positions, recount_position

log = structlog.get_logger(__name__)

PAGE = 50  # fills without an order
LAG = timedelta(seconds=10)  # so old the exchange's lists are never


def reconcile_symbol(lane: Lane, desk: Desk) -> None:
    """Compare all of a symbol with the exchange, and correct ours.

    Raises what the exchange raises (an answer that did not come is never absence): what was learned until
    then is recorded, and the request stays for the next try.
    """
    is_validation = lane.validate_requested_at is not None
    first = settle_all(lane, desk)
    corrected = first.changed
    discrepancies = recount_position(lane, desk) if is_validation else 0

    def settle_again() -> None:
        nonlocal corrected
        corrected += settle_all(lane, desk).changed

    discrepancies += correct_position(lane, desk, settle_again=settle_again)
    mark_positions(lane, desk)
    found = {"seen": first.seen, "corrected": corrected, "discrepancies": discrepancies}
    lane.finish_reconciliation(**found)
    if corrected or discrepancies:
        log.info("orders_reconciled", symbol=lane.symbol, **found)


def settle_all(lane: Lane, desk: Desk) -> Settlement:
    """Every order and every fill, ours or not."""
    since = lane.executions_known_until() - OVERLAP
    reports = [
        *desk.exchange.open_orders(lane.symbol),
        *desk.exchange.closed_orders_since(lane.symbol, since),
    ]
    executions = desk.exchange.executions_since(lane.symbol, since)
    behind = {*lane.book_executions(executions), *lane.executions_without_order(PAGE)}
    recent = {one.exchange_order_id for one in executions if one.executed_at > desk.now() - OVERLAP}
    for name in sorted(behind - {report.exchange_order_id for report in reports}):
        report = _order_of_fills(lane, desk, name, is_recent=name in recent)
        reports += [report] if report else []
    _doubt(lane, reports, desk)
    # As it happened: a position's average price and realized PnL depend on what came first.
    settled = settle_with(lane, sorted(reports, key=lambda report: report.updated_at), desk)
    if behind:  # the orders are known now, and the executions are to be theirs
        lane.name_executions(sorted(behind))
    return settled


def _doubt(lane: Lane, reports: Sequence[OrderReport], desk: Desk) -> None:
    """An order that has ended here and not there, or otherwise, and for too long for a lag: ours is wrong.

    It is marked as one whose end we only presumed, so that its report takes that back.
    """
    shown = {report.exchange_order_id: report for report in reports}
    for order in lane.find_orders(exchange_order_ids=sorted(shown)) if shown else ():
        report = shown[order.exchange_order_id or ""]
        changed_at = order.updated_at or order.created_at
        if changed_at and desk.now() - changed_at > LAG and is_contradicted(order, report):
            log.error(
                "order_discrepancy",
                symbol=lane.symbol,
                client_order_id=order.client_order_id,
                status=order.status.value,
                status_at_exchange=report.status.value,
            )
            lane.record_order(replace(order, unseen_since=order.updated_at))


def _order_of_fills(lane: Lane, desk: Desk, exchange_order_id: str, *, is_recent: bool) -> OrderReport | None:
    """None: the exchange shows no order for its fills, and that is no lag. Their position is compared.

    Raises OutcomeUnknown while it may be lag.
    """
    try:
        evidence = desk.exchange.evidence(lane.symbol, "", exchange_order_id=exchange_order_id)
    except OutcomeUnknown:
        if is_recent:
            raise
    else:
        if evidence.report is not None:
            return evidence.report
    log.warning("order_of_fill_not_shown", symbol=lane.symbol, exchange_order_id=exchange_order_id)
    return None
