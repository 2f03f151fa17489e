"""Execute a signal: decide once, make the decision durable, act, record, announce.

A signal passes `waiting` (nothing decided) -> `planned` (its orders are recorded) -> `executed`, `rejected`
or `failed`. Whatever the moment of a crash, the successor goes on from what is recorded: nothing is decided
twice, and nothing is sent again before the exchange has shown that it does not have it.
"""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from order_manager.domain.events import iso, market_json, signal_event, text
from order_manager.domain.identity import client_order_id, client_order_id_prefix
from order_manager.domain.orders import ZERO, Order, OrderRequest, OrderStatus
from order_manager.domain.planning import plan_orders
from order_manager.domain.signals import Signal
from order_manager.domain.state import Amendment, Market, Plan, Rejection, TradingState
from order_manager.errors import AlreadyPlaced, OrderNotFound, OutcomeUnknown, Refused
from order_manager.services.desk import Desk
from order_manager.services.place_orders import event_of, place_orders
from order_manager.services.ports import Decision, Lane, WaitingSignal
from order_manager.services.settle_orders import confirm_cancel, give_up_cancel, settle_order

log = structlog.get_logger(__name__)

MAX_ROUNDS = 5  # cancels may meet fills; each round decides anew on what is true then


def execute_signal(lane: Lane, waiting: WaitingSignal, open_orders: Sequence[Order], desk: Desk) -> None:
    """Bring one signal of the inbox to its end, or as far as the exchange lets it.

    `open_orders` are the symbol's, settled a moment ago. Raises Retryable or AccessDenied when it must wait
    (all that happened is recorded), LaneLost when somebody else may own the symbol.
    """
    if waiting.is_planned:
        place_orders(lane, waiting, lane.orders_of(waiting.signal), desk)
        return
    if waiting.began_amending and lane.amendment_shows(waiting.signal):
        lane.finish_signal(waiting.signal, "executed", now=desk.now())
        return
    try:
        market, planned = _decide(lane, waiting, open_orders, desk)
    except AlreadyPlaced:
        _record_forgotten(lane, waiting.signal, desk)
        return
    if planned:
        place_orders(lane, waiting, planned, desk, market=market)


def _decide(
    lane: Lane, waiting: WaitingSignal, open_orders: Sequence[Order], desk: Desk
) -> tuple[Market | None, list[Order]]:
    """The recorded orders to place; none when the signal has ended here."""
    signal = waiting.signal
    instrument = desk.instrument(signal.symbol)
    if instrument is None:
        raise OutcomeUnknown(f"the trading rules of {signal.symbol} are not known yet")
    for _ in range(MAX_ROUNDS):
        try:
            market = desk.market(signal.symbol)
        except Refused as refusal:  # no longer listed
            _record_refusal(lane, signal, refusal, desk)
            return None, []
        _refresh_balance(lane, desk)
        view = desk.view(signal.symbol)  # a question over the network: before the account is locked
        now = desk.now()
        reason = f"superseded by signal {signal.signal_id}"
        with lane.deciding() as tx:
            state = tx.state(instrument, market, open_orders, view)
            decision = plan_orders(signal, state, desk.rules)
            if isinstance(decision, Rejection):
                _record_rejection(tx, signal, decision, state, now)
                return market, []
            if desk.rules.is_dry_run or not (decision.cancel or decision.amend):
                return market, _record_plan(tx, waiting, decision, state, desk, now)
            if decision.cancel:
                tx.request_cancels(signal, decision.cancel, reason=reason, now=now)
            elif decision.amend:
                wanted = decision.amend
                tx.request_amendment(
                    signal, wanted.order, quantity=wanted.quantity, price=wanted.price, now=now
                )
        try:
            if decision.cancel:
                _cancel(lane, decision.cancel, desk, reason=reason, now=now)
            elif _amended(lane, signal, decision, desk):
                lane.finish_signal(signal, "executed", now=desk.now())
                return market, []
        except Refused as refusal:
            _record_refusal(lane, signal, refusal, desk)
            return market, []
        open_orders = lane.open_orders()
    raise OutcomeUnknown(f"the orders of {signal.symbol} kept changing while deciding")


