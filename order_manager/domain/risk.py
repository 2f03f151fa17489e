"""Risk: each of the desk's limits as a finding, in the order in which they are checked.

What counts. Position size and exposure count, in full, the symbol's open orders that survive the plan:
each may still fill. Orders that the plan cancels do not count, although a cancel can lose its race
against a fill: whoever carries the plan out confirms the final state of each cancel before it places
anything, and decides anew when a cancelled order turns out to have filled. Counting them here as well
would make it impossible to replace an order near a limit.

An order that reduces a position is exempt from balance, order size ratio, position size and exposure: a
limit must never keep anybody from getting out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from order_manager.domain.findings import Finding, at_least, at_most
from order_manager.domain.legs import Intent, may_open
from order_manager.domain.orders import ZERO, Category, Order, OrderType
from order_manager.domain.pricing import price_range
from order_manager.domain.sizing import Draft, meets_minimum
from order_manager.domain.state import PositionSource, TradingMode, TradingRules, TradingState


def permission_findings(intent: Intent, state: TradingState, rules: TradingRules) -> Iterator[Finding]:
    """May we trade this symbol at all, in this direction?"""
    yield _trading_state(intent, state)
    yield _symbol_tradable(state)
    yield _short_allowed(intent, state, rules)
    if intent.reduce_only:
        yield _something_to_reduce(intent, state)


def _trading_state(intent: Intent, state: TradingState) -> Finding:
    mode, halted = state.mode, state.mode is TradingMode.HALTED
    return Finding(
        rule="trading_state",
        passed=mode is TradingMode.ACTIVE or (not halted and intent.reduce_only),
        limit=mode.value,
        value="reduces" if intent.reduce_only else "opens",
        message=f"trading is halted for {state.mode_of}"
        if halted
        else f"trading is reducing for {state.mode_of}, and this {intent.side} opens a position",
        code="trading_halted" if halted else "trading_reducing",
    )


def _symbol_tradable(state: TradingState) -> Finding:
    return Finding(
        rule="symbol_tradable",
        passed=state.instrument.is_trading,
        limit="trading",
        value="trading" if state.instrument.is_trading else "not trading",
        message=f"the exchange does not trade {state.instrument.symbol} at the moment",
        code="symbol_not_trading",
    )


def _short_allowed(intent: Intent, state: TradingState, rules: TradingRules) -> Finding:
    spot = state.instrument.category is Category.SPOT
    allowed = rules.allow_short and not spot
    return Finding(
        rule="short_allowed",
        passed=may_open(intent, state.instrument.category, allow_short=rules.allow_short),
        limit="allowed" if allowed else "not allowed",
        value="opens a short" if intent.opens_short else "no short",
        message=f"no long of {state.instrument.symbol} is held, and opening a short is not "
        + ("possible on spot" if spot else "allowed"),
        code="short_not_allowed",
    )


def _something_to_reduce(intent: Intent, state: TradingState) -> Finding:
    unit = state.instrument.base_coin
    return at_least(
        "reducible",
        intent.reducible,
        state.instrument.lot_size,
        f"of {intent.held:f} {unit} held, {{value}} {unit} is left to reduce: our open reduce-only orders "
        f"claim {intent.claimed:f} {unit}, and a lot is {{limit}} {unit}",
        code="nothing_to_reduce",
    )


def price_findings(price: Decimal, order_type: OrderType, state: TradingState) -> Iterator[Finding]:
    """Is there a price, in quote per base, to size the order at, and does the exchange take it?"""
    quote = state.instrument.quote_coin
    if order_type is OrderType.MARKET:
        yield Finding(
            rule="market_price",
            passed=price > 0,
            limit="above 0",
            value=f"{price:f}",
            message=f"nobody offers the other side of {state.instrument.symbol}: its best price is {price:f}",
            code="no_market_price",
        )
        return
    lowest, highest = price_range(state.instrument)
    yield at_least(
        "min_price",
        price,
        lowest,
        f"the limit price {{value}} {quote} is below the exchange's minimum of {{limit}}",
        code="price_out_of_range",
    )
    if state.instrument.max_price is None and price <= highest:
        return  # the exchange names no maximum
    yield at_most(
        "max_price",
        price,
        highest,
        f"the limit price {{value}} {quote} is above the exchange's maximum of {{limit}}",
        code="price_out_of_range",
    )


def affordable(draft: Draft, state: TradingState, rules: TradingRules) -> Draft:
    """`draft`, reduced to what the balance allows if it cannot pay for it, and that is still an order.

    Only to the balance: the order size ratio is a guard against too large a wish, and judges what is left.
    """
    balance = _checked_balance(draft.intent, state, rules)
    if balance is None or draft.notional <= balance or not rules.enable_order_size_reduction:
        return draft
    if balance <= 0:
        return draft
    reduced = replace(draft, notional=balance)
    return reduced if meets_minimum(reduced, state.instrument) else draft


def balance_findings(draft: Draft, state: TradingState, rules: TradingRules) -> Iterator[Finding]:
    """Can the account pay for it, in quote, and should one order take so much of it?

    Leverage does not count: an order needs its full value. Nor does what cancelled orders will free.
    """
    balance, quote = _checked_balance(draft.intent, state, rules), state.instrument.quote_coin
    if balance is None:
        return
    yield at_most(
        "balance",
        draft.notional,
        balance,
        f"the order of {{value}} {quote} exceeds the available balance of {{limit}} {quote}",
        code="insufficient_balance",
    )
    yield at_most(
        "order_size_ratio",
        draft.notional,
        balance * rules.max_order_size_ratio,
        f"the order of {{value}} {quote} exceeds {{limit}} {quote}, which is {rules.max_order_size_ratio:f} "
        f"of the available balance of {balance:f} {quote}",
    )


def _checked_balance(intent: Intent, state: TradingState, rules: TradingRules) -> Decimal | None:
    """Quote; None when this order's balance is not to be checked."""
    return None if intent.reduce_only or not rules.enable_balance_check else state.available_balance


