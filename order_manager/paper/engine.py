"""What a client can do to its orders and settings: create, amend, cancel, leverage, position mode."""

import itertools
import uuid
from decimal import Decimal

from order_manager.paper.accounts import HEDGE, ONE_WAY, Account
from order_manager.paper.admission import (
    bounded_price,
    check_create_notional,
    check_notional,
    check_open_count,
    reduces_only,
    reducing_qty,
    reserve_per_unit,
    within_limits,
)
from order_manager.paper.floor import ACCOUNT, ORDER_AMENDED, ORDER_CREATED, ORDER_OPENED, Floor
from order_manager.paper.instruments import LINEAR, SPOT
from order_manager.paper.numbers import ZERO
from order_manager.paper.order_entry import Amendment, NewOrder
from order_manager.paper.orders import Order
from order_manager.paper.refusals import ApiRefusal, refusal

MODES = (ONE_WAY, HEDGE)


class Engine(Floor):
    """The floor, with the doors that clients use. Each raises ApiRefusal and then has changed nothing."""

    _spot_ids = itertools.count()

    def create(self, account: Account, wish: NewOrder, now_ms: int, *, visible: bool = True) -> Order:
        """Accept an order. An invisible one is known by its ids only, until `activate`."""
        market = wish.market
        category, symbol = market.key
        # Before all that depends on state: a resent order must hear "duplicate", whatever else changed.
        # A refused create does not use up its link id (the exchange does not say).
        if wish.link_id and wish.link_id in account.by_link:
            raise refusal("duplicate", category, f"OrderLinkedID is duplicate: orderLinkId {wish.link_id}")
        if market.instrument.status != "Trading":
            raise refusal("not_trading", category, f"contract is not live: symbol {symbol}")
        check_open_count(account, category, symbol)
        reduces = reduces_only(account, wish)
        qty = reducing_qty(account, wish) if reduces else wish.qty
        price = bounded_price(self, account, wish)
        if not reduces:
            check_create_notional(self, wish, qty, price)
        per_unit = reserve_per_unit(self, account, wish, price=price, qty=qty, reduces=reduces)

        self.order_count += 1
        order = Order(
            uid=account.uid,
            number=self.order_count,
            category=category,
            symbol=symbol,
            order_id=self._new_order_id(category, now_ms),
            link_id=wish.link_id,
            side=wish.side,
            order_type=wish.order_type,
            time_in_force=wish.time_in_force,
            price=price,
            qty=qty,
            in_quote=wish.in_quote,
            market_unit=wish.market_unit,
            position_idx=wish.position_idx,
            reduce_only=wish.reduce_only,
            reduces=reduces,
            close_on_trigger=wish.close_on_trigger,
            is_leverage=wish.is_leverage,
            slippage_type=wish.slippage_type,
            slippage=wish.slippage,
            last_price_on_created=market.price(self.tick),
            created_ms=now_ms,
            updated_ms=now_ms,
            reserve_per_unit=per_unit,
            is_visible=False,
        )
        account.register(order)
        account.reserve(order, self.reserve_coin(order))
        self.emit(ORDER_CREATED, now_ms, account, order)
        if visible:
            self.activate(order, now_ms)
        return order

    def activate(self, order: Order, now_ms: int) -> None:
        """Let an accepted order reach the market."""
        if order.is_visible:
            return
        order.is_visible = True
        if order.is_open:  # a reduce-only order may have lost its position on the way
            self.emit(ORDER_OPENED, now_ms, self.accounts[order.uid], order)
            self.match(order, now_ms)

    def amend(self, account: Account, order: Order, wish: Amendment, now_ms: int) -> None:
        """Change the total quantity or the price of an open order; it matches again at once."""
        market = self.market_of(order)
        qty = order.qty if wish.qty is None else wish.qty
        price = order.price
        if wish.price is not None:
            price = within_limits(self, account, market, order.side, wish.price)
        if qty == order.qty and price == order.price:
            raise ApiRefusal(10001, "The order remains unchanged: qty and price match the existing ones")
        if qty <= order.cum_qty:
            raise refusal("below_filled", order.category, "qty must be above the filled quantity")
        if order.reduces:
            leg = account.position(order.symbol, order.position_idx)
            if qty - order.cum_qty > leg.reducible_by(order.side):
                raise ApiRefusal(110017, "qty is above the position that the reduce-only order closes")
        else:
            check_notional(market.instrument, qty * price)
        per_unit = order.reserve_per_unit
        if order.category == LINEAR:
            per_unit *= price / order.price
        elif order.side == "Buy":
            per_unit = price
        coin = self.reserve_coin(order)
        needed = (qty - order.cum_qty) * per_unit - order.reserved
        if needed > 0 and needed > self.free(account, coin):
            raise refusal(
                "balance", order.category, "available balance is not enough for the new qty or price"
            )
        order.qty, order.price, order.reserve_per_unit = qty, price, per_unit
        order.updated_ms = now_ms
        account.reserve(order, coin)
        market.resting.pop(order.order_id, None)
        self.emit(ORDER_AMENDED, now_ms, account, order)
        self.match(order, now_ms)

    def cancel(self, order: Order, now_ms: int) -> None:
        """Cancel an open order at its owner's wish."""
        self.close(order, now_ms, reason="EC_PerCancelRequest", cancel_type="CancelByUser")

    def set_leverage(self, account: Account, symbol: str, leverage: Decimal, now_ms: int) -> None:
        before = account.leverage_for(symbol)
        if leverage == before:
            raise ApiRefusal(110043, "leverage not modified")
        self.value(account)
        legs = [leg for leg in account.positions.values() if leg.symbol == symbol]
        orders = [o for o in account.open_orders[LINEAR].values() if o.symbol == symbol]
        held = sum((leg.margin for leg in legs), ZERO) + sum((order.reserved for order in orders), ZERO)
        if held * before / leverage - held > max(account.available, ZERO):
            raise ApiRefusal(110012, "Insufficient available balance for buyLeverage and sellLeverage")
        account.leverages[symbol] = leverage
        for leg in legs:
            account.refresh(leg, self.markets[LINEAR, symbol].price(self.tick))
        for order in orders:
            order.reserve_per_unit *= before / leverage
            account.reserve(order, None)
        self.emit(ACCOUNT, now_ms, account)

    def switch_mode(self, account: Account, symbol: str | None, mode: int, now_ms: int) -> None:
        """Switch one symbol, or the whole coin, between one-way and hedge.

        A coin-wide switch passes over symbols with positions or orders, as the exchange does.
        """
        busy = {leg.symbol for leg in account.positions.values() if leg.size}
        ordered = {order.symbol for order in account.open_orders[LINEAR].values()}
        if symbol is not None:
            if account.mode_for(symbol) == mode:
                raise ApiRefusal(110025, "Position mode is not modified")
            if symbol in busy:
                raise ApiRefusal(110024, "You have an existing position, so position mode cannot be switched")
            if symbol in ordered:
                raise ApiRefusal(110028, "You have existing open orders, so position mode cannot be switched")
            account.modes[symbol] = mode
        else:
            kept = {name: account.mode_for(name) for name in busy | ordered}
            if account.default_mode == mode and all(m == mode for m in account.modes.values()):
                raise ApiRefusal(110025, "Position mode is not modified")
            account.default_mode = mode
            account.modes = kept
        self.emit(ACCOUNT, now_ms, account)

    def _new_order_id(self, category: str, now_ms: int) -> str:
        if category == SPOT:  # decimal digits there, UUIDs here
            return f"{now_ms}{next(self._spot_ids) % 1_000_000:06d}"
        return str(uuid.uuid4())
