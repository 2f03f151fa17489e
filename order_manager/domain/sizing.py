"""Sizing: from quote currency to whole lots, and from one quantity to orders the exchange takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from order_manager.domain.findings import Finding, at_least, at_most
from order_manager.domain.instruments import Instrument, floor_to_step
from order_manager.domain.legs import Intent
from order_manager.domain.orders import Category, OrderType
from order_manager.domain.state import TradingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A wish on its way to orders."""

    intent: Intent
    order_type: OrderType
    price: Decimal  # quote per base that quantities are computed at
    notional: Decimal  # quote, the wish

    @property
    def value(self) -> Decimal:
        """Quote: the wish, but of a reducing order no more than what is reducible is worth."""
        if not self.intent.reduce_only:
            return self.notional
        return min(self.notional, self.intent.reducible * self.price)

    def quantity(self, instrument: Instrument) -> Decimal:
        """Base, whole lots, worth `notional` at most; a reducing order never above what is reducible."""
        quantity = instrument.quantity_for(self.notional, price=self.price)
        if not self.intent.reduce_only:
            return quantity
        return min(quantity, floor_to_step(self.intent.reducible, instrument.lot_size))


def minimum_findings(draft: Draft, instrument: Instrument) -> Iterator[Finding]:
    """Is the whole quantity one that the exchange takes?

    Bybit does not say whether a reduce-only order is exempt from the minima. We let one pass that closes
    the whole leg: the alternative is a rest that nothing can close. Should the exchange refuse it, it is
    recorded as rejected, and nothing is lost. Spot knows no reduce-only orders, hence no exemption.
    """
    quantity, least = draft.quantity(instrument), instrument.lot_size
    if not _closes_leg(draft.intent, quantity, instrument):
        least = max(least, instrument.min_quantity)
    unit = instrument.base_coin
    yield at_least(
        "min_quantity",
        quantity,
        least,
        f"{draft.value:f} {instrument.quote_coin} buys or sells {{value}} {unit} in whole lots, "
        f"below the minimum of {{limit}} {unit}",
        code="below_min_quantity",
    )
    if not _closes_leg(draft.intent, quantity, instrument):
        yield _notional_finding("min_notional", quantity * draft.price, instrument, "the order")


def meets_minimum(draft: Draft, instrument: Instrument) -> bool:
    return all(finding.passed for finding in minimum_findings(draft, instrument))


def _closes_leg(intent: Intent, quantity: Decimal, instrument: Instrument) -> bool:
    return (
        intent.reduce_only
        and instrument.category is not Category.SPOT
        and quantity >= floor_to_step(intent.held, instrument.lot_size)
    )


def _notional_finding(rule: str, notional: Decimal, instrument: Instrument, subject: str) -> Finding:
    return at_least(
        rule,
        notional,
        instrument.min_notional,
        f"{subject} is worth {{value}} {instrument.quote_coin}, below the minimum of {{limit}}",
        code="below_min_notional",
    )


def single_order_finding(draft: Draft, instrument: Instrument, rules: TradingRules) -> Finding:
    """Is the wish small enough for one order, or, with splitting, for as many as a plan may have?

    Made before the quantity is computed: a wish of any size gets a clean no.
    """
    limit = rules.max_single_order_notional
    if not rules.enable_order_splitting:
        return at_most(
            "max_single_order_size",
            draft.value,
            limit,
            f"the order of {{value}} {instrument.quote_coin} exceeds the single order limit of {{limit}}; "
            "order splitting is off",
        )
    return at_most(
        "max_single_order_size",
        draft.value,
        limit * rules.max_slices,
        f"the order of {{value}} {instrument.quote_coin} exceeds {{limit}}: "
        f"{rules.max_slices} slices of at most {limit:f}",
    )


def slice_findings(draft: Draft, instrument: Instrument, rules: TradingRules) -> Iterator[Finding]:
    """Does the quantity fit into the orders that the exchange and the desk allow?"""
    quantity, unit = draft.quantity(instrument), instrument.base_coin
    maximum = instrument.max_quantity(draft.order_type)
    if not rules.enable_order_splitting:
        yield at_most(
            "max_quantity",
            quantity,
            maximum,
            f"{{value}} {unit} exceeds the exchange's maximum of {{limit}} {unit} for a {draft.order_type} "
            "order; order splitting is off",
            code="above_max_quantity",
        )
        return
    largest = largest_slice(draft, instrument, rules)
    yield at_least(
        "slice_size",
        largest,
        instrument.lot_size,
        f"a slice within the single order limit has {{value}} {unit}, less than a lot of {{limit}} {unit}",
        code="max_single_order_size",
    )
    yield at_most(
        "max_slices",
        quantity,
        largest * rules.max_slices,
        f"{{value}} {unit} exceeds {{limit}} {unit}: {rules.max_slices} slices of at most {largest:f} {unit}",
        code="too_many_slices",
    )
    yield from _smallest_slice_findings(slices_of(draft, instrument, rules), draft.price, instrument)


def _smallest_slice_findings(
    slices: tuple[Decimal, ...], price: Decimal, instrument: Instrument
) -> Iterator[Finding]:
    if len(slices) == 1:
        return  # the whole was checked, and may be exempt
    yield at_least(
        "slice_min_quantity",
        slices[-1],
        instrument.min_quantity,
        f"a slice of {{value}} {instrument.base_coin} is below the minimum of {{limit}}",
        code="below_min_quantity",
    )
    yield _notional_finding("slice_min_notional", slices[-1] * price, instrument, "a slice")


def largest_slice(draft: Draft, instrument: Instrument, rules: TradingRules) -> Decimal:
    """Base, whole lots: most that one order may have under the desk's limit and the exchange's."""
    by_desk = instrument.quantity_for(rules.max_single_order_notional, price=draft.price)
    by_exchange = floor_to_step(instrument.max_quantity(draft.order_type), instrument.lot_size)
    return min(by_desk, by_exchange)


def slices_of(draft: Draft, instrument: Instrument, rules: TradingRules) -> tuple[Decimal, ...]:
    """The quantity in as few slices as allowed, equal up to one lot, largest first, summing to the whole."""
    quantity = draft.quantity(instrument)
    if not rules.enable_order_splitting:
        return (quantity,)
    lot = instrument.lot_size
    lots, most = int(quantity // lot), int(largest_slice(draft, instrument, rules) // lot)
    count = -(-lots // most)
    size, larger = divmod(lots, count)
    return tuple((size + 1 if index < larger else size) * lot for index in range(count))