def exposure_findings(
    draft: Draft, state: TradingState, keep: Iterable[Order], rules: TradingRules
) -> Iterator[Finding]:
    """What would we hold if this order and every surviving one filled?"""
    if draft.intent.reduce_only:
        return
    if state.source is not PositionSource.OURS:
        yield _position_known(state)
    instrument, keep = state.instrument, tuple(keep)
    quantity = draft.quantity(instrument)
    opening = [o for o in keep if o.request.side is draft.intent.side and not o.request.reduce_only]
    size = state.position.gross_size() + sum((o.remaining_quantity for o in opening), ZERO) + quantity
    yield at_most(
        "max_position_size",
        size,
        rules.max_position_size_of(instrument.symbol),
        f"the position would become {{value}} {instrument.base_coin}, above the limit of {{limit}}",
    )
    yield at_most(
        "max_exposure",
        symbol_exposure(state, keep) + state.other_exposure + quantity * draft.price,
        rules.max_exposure,
        f"the total exposure would become {{value}} {instrument.quote_coin}, above the limit of {{limit}}",
    )


def _position_known(state: TradingState) -> Finding:
    is_known = state.source is not PositionSource.NOBODY
    return Finding(
        rule="position_known",
        passed=is_known,
        limit="known",
        value="known" if is_known else "unknown",
        message="the Position Manager does not answer, and what we hold is not taken from our own books",
        code="position_manager_unavailable",
    )


def symbol_exposure(state: TradingState, keep: Iterable[Order]) -> Decimal:
    """Quote: the position at the mark price and what the surviving orders can still fill."""
    mark = state.market.mark
    held = state.position.gross_size() * mark
    prices = ((o.remaining_quantity, o.request.price or o.reference_price or mark) for o in keep)
    return held + sum((quantity * price for quantity, price in prices), ZERO)
