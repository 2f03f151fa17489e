"""What a decision looks at: the market, what we have, and the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Order, OrderType, Side, TimeInForce
from order_manager.domain.positions import Position


class TradingMode(StrEnum):
    """active: all; reducing: only what reduces a position; halted: nothing."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


def stricter_mode(one: TradingMode, other: TradingMode) -> TradingMode:
    """Of the account's and the symbol's, the one that counts."""
    return max(one, other, key=[TradingMode.ACTIVE, TradingMode.REDUCING, TradingMode.HALTED].index)


def mode_holder(account: TradingMode, lane: TradingMode, symbol: str) -> str:
    """Whose mode it is that counts, for people; both, where resuming one would not be enough."""
    if account is lane:
        return f"the account and {symbol}"
    return "the account" if stricter_mode(account, lane) is account else symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A symbol's prices, in quote per base, at `at`."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    mark: Decimal  # last where the category has no mark price
    at: datetime


class PositionSource(StrEnum):
    """Whose numbers the position and the exposure are."""

    OURS = "order_manager"
    POSITION_MANAGER = "position_manager"
    NOBODY = "unavailable"  # ours, as the Position Manager is away: not to take more risk on


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingState:
    """Everything about the account that one decision needs, read in one transaction."""

    mode: TradingMode  # the stricter of the account's and the symbol's
    instrument: Instrument
    market: Market
    position: Position  # of this symbol
    open_orders: tuple[Order, ...]  # of this symbol, in flight ones included
    other_exposure: Decimal  # quote: positions and open orders of all OTHER symbols
    available_balance: Decimal | None  # quote, less what was reserved since it was read; None: not checked
    source: PositionSource = PositionSource.OURS
    mode_of: str = "the account"  # whose mode counts, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingRules:
    """The desk's rules, from the settings."""

    max_single_order_notional: Decimal = Decimal(10000)  # quote
    enable_order_splitting: bool = False
    max_slices: int = 50  # a plan has at most this many orders
    max_position_size: Decimal = Decimal(1)  # base
    max_position_sizes: Mapping[str, Decimal] = field(default_factory=dict)  # symbol -> base
    max_exposure: Decimal = Decimal(50000)  # quote
    max_order_size_ratio: Decimal = Decimal("0.1")  # of the available balance
    market_order_confidence_threshold: Decimal = Decimal("0.9")
    market_order_spread_threshold_pct: Decimal = Decimal("0.1")
    limit_order_price_offset_ratio: Decimal = Decimal("0.5")
    price_deviation_warning_pct: Decimal = Decimal(5)
    cancel_opposite_orders_only: bool = False
    cancel_partially_filled: bool = False
    cancel_external_orders: bool = False
    enable_order_amending: bool = False
    enable_balance_check: bool = True
    enable_order_size_reduction: bool = True
    allow_short: bool = False
    is_dry_run: bool = False

    def max_position_size_of(self, symbol: str) -> Decimal:
        return self.max_position_sizes.get(symbol, self.max_position_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """Change an open order into the wanted one; quantity is the new total, base."""

    order: Order
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order to place; its client_order_id is given by whoever records the plan."""

    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    position_idx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule with the numbers it saw, for the audit."""

    rule: str
    limit: str
    value: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A no, as a value: which rule, its limit, and the value that broke it."""

    code: str  # machine code, snake_case
    message: str  # a sentence for people that names limit and value
    limit: str | None = None
    value: str | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A yes: what to cancel, then amend or place, in this order."""

    cancel: tuple[Order, ...]
    place: tuple[PlannedOrder, ...]
    amend: Amendment | None = None
    reference_price: Decimal  # quote per base that sizes were computed at
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)  # e.g. why market or limit


Decision = Plan | Rejection