def _cancel(lane: Lane, orders: Sequence[Order], desk: Desk, *, reason: str, now: datetime) -> None:
    """Each is seen to have ended before the next step; raises Refused when one can't be cancelled."""
    for number, order in enumerate(orders):
        try:
            confirm_cancel(lane, replace(order, cancel_requested_at=now, reason=reason), desk)
        except Refused as refusal:
            for kept in orders[number:]:
                give_up_cancel(lane, kept, refusal)
            raise


def _record_refusal(lane: Lane, signal: Signal, refusal: Refused, desk: Desk) -> None:
    """The exchange would not make way for the signal's order, so there is none."""
    now = desk.now()
    rejection = Rejection(code="exchange_refused", message=refusal.reason)
    event = signal_event("signal_rejected", signal, rejection, now=now)
    lane.finish_signal(
        signal, "rejected", code=rejection.code, reason=rejection.message, events=[event], now=now
    )
    log.warning("signal_rejected", code=rejection.code, reason=rejection.message)


def _record_forgotten(lane: Lane, signal: Signal, desk: Desk) -> None:
    """We restored the database, or lost it, and found the signal's orders at the exchange: it is executed."""
    orders = lane.claim_orders(signal, client_order_id_prefix(signal.signal_id))
    reason = f"executed before: the exchange has {', '.join(orders) or 'an order of this name'}"
    lane.finish_signal(signal, "executed", code="already_placed", reason=reason, now=desk.now())
    log.warning("signal_executed_before", orders=orders)


def _amended(lane: Lane, signal: Signal, plan: Plan, desk: Desk) -> bool:
    """Amend, and look whether the order became the wanted one; absolute values make repeating safe."""
    amendment = plan.amend
    assert amendment is not None
    order = amendment.order
    try:
        with suppress(OrderNotFound):  # filled or gone: the evidence tells
            desk.exchange.amend_order(
                lane.symbol,
                order.client_order_id,
                quantity=amendment.quantity,
                price=amendment.price,
            )
    except OutcomeUnknown:
        log.warning("amend_outcome_unknown", client_order_id=order.client_order_id)
    except Refused:
        lane.end_amendment(signal, order, is_applied=False)
        raise
    for _ in desk.looks():
        order = settle_order(lane, order, desk)
        if _has_become(order, amendment):
            lane.end_amendment(signal, order, is_applied=True)
            log.info("order_amended", client_order_id=order.client_order_id)
            return True
        if not order.is_open:
            lane.end_amendment(signal, order, is_applied=False)
            return False
    raise OutcomeUnknown(f"the amendment of {order.client_order_id} does not show yet")


def _has_become(order: Order, wanted: Amendment) -> bool:
    """Filled meanwhile or not; the exchange may have moved the price to its own limit."""
    before = wanted.order.request
    price = order.request.price
    return order.request.quantity == wanted.quantity and (
        price == wanted.price or (price != before.price and wanted.price != before.price)
    )


def _refresh_balance(lane: Lane, desk: Desk) -> None:
    """The balance that decisions see is at most so old; what was planned since is reserved on top."""
    if not desk.rules.enable_balance_check:
        return
    now = desk.now()
    if lane.balance_at is None or now - lane.balance_at > timedelta(seconds=desk.patience.balance_max_age_s):
        lane.save_balance(desk.exchange.available_balance(), asked_at=now)


