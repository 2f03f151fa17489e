"""Orders: what we want placed, and what we know of what was placed."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Side(StrEnum):
    """Always from our side."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what the side does to a signed position."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(StrEnum):
    """What others see; `pending` without an exchange_order_id is in flight."""

    PENDING = "pending"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    DRY_RUN = "dry_run"

    @property
    def is_terminal(self) -> bool:
        return self not in OPEN_STATUSES


OPEN_STATUSES = frozenset({OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED})


class OrderEvent(StrEnum):
    """A transition that others hear of."""

    CREATED = "created"
    MODIFIED = "modified"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Category(StrEnum):
    """Bybit's product family; a symbol is unique only within one."""

    LINEAR = "linear"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order that we want: everything the exchange is told."""

    client_order_id: str  # Bybit orderLinkId, at most 36 characters
    symbol: str
    category: Category
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal  # base, whole lots
    price: Decimal | None  # quote per base, on the tick; None for a market order
    reduce_only: bool = False
    position_idx: int = 0  # 0 one-way, 1 hedge long leg, 2 hedge short leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that we have recorded."""

    id: str
    request: OrderRequest
    status: OrderStatus
    signal_id: str | None = None
    exchange_order_id: str | None = None
    filled_quantity: Decimal = ZERO
    average_price: Decimal | None = None
    fees: Decimal = ZERO  # quote, positive: paid
    base_fees: Decimal = ZERO  # base, positive: paid in what was bought, as spot buys are
    reference_price: Decimal | None = None  # quote per base, what a market order was sized at
    is_dry_run: bool = False
    reason: str | None = None  # why it was rejected or cancelled
    intended_at: datetime | None = None  # last moment before which nothing had been sent
    cancel_requested_at: datetime | None = None
    exchange_updated_at: datetime | None = None  # the exchange's clock, of the newest applied report
    created_at: datetime | None = None
    updated_at: datetime | None = None
    executed_at: datetime | None = None
    unseen_since: datetime | None = None  # first look at which the exchange showed it nowhere; None: it shows
    announced: frozenset[OrderEvent] = frozenset()  # kinds of events that others heard so far

    @property
    def client_order_id(self) -> str:
        return self.request.client_order_id

    @property
    def remaining_quantity(self) -> Decimal:
        """Base quantity not yet filled; zero or more."""
        return max(self.request.quantity - self.filled_quantity, ZERO)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def is_in_flight(self) -> bool:
        """Sent or about to be sent, and the exchange has not yet been heard to have it."""
        return self.status is OrderStatus.PENDING and self.exchange_order_id is None

    @property
    def is_external(self) -> bool:
        """Not from a signal of ours: another system or a person placed it, and we leave it alone."""
        return self.signal_id is None

    @property
    def may_rest(self) -> bool:
        """Whether it can stay on the book; an IOC or FOK order ends by itself at once."""
        return self.request.time_in_force in {TimeInForce.GTC, TimeInForce.POST_ONLY}

    @property
    def is_at_rest(self) -> bool:
        """On the book, and neither we nor itself are about to end it."""
        return self.may_rest and not self.is_in_flight and self.cancel_requested_at is None

    @property
    def open_notional(self) -> Decimal:
        """Quote value that can still fill; zero for a terminal order."""
        if not self.is_open:
            return ZERO
        price = self.request.price or self.reference_price or ZERO
        return self.remaining_quantity * price


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the exchange says of one order, at one moment of its clock."""

    client_order_id: str
    exchange_order_id: str
    symbol: str
    category: Category
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce | None
    status: OrderStatus
    quantity: Decimal
    price: Decimal | None
    filled_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal
    reduce_only: bool
    position_idx: int
    reason: str | None  # cancelType or rejectReason, None when unset
    created_at: datetime
    updated_at: datetime
    base_fees: Decimal = ZERO  # base; part of `fees`, which has it in quote
    fee_detail: dict[str, Decimal] = field(default_factory=dict)  # coin -> amount
