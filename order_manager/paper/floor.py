"""The trading floor: matching, fills, and what they do to positions and wallets.

No I/O; time comes in as an argument. Every change is reported to `listeners` at once, in order: the
ledger, the journal and any stream hang there. Listeners must take what they need before they return,
since the subjects change in place.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from order_manager.paper.accounts import MARGIN_COIN, Account, Position
from order_manager.paper.instruments import LINEAR, SPOT, Instrument
from order_manager.paper.markets import Level, Market, walk, walk_quote
from order_manager.paper.numbers import ZERO, floor_to_step
from order_manager.paper.orders import Fill, Order
from order_manager.paper.prices import draw
from order_manager.paper.tapes import Tape

_LOWEST_PERCENT, _PERCENT_RANGE = 30, 41  # a seeded partial fill takes 30 to 70 % of what is open

# (maker, taker)
FEE_RATES: dict[str, tuple[Decimal, Decimal]] = {
    LINEAR: (Decimal("0.0002"), Decimal("0.00055")),
    SPOT: (Decimal("0.001"), Decimal("0.001")),
}

ORDER_CREATED, ORDER_OPENED, ORDER_AMENDED = "order_created", "order_opened", "order_amended"
ORDER_CANCELLED, FILL, POSITION, WALLET = "order_cancelled", "fill", "position", "wallet"
ACCOUNT = "account"  # modes, leverages or settings
CANCEL_TOO_LATE = "cancel_too_late"  # a cancel met an order that had just filled


class Change(NamedTuple):
    """One thing that happened: which account, and its order, fill, position or coin name."""

    kind: str
    time_ms: int
    account: Account
    order: Order | None = None
    fill: Fill | None = None
    position: Position | None = None
    coin: str = ""


Listener = Callable[[Change], None]


class Floor:
    """All markets and accounts, and the matching. Single-threaded: use it from one event loop."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        seed: int,
        partial_fill_chance: float,
        tapes: Mapping[str, Tape] | None = None,
    ) -> None:
        self.seed = seed
        self._tapes = tapes or {}
        self.tick = 0
        self.price_version = 0  # grows when a price is set by hand
        self.markets: dict[tuple[str, str], Market] = {}
        for instrument in instruments:
            self.list_instrument(instrument)
        self.accounts: dict[int, Account] = {}
        self.listeners: list[Listener] = []
        self.order_count = 0
        self.seq = 0
        self.fill_count = 0
        self._partial_ppm = round(partial_fill_chance * 1_000_000)

    def list_instrument(self, instrument: Instrument) -> Market:
        """Open a market for `instrument`, or replace the rules of one already open."""
        key = instrument.category, instrument.symbol
        market = self.markets.get(key)
        if market is None:
            market = self.markets[key] = Market(
                instrument, seed=self.seed, tape=self._tapes.get(instrument.symbol)
            )
        market.instrument = instrument
        return market

    def market_of(self, order: Order) -> Market:
        return self.markets[order.category, order.symbol]

    def emit(
        self,
        kind: str,
        now_ms: int,
        account: Account,
        order: Order | None = None,
        fill: Fill | None = None,
        position: Position | None = None,
        coin: str = "",
    ) -> None:
        change = Change(kind, now_ms, account, order, fill, position, coin)
        for listener in self.listeners:
            listener(change)

    # -- margin

    def value(self, account: Account) -> None:
        """Bring unrealised PnL and margin up to the prices of now."""
        now = self.tick, self.price_version
        if account.valued_at != now:
            account.valued_at = now
            for leg in account.positions.values():
                if leg.size or leg.margin:
                    account.refresh(leg, self.markets[LINEAR, leg.symbol].price(self.tick))

    def free(self, account: Account, coin: str | None) -> Decimal:
        """What new orders may reserve of `coin`, or of margin when it is None, at the prices of now."""
        self.value(account)
        if coin is None:
            return account.available
        unlocked = account.coins[coin].balance - account.coins[coin].locked
        return min(unlocked, account.available) if coin == MARGIN_COIN else unlocked

    def reserve_coin(self, order: Order) -> str | None:
        """The coin that an open order locks; None for margin."""
        if order.category != SPOT:
            return None
        instrument = self.market_of(order).instrument
        return instrument.quote_coin if order.side == "Buy" else instrument.base_coin

    # -- prices

    def advance(self, tick: int, now_ms: int) -> None:
        """Move every price path to `tick` and fill the resting orders that prices crossed."""
        before, self.tick = self.tick, tick
        for market in list(self.markets.values()):
            if market.resting:
                low, high = market.extremes(before, tick)
                self._match_crossed(market, now_ms, low=low, high=high)

    def set_price(
        self, market: Market, price: Decimal, now_ms: int, *, pin: bool, fill_ratio: Decimal | None = None
    ) -> None:
        """Set the price now. Crossed orders fill whole, or by `fill_ratio` of what is open."""
        self.price_version += 1
        market.set_price(price, self.tick, pin=pin)
        self.match_resting(market, now_ms, fill_ratio=fill_ratio or Decimal(1))

    def match_resting(self, market: Market, now_ms: int, *, fill_ratio: Decimal | None = None) -> None:
        """Fill resting orders, as makers at their own price, that the market's price has crossed.

        Without `fill_ratio` some orders, chosen by the seed, fill only partly.
        """
        price = market.price(self.tick)
        self._match_crossed(market, now_ms, low=price, high=price, fill_ratio=fill_ratio)

    def _match_crossed(
        self, market: Market, now_ms: int, *, low: Decimal, high: Decimal, fill_ratio: Decimal | None = None
    ) -> None:
        """Fill what a price that went as far as `low` and `high` has crossed."""
        if market.instrument.status != "Trading":
            return
        ask, bid = low + market.instrument.tick_size, high - market.instrument.tick_size
        crossed = [
            o for o in market.resting.values() if (o.price >= ask if o.side == "Buy" else o.price <= bid)
        ]
        lot = market.instrument.lot_size
        for order in crossed:
            if not order.is_open:  # an earlier fill of this sweep took its position away
                continue
            ratio = self._seeded_ratio(order) if fill_ratio is None else fill_ratio
            qty = order.leaves_qty
            if ratio < 1:
                qty = min(qty, max(floor_to_step(qty * ratio, lot), lot))
            self.seq += 1
            self._fill(market, order, Level(order.price, qty), now_ms, is_maker=True)

    def _seeded_ratio(self, order: Order) -> Decimal:
        roll = draw(self.seed, "partial", order.number, self.tick)
        if roll >= self._partial_ppm:
            return Decimal(1)
        return Decimal(_LOWEST_PERCENT + roll % _PERCENT_RANGE) / 100

    # -- matching

    def match(self, order: Order, now_ms: int) -> None:
        """Match an order on arrival or after an amend; then rest, finish or cancel what is left."""
        market = self.market_of(order)
        levels = self._reachable(market, order)
        if levels and order.time_in_force == "PostOnly":
            self.close(order, now_ms, reason="EC_PostOnlyWillTakeLiquidity")
            return
        if order.time_in_force == "FOK" and sum(level.qty for level in levels) < order.leaves_qty:
            self.close(order, now_ms, reason="EC_NoEnoughQtyToFill")
            return
        if levels:
            self.seq += 1  # fills concluded together share it
        for level in levels:
            if order.is_open:
                self._fill(market, order, level, now_ms, is_maker=False)
        if not order.is_open:
            return
        if order.time_in_force == "IOC":
            # A market buy by value that spent what it could still ends so, with a few units unspent.
            self.close(order, now_ms, reason="EC_NoError" if order.cum_qty else "EC_NoImmediateQtyToFill")
        else:
            market.resting[order.order_id] = order

    def _reachable(self, market: Market, order: Order) -> list[Level]:
        levels = market.book_side(order.side, self.tick)
        if order.in_quote:
            return walk_quote(
                levels, limit=order.price, budget=order.leaves_qty, lot=market.instrument.lot_size
            )
        return walk(levels, order.side, limit=order.price, qty=order.leaves_qty)

    def close(self, order: Order, now_ms: int, *, reason: str, cancel_type: str = "UNKNOWN") -> None:
        """End an open order with quantity left."""
        partly = order.category == SPOT and order.cum_qty > 0
        order.status = "PartiallyFilledCanceled" if partly else "Cancelled"
        order.cancel_type, order.reject_reason, order.updated_ms = cancel_type, reason, now_ms
        self._retire(order)
        self.emit(ORDER_CANCELLED, now_ms, self.accounts[order.uid], order)

    def fill_before_cancel(self, order: Order, now_ms: int) -> None:
        """Fill what is open of `order`, as a maker at its price, and tell of the late cancel."""
        market = self.market_of(order)
        if order.is_open:
            self.seq += 1
            self._fill(market, order, Level(order.price, order.leaves_qty), now_ms, is_maker=True)
        self.emit(CANCEL_TOO_LATE, now_ms, self.accounts[order.uid], order)

    def _retire(self, order: Order) -> None:
        account = self.accounts[order.uid]
        account.retire(order)
        account.reserve(order, self.reserve_coin(order))
        self.market_of(order).resting.pop(order.order_id, None)

    def _fill(self, market: Market, order: Order, level: Level, now_ms: int, *, is_maker: bool) -> None:
        """Book one execution.

        A reduce-only order is never larger than its leg here: it is capped on entry, and cancelled by
        `_trim_reducing` as soon as the leg is smaller.
        """
        account = self.accounts[order.uid]
        price, qty = level
        leg = account.position(order.symbol, order.position_idx) if order.category == LINEAR else None
        value = price * qty
        maker_rate, taker_rate = FEE_RATES[order.category]
        rate = maker_rate if is_maker else taker_rate
        if leg is not None:
            coin, fee = MARGIN_COIN, value * rate
            closed, pnl, open_fee = self._move_position(account, leg, order.side, level, fee, now_ms)
            account.coins[MARGIN_COIN].balance += pnl - fee
            coins: tuple[str, ...] = (MARGIN_COIN,)
        else:
            closed = pnl = open_fee = ZERO
            coins = market.instrument.base_coin, market.instrument.quote_coin
            coin, fee = (coins[0], qty * rate) if order.side == "Buy" else (coins[1], value * rate)
            sign = 1 if order.side == "Buy" else -1
            account.coins[coins[0]].balance += sign * qty
            account.coins[coins[1]].balance -= sign * value
            account.coins[coin].balance -= fee
        order.cum_qty += qty
        order.cum_value += value
        order.fees[coin] = order.fees.get(coin, ZERO) + fee
        order.updated_ms = now_ms
        order.status = "PartiallyFilled" if order.leaves_qty else "Filled"
        if order.status == "Filled":
            self._retire(order)
        else:
            account.reserve(order, self.reserve_coin(order))
        self.fill_count += 1
        fill = Fill(
            uid=order.uid,
            number=self.fill_count,
            order_id=order.order_id,
            exec_id=str(uuid.uuid4()),
            seq=self.seq,
            time_ms=now_ms,
            price=price,
            qty=qty,
            value=value,
            fee=fee,
            fee_rate=rate,
            fee_coin=coin,
            is_maker=is_maker,
            leaves_qty=ZERO if order.in_quote else order.leaves_qty,
            closed_qty=closed,
            pnl=pnl,
            mark_price=market.price(self.tick),
            open_fee=open_fee,
        )
        order.fills.append(fill)
        account.fills.append(fill)
        self.emit(FILL, now_ms, account, order, fill)
        if leg is not None:
            self.emit(POSITION, now_ms, account, position=leg)
        for name in coins:
            self.emit(WALLET, now_ms, account, coin=name)
        if closed and leg is not None:
            self._trim_reducing(account, leg, now_ms)

    def _move_position(
        self, account: Account, leg: Position, side: str, level: Level, fee: Decimal, now_ms: int
    ) -> tuple[Decimal, Decimal, Decimal]:
        """Book a fill on its leg; returns the closed quantity, its gross PnL and its opening fees."""
        before = leg.size
        closed, pnl = leg.apply(side, level.qty, level.price)
        open_fee = ZERO
        if closed:
            open_fee = leg.open_fees if closed == abs(before) else leg.open_fees * closed / abs(before)
            leg.open_fees += fee * (level.qty - closed) / level.qty - open_fee
        else:
            leg.open_fees += fee
        if before * leg.size <= 0 and leg.size:  # opened, or turned around
            leg.opened_ms, leg.session_pnl = now_ms, ZERO
        leg.session_pnl += pnl - fee
        leg.fees += fee
        leg.created_ms = leg.created_ms or now_ms
        leg.updated_ms, leg.seq = now_ms, self.seq
        account.refresh(leg, self.markets[LINEAR, leg.symbol].price(self.tick))
        return closed, pnl, open_fee

    def _trim_reducing(self, account: Account, leg: Position, now_ms: int) -> None:
        """Cancel reduce-only orders that no longer fit what is left of their leg."""
        for order in list(account.reducing.values()):
            is_of_leg = order.symbol == leg.symbol and order.position_idx == leg.idx
            if is_of_leg and order.leaves_qty > leg.reducible_by(order.side):
                self.close(order, now_ms, reason="EC_NoError", cancel_type="CancelByReduceOnly")