def _record_plan(
    tx: Decision, waiting: WaitingSignal, plan: Plan, state: TradingState, desk: Desk, now: datetime
) -> list[Order]:
    signal = waiting.signal
    is_dry_run = desk.rules.is_dry_run
    planned = [
        _order(signal, plan, number, desk, is_dry_run=is_dry_run, now=now)
        for number in range(len(plan.place))
    ]
    outcome = "executed" if is_dry_run or not planned else "planned"
    events = [
        event_of(waiting, "created", order, sequence=1, now=now, market=state.market)
        for order in planned
        if is_dry_run  # others are announced when the exchange has them
    ]
    tx.record_plan(
        signal,
        planned,
        decision=_decision_json(plan, state),
        reserve=ZERO if is_dry_run else _reserve(planned),
        events=events,
        state=outcome,
        now=now,
    )
    for warning in plan.warnings:
        log.warning("plan_warning", warning=warning)
    mark = "[DRY-RUN] " if is_dry_run else ""
    log.info("signal_planned", orders=[mark + _summary(order) for order in planned])
    return [] if is_dry_run else planned


def _order(signal: Signal, plan: Plan, number: int, desk: Desk, *, is_dry_run: bool, now: datetime) -> Order:
    wanted = plan.place[number]
    request = OrderRequest(
        client_order_id=client_order_id(signal.signal_id, attempt=signal.attempt, slice_number=number),
        symbol=signal.symbol,
        category=desk.category,
        side=wanted.side,
        order_type=wanted.order_type,
        time_in_force=wanted.time_in_force,
        quantity=wanted.quantity,
        price=wanted.price,
        reduce_only=wanted.reduce_only,
        position_idx=wanted.position_idx,
    )
    return Order(
        id=str(uuid.uuid4()),
        request=request,
        status=OrderStatus.DRY_RUN if is_dry_run else OrderStatus.PENDING,
        signal_id=signal.signal_id,
        reference_price=plan.reference_price,
        is_dry_run=is_dry_run,
        intended_at=None if is_dry_run else now,
        created_at=now,
        updated_at=now,
    )


def _reserve(planned: Sequence[Order]) -> Decimal:
    """Quote value to keep back until the exchange's own balance shows it."""
    return sum((order.open_notional for order in planned if not order.request.reduce_only), ZERO)


def _record_rejection(
    tx: Decision, signal: Signal, rejection: Rejection, state: TradingState, now: datetime
) -> None:
    tx.record_rejection(
        signal,
        code=rejection.code,
        reason=rejection.message,
        decision=_decision_json(rejection, state),
        events=[signal_event("signal_rejected", signal, rejection, now=now)],
        now=now,
    )
    log.info("signal_rejected", code=rejection.code, reason=rejection.message)


def _summary(order: Order) -> str:
    request = order.request
    at = f"at {text(request.price)}" if request.price is not None else "at market"
    return f"{request.side} {text(request.quantity)} {request.symbol} {at}"


def _decision_json(decision: Plan | Rejection, state: TradingState) -> dict[str, Any]:
    """The stored inputs, each rule with its numbers, and what came out."""
    inputs = {
        "mode": state.mode.value,
        "market": market_json(state.market),
        "position": {"long": text(state.position.long_size), "short": text(state.position.short_size)},
        "open_orders": [order.client_order_id for order in state.open_orders],
        "other_exposure": text(state.other_exposure),
        "position_source": state.source.value,
        "available_balance": text(state.available_balance),
    }
    checks = [asdict(check) for check in decision.checks]
    if isinstance(decision, Rejection):
        return {
            "outcome": "rejection",
            "code": decision.code,
            "message": decision.message,
            "limit": decision.limit,
            "value": decision.value,
            "inputs": inputs,
            "checks": checks,
        }
    return {
        "outcome": "plan",
        "inputs": inputs,
        "checks": checks,
        "notes": dict(decision.notes),
        "warnings": list(decision.warnings),
        "cancel": [order.client_order_id for order in decision.cancel],
        "place": [asdict(order) for order in decision.place],
        "decided_at_price": text(decision.reference_price),
        "market_at": iso(state.market.at),
    }
