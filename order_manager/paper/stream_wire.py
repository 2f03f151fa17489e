"""Engine values as the private stream writes them: the REST rows with what differs on a stream."""

from decimal import Decimal

from order_manager.paper.accounts import Account, Position
from order_manager.paper.floor import Floor
from order_manager.paper.instruments import LINEAR, SPOT
from order_manager.paper.numbers import ZERO, rounded
from order_manager.paper.orders import Fill, Order
from order_manager.paper.wire import Json, fill_to_wire, order_to_wire, position_to_wire, wallet_to_wire


def order_to_stream(order: Order, floor: Floor) -> Json:
    row = order_to_wire(order, floor.market_of(order))
    row.pop("basePrice", None)  # REST only
    is_spot = order.category == SPOT
    return row | {
        "category": order.category,
        "closedPnl": rounded(sum((_net_pnl(fill) for fill in order.fills), ZERO)),
        "feeCurrency": next(iter(order.fees), "") if is_spot else "",
        "brokerOrderPrice": "",
    }


def _net_pnl(fill: Fill) -> Decimal:
    """What a fill realised, less the fee for the part that closed. The opening fee is left out."""
    return fill.pnl - fill.fee * fill.closed_qty / fill.qty


def fill_to_stream(fill: Fill, order: Order, floor: Floor) -> Json:
    row = fill_to_wire(fill, order, floor.market_of(order))
    del row["execFeeV2"]  # REST only
    return row | {
        "category": order.category,
        "stopOrderType": "UNKNOWN",
        "isLeverage": order.is_leverage or "0",
        "marketUnit": order.market_unit,
        "execPnl": rounded(fill.pnl),  # gross of fees
        "extraFees": [],
    }


def leg_to_stream(account: Account, symbol: str, idx: int, floor: Floor) -> Json:
    """The entry price has another name here than in position/list."""
    leg = account.positions.get((symbol, idx)) or Position(uid=account.uid, symbol=symbol, idx=idx)
    row = position_to_wire(leg, account, floor.markets[LINEAR, symbol], floor.tick)
    row["entryPrice"] = row.pop("avgPrice")
    return row | {"category": LINEAR}


def wallet_to_stream(account: Account, changed: dict[str, None], floor: Floor) -> Json:
    """Coins that hold something, and those that have just become empty."""
    held = {name: None for name, coin in account.coins.items() if coin.balance}
    return wallet_to_wire(floor, account, list(held | changed))
