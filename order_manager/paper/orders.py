"""Orders and fills as the exchange keeps them. Words and spellings are the exchange's own."""

from dataclasses import dataclass, field
from decimal import Decimal

from order_manager.paper.numbers import ZERO

OPEN_STATUSES = frozenset({"New", "PartiallyFilled", "Untriggered"})
CLOSED_STATUSES = frozenset({"Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"})


@dataclass(slots=True, kw_only=True)
class Fill:
    """One execution. `seq` is shared by fills concluded together; `pnl` is gross of fees, in quote."""

    uid: int
    number: int  # counts all fills of the exchange from 1
    order_id: str
    exec_id: str
    seq: int
    time_ms: int
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    leaves_qty: Decimal
    closed_qty: Decimal
    pnl: Decimal
    mark_price: Decimal
    open_fee: Decimal = ZERO  # what opening the closed part had cost in fees


@dataclass(slots=True, kw_only=True)
class Order:
    """One order, changed in place over its life. `number` counts all orders of the exchange from 1."""

    uid: int
    number: int
    category: str
    symbol: str
    order_id: str
    link_id: str
    side: str
    order_type: str
    time_in_force: str
    price: Decimal  # a Market order's internal protective limit
    qty: Decimal  # base; quote when `in_quote`
    in_quote: bool  # spot market buy sized in quote
    market_unit: str
    position_idx: int
    reduce_only: bool  # as the client said
    reduces: bool  # may only shrink a position: reduce_only, or a hedge leg's closing side
    close_on_trigger: bool
    is_leverage: str
    last_price_on_created: Decimal
    slippage_type: str
    slippage: str
    created_ms: int
    updated_ms: int
    status: str = "New"
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    cum_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)  # coin: amount paid
    reserve_per_unit: Decimal = ZERO  # margin or locked coin per unit of open quantity
    reserved: Decimal = ZERO
    is_visible: bool = True  # False between the acknowledgement and the matching engine
    closed_rank: int = 0  # position in the account's sequence of closings, per category
    fills: list[Fill] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def leaves_qty(self) -> Decimal:
        """Open quantity, in the unit of `qty`; zero once closed."""
        if not self.is_open:
            return ZERO
        return self.qty - (self.cum_value if self.in_quote else self.cum_qty)

    @property
    def base_leaves_qty(self) -> Decimal:
        """Unfilled base quantity while matching, whatever the status."""
        return self.qty - self.cum_qty
