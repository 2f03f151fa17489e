"""Orders and executions: our values on one side, Bybit's JSON on the other. Spellings live only here."""

from decimal import Decimal

from order_manager.bybit.encoding import Value
from order_manager.bybit.fields import (
    Row,
    UnknownWireValue,
    moment,
    named,
    number,
    optional_number,
    optional_price,
    optional_text,
    text,
    to_decimal,
)
from order_manager.domain.exchange import Execution
from order_manager.domain.orders import (
    ZERO,
    Category,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from order_manager.domain.positions import Fill

SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
ORDER_TYPES = {"Market": OrderType.MARKET, "Limit": OrderType.LIMIT}
TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
CATEGORIES = {category.value: category for category in Category}
STATUSES = {
    "New": OrderStatus.PENDING,
    "Untriggered": OrderStatus.PENDING,
    "Triggered": OrderStatus.PENDING,  # an instant on the way to New, whatever the docs' table says
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}

_SIDE_NAMES = {side: name for name, side in SIDES.items()}
_ORDER_TYPE_NAMES = {order_type: name for name, order_type in ORDER_TYPES.items()}
_TIME_IN_FORCE_NAMES = {time_in_force: name for name, time_in_force in TIMES_IN_FORCE.items()}

_NO_REASON = {"", "UNKNOWN", "EC_NoError"}
_PLAIN_CANCEL = "EC_PerCancelRequest"
_LINEAR_QUOTES = {"USDT", "USDC"}


def order_to_wire(request: OrderRequest) -> dict[str, Value]:
    """Body of order/create. The quantity is base, on spot too, where a market buy would default to quote."""
    body: dict[str, Value] = {
        "category": request.category.value,
        "symbol": request.symbol,
        "side": _SIDE_NAMES[request.side],
        "orderType": _ORDER_TYPE_NAMES[request.order_type],
        "qty": request.quantity,
        "timeInForce": _TIME_IN_FORCE_NAMES[request.time_in_force],
        "orderLinkId": request.client_order_id,
    }
    is_market = request.order_type is OrderType.MARKET
    if request.price is not None and not is_market:
        body["price"] = request.price
    if request.category is Category.LINEAR:
        body["positionIdx"] = request.position_idx
        body["reduceOnly"] = request.reduce_only
    elif is_market:
        body["marketUnit"] = "baseCoin"
    return body


def order_report(row: Row, *, category: Category | None = None) -> OrderReport:
    """One order object, of REST or of the stream.

    `category` is for REST, which names it beside the list. Raises UnknownWireValue where a field we
    need is missing or new to us.
    """
    symbol = text(row, "symbol")
    category = category or named(row, "category", CATEGORIES)
    order_type = named(row, "orderType", ORDER_TYPES)
    quantity = number(row, "qty")
    filled = optional_number(row, "cumExecQty") or ZERO
    word = named(row, "orderStatus", STATUSES)
    if row.get("marketUnit") == "quoteCoin" and word.is_terminal and filled > 0:
        quantity = filled  # others' spot market order: `qty` is money, and this is what it bought
    status = _status(word, quantity=quantity, filled=filled)
    average_price = _average_price(row, filled)
    detail = _fee_detail(row)
    return OrderReport(
        client_order_id=optional_text(row, "orderLinkId"),
        exchange_order_id=text(row, "orderId"),
        symbol=symbol,
        category=category,
        side=named(row, "side", SIDES),
        order_type=order_type,
        time_in_force=TIMES_IN_FORCE.get(optional_text(row, "timeInForce")),
        status=status,
        quantity=quantity,
        # A market order shows the exchange's own protective limit.
        price=optional_price(row, "price") if order_type is OrderType.LIMIT else None,
        filled_quantity=filled,
        average_price=average_price,
        fees=_fees(row, detail, symbol=symbol, category=category, average_price=average_price),
        base_fees=_base_fees(detail, symbol=symbol, category=category),
        reduce_only=row.get("reduceOnly") is True,
        position_idx=_position_idx(row),
        reason=_reason(row) if status in (OrderStatus.CANCELLED, OrderStatus.REJECTED) else None,
        created_at=moment(row, "createdTime"),
        updated_at=moment(row, "updatedTime"),
        fee_detail=detail,
    )


def execution(row: Row, *, category: Category | None = None) -> Execution:
    """One execution object. Its fee is in `fee_currency`: a spot buy pays in the base coin."""
    return Execution(
        exec_id=text(row, "execId"),
        exchange_order_id=text(row, "orderId"),
        client_order_id=optional_text(row, "orderLinkId"),
        symbol=text(row, "symbol"),
        category=category or named(row, "category", CATEGORIES),
        fill=Fill(
            side=named(row, "side", SIDES),
            quantity=number(row, "execQty"),
            price=number(row, "execPrice"),
            fee=optional_number(row, "execFee") or ZERO,
        ),
        fee_currency=optional_text(row, "feeCurrency"),
        is_maker=row.get("isMaker") is True,
        exec_type=optional_text(row, "execType") or "Trade",
        executed_at=moment(row, "execTime"),
    )


def _status(status: OrderStatus, *, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """The word and the filled quantity together: the word alone misleads."""
    if status is OrderStatus.PENDING and filled > 0:
        return OrderStatus.PARTIALLY_FILLED
    if status is OrderStatus.CANCELLED and filled >= quantity > 0:
        return OrderStatus.FILLED
    return status


def _reason(row: Row) -> str | None:
    rejected, cancelled = optional_text(row, "rejectReason"), optional_text(row, "cancelType")
    if rejected not in _NO_REASON and rejected != _PLAIN_CANCEL:
        return rejected
    return cancelled if cancelled not in _NO_REASON else rejected if rejected == _PLAIN_CANCEL else None


def _average_price(row: Row, filled: Decimal) -> Decimal | None:
    average = optional_price(row, "avgPrice")
    if average is None and filled > 0:
        value = optional_number(row, "cumExecValue")
        return value / filled if value else None
    return average


def _fee_detail(row: Row) -> dict[str, Decimal]:
    detail = row.get("cumFeeDetail")
    if not isinstance(detail, dict):
        return {}
    return {coin: to_decimal("cumFeeDetail", amount, row) for coin, amount in detail.items() if amount != ""}


def _fees(
    row: Row, detail: dict[str, Decimal], *, symbol: str, category: Category, average_price: Decimal | None
) -> Decimal:
    """Fees in quote: a base coin at the average price; a discount coin (MNT) is in the detail only."""
    if not detail:
        return optional_number(row, "cumExecFee") or ZERO
    fees = ZERO
    for coin, amount in detail.items():
        if symbol.endswith(coin) or (category is Category.LINEAR and coin in _LINEAR_QUOTES):
            fees += amount
        elif category is Category.SPOT and _is_base(coin, symbol):
            fees += amount * (average_price or ZERO)
    return fees


def _base_fees(detail: dict[str, Decimal], *, symbol: str, category: Category) -> Decimal:
    """Fees that were taken out of the coin that was bought; only spot does so."""
    if category is not Category.SPOT:
        return ZERO
    return sum((amount for coin, amount in detail.items() if _is_base(coin, symbol)), ZERO)


def _is_base(coin: str, symbol: str) -> bool:
    return symbol.startswith(coin) and not symbol.endswith(coin)


def _position_idx(row: Row) -> int:
    value = row.get("positionIdx", 0)
    if value == "" or value is None:
        return 0
    if value not in (0, 1, 2):
        raise UnknownWireValue("positionIdx", value, row)
    return int(value)
