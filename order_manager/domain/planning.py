"""Planning: a signal, what is true, and the rules -> what to cancel and place, or why not.

Pure: no I/O, no clock, no settings. Everything an answer depends on is in its arguments.
"""

from dataclasses import replace
from decimal import Decimal

from order_manager.domain.cancelling import amendable_order, amendment_of, part_orders
from order_manager.domain.findings import Audit
from order_manager.domain.legs import Intent, intent_for
from order_manager.domain.orders import OrderType
from order_manager.domain.pricing import Style, limit_price, price_to_hit, price_warnings, style_for, view_of
from order_manager.domain.risk import (
    affordable,
    balance_findings,
    exposure_findings,
    permission_findings,
    price_findings,
)
from order_manager.domain.signals import Signal
from order_manager.domain.sizing import (
    Draft,
    minimum_findings,
    single_order_finding,
    slice_findings,
    slices_of,
)
from order_manager.domain.state import Plan, PlannedOrder, Rejection, TradingRules, TradingState


def plan_orders(signal: Signal, state: TradingState, rules: TradingRules) -> Plan | Rejection:
    """Decide what to cancel and place for `signal`.

    A rejection cancels nothing. Orders in flight are never cancelled (settle them first); they count as
    if they were open. What limits count, and why, is at the top of risk.py.
    """
    view = view_of(signal, state.market)
    style = style_for(signal, view, rules)
    pending = part_orders(state.open_orders, signal.side, style.order_type, rules)
    intent = intent_for(signal.side, state.position, pending.keep)

    is_limit = style.order_type is OrderType.LIMIT
    limit = limit_price(signal.side, view, state.instrument, rules) if is_limit else None
    price = limit if limit is not None else price_to_hit(signal.side, state.market)

    audit = Audit().then(permission_findings(intent, state, rules))
    audit = audit.then(price_findings(price, style.order_type, state))
    if audit.rejection:
        return audit.rejection

    wish = Draft(intent=intent, order_type=style.order_type, price=price, notional=signal.notional)
    draft = affordable(wish, state, rules)
    audit = audit.then(balance_findings(draft, state, rules))
    audit = audit.then([single_order_finding(draft, state.instrument, rules)])
    audit = audit.then(minimum_findings(draft, state.instrument))
    audit = audit.then(slice_findings(draft, state.instrument, rules))
    audit = audit.then(exposure_findings(draft, state, pending.keep, rules))
    if audit.rejection:
        return audit.rejection

    quantities = slices_of(draft, state.instrument, rules)
    plan = Plan(
        cancel=pending.cancel,
        place=tuple(planned_order(intent, style, quantity, limit) for quantity in quantities),
        reference_price=price,
        warnings=price_warnings(signal, state.market, rules, limit=limit),
        checks=audit.checks,
        notes=notes_on(style, wish, draft, len(quantities), state),
    )
    return amending(plan, rules)


def planned_order(intent: Intent, style: Style, quantity: Decimal, limit: Decimal | None) -> PlannedOrder:
    """One order of the plan; `quantity` in base, `limit` in quote per base."""
    return PlannedOrder(
        side=intent.side,
        order_type=style.order_type,
        time_in_force=style.time_in_force,
        quantity=quantity,
        price=limit,
        reduce_only=intent.reduce_only,
        position_idx=intent.position_idx,
    )


def amending(plan: Plan, rules: TradingRules) -> Plan:
    """`plan`, with one order amended instead of cancelled and placed again, where that is possible."""
    order = amendable_order(plan.cancel, plan.place, rules)
    if order is None:
        return plan
    amendment = amendment_of(order, plan.place[0])
    what = "is amended" if amendment else "is as wanted already"
    return replace(
        plan,
        cancel=tuple(other for other in plan.cancel if other is not order),
        place=(),
        amend=amendment,
        notes={**plan.notes, "amend": f"{order.client_order_id} {what}"},
    )


def notes_on(style: Style, wish: Draft, draft: Draft, slices: int, state: TradingState) -> dict[str, str]:
    """What a reader of the plan would ask about, by topic."""
    instrument, intent = state.instrument, draft.intent
    notes = {"order_type": style.reason}
    if intent.reduce_only:
        notes["exempt"] = "the order only reduces: balance, ratio, position size and exposure do not apply"
    if draft.value < draft.notional:
        notes["capped"] = (
            f"{intent.side} of {draft.notional:f} {instrument.quote_coin} capped at the "
            f"{intent.reducible:f} {instrument.base_coin} that is left to reduce"
        )
    if draft.notional < wish.notional:
        notes["reduced"] = (
            f"{wish.notional:f} {instrument.quote_coin} exceeds the available balance; "
            f"reduced to {draft.notional:f}"
        )
    if slices > 1:
        notes["slices"] = str(slices)
    return notes
