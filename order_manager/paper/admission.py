"""Whether an order may enter the market: what depends on the account and on the prices of now.

Own rules where the exchange documents none: reducing orders are free of the minimum value; an order
needs margin only for what goes beyond the opposite position when it is accepted.
"""

from decimal import Decimal

from order_manager.paper.accounts import HEDGE, Account
from order_manager.paper.floor import FEE_RATES, Floor
from order_manager.paper.instruments import LINEAR, SPOT, Instrument
from order_manager.paper.markets import Market
from order_manager.paper.numbers import ZERO, ceil_to_step, floor_to_step
from order_manager.paper.order_entry import NewOrder
from order_manager.paper.refusals import ApiRefusal, refusal

MAX_OPEN_LINEAR = 500  # per symbol and account
MAX_OPEN_SPOT = 500  # per account


def check_open_count(account: Account, category: str, symbol: str) -> None:
    if category == SPOT:
        is_full = len(account.open_orders[SPOT]) >= MAX_OPEN_SPOT
    else:
        is_full = account.open_count[category, symbol] >= MAX_OPEN_LINEAR
    if is_full:
        raise refusal("too_many_orders", category, "The number of active orders is at its maximum of 500")


def reduces_only(account: Account, wish: NewOrder) -> bool:
    """Refuse a positionIdx that does not fit the mode; True when the order can only reduce its leg."""
    category, symbol = wish.market.key
    if category == SPOT:
        return False
    is_hedge = account.mode_for(symbol) == HEDGE
    if is_hedge != (wish.position_idx != 0):
        raise ApiRefusal(10001, "position idx not match position mode: positionIdx")
    return wish.reduce_only or (is_hedge and (wish.side == "Buy") != (wish.position_idx == 1))


def reducing_qty(account: Account, wish: NewOrder) -> Decimal:
    """The quantity of a reduce-only order, capped at the position; zero asks for all of it."""
    instrument = wish.market.instrument
    room = account.position(instrument.symbol, wish.position_idx).reducible_by(wish.side)
    if not room:
        raise ApiRefusal(110017, "orderQty will be truncated to zero: reduceOnly, but no position to reduce")
    most = instrument.max_market_qty if wish.order_type == "Market" else instrument.max_qty
    return min(wish.qty or most, room)


def bounded_price(floor: Floor, account: Account, wish: NewOrder) -> Decimal:
    """The order's limit: the client's, within the exchange's price limits, or a Market's protection."""
    market, side = wish.market, wish.side
    if wish.order_type == "Limit":
        return within_limits(floor, account, market, side, wish.price)
    is_buy = side == "Buy"
    bound = market.highest_buy(floor.tick) if is_buy else market.lowest_sell(floor.tick)
    if not wish.slippage:
        return bound
    best = market.best_ask(floor.tick) if is_buy else market.best_bid(floor.tick)
    step = market.instrument.tick_size
    tolerance = Decimal(wish.slippage)
    distance = tolerance * step if wish.slippage_type == "TickSize" else best * tolerance / 100
    if is_buy:
        return min(bound, floor_to_step(best + distance, step))
    return max(bound, ceil_to_step(best - distance, step))


def within_limits(floor: Floor, account: Account, market: Market, side: str, price: Decimal) -> Decimal:
    """A limit price beyond the price limit is moved to it or refused, as the account has chosen.

    Unless it chose otherwise, futures move it and spot refuses it.
    """
    limit = market.highest_buy(floor.tick) if side == "Buy" else market.lowest_sell(floor.tick)
    if (price <= limit) if side == "Buy" else (price >= limit):
        return price
    category = market.instrument.category
    if account.moves_price(category):
        return limit
    reason, word = ("above_limit", "higher") if side == "Buy" else ("below_limit", "lower")
    raise refusal(reason, category, f"{side} order price cannot be {word} than {limit}")


def check_notional(instrument: Instrument, value: Decimal) -> None:
    """Refuse an order whose value, in quote, is below the minimum."""
    if value < instrument.min_notional:
        text = f"Order does not meet minimum order value {instrument.min_notional} {instrument.quote_coin}"
        raise refusal("min_notional", instrument.category, text)


def check_create_notional(floor: Floor, wish: NewOrder, qty: Decimal, price: Decimal) -> None:
    if wish.in_quote:
        check_notional(wish.market.instrument, qty)
    else:
        each = price if wish.order_type == "Limit" else wish.market.price(floor.tick)
        check_notional(wish.market.instrument, qty * each)


def reserve_per_unit(
    floor: Floor, account: Account, wish: NewOrder, *, price: Decimal, qty: Decimal, reduces: bool
) -> Decimal:
    """What one unit of the order's quantity ties up; refuses the order when that is not there."""
    market, side = wish.market, wish.side
    instrument = market.instrument
    if instrument.category == SPOT:
        per_unit = Decimal(1) if wish.in_quote or side == "Sell" else price
        coin = instrument.quote_coin if side == "Buy" else instrument.base_coin
        if qty * per_unit > floor.free(account, coin):
            raise refusal("balance", SPOT, f"Insufficient balance: {coin}")
        return per_unit
    if reduces:
        return ZERO
    if wish.order_type == "Market":
        price = market.best_ask(floor.tick) if side == "Buy" else market.best_bid(floor.tick)
    opening = max(ZERO, qty - account.position(instrument.symbol, wish.position_idx).reducible_by(side))
    margin = opening * price / account.leverage_for(instrument.symbol)
    fee = opening * price * FEE_RATES[LINEAR][1]
    if opening and margin + fee > floor.free(account, None):
        raise refusal("balance", LINEAR, "ab not enough for new order: available balance too low for qty")
    return margin / qty
