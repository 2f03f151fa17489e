"""Accounts: wallet, positions, modes and the margin arithmetic.

Cross margin in USDT: equity = wallet balance + unrealised PnL; available = equity - initial margin of
positions (entry value / leverage) and orders - coins locked by spot orders. Other coins count towards
total equity but not as collateral. There is no liquidation: equity may become negative.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from order_manager.paper.instruments import CATEGORIES, SPOT
from order_manager.paper.numbers import ZERO
from order_manager.paper.orders import Fill, Order

ONE_WAY = 0
HEDGE = 3
RECENT_CLOSED = 500  # closed orders the realtime query still knows, per account and category
MARGIN_COIN = "USDT"
DEFAULT_LEVERAGE = Decimal(10)


@dataclass(slots=True)
class Coin:
    balance: Decimal = ZERO
    locked: Decimal = ZERO  # by open spot orders


class Transfer(NamedTuple):
    """Money that came or went without a trade; negative when it went."""

    time_ms: int
    coin: str
    change: Decimal


@dataclass(slots=True, kw_only=True)
class Position:
    """One leg. `size` is signed base quantity, `cost` the positive entry value in quote."""

    uid: int
    symbol: str
    idx: int
    size: Decimal = ZERO
    cost: Decimal = ZERO
    realised_pnl: Decimal = ZERO  # gross of fees, all time
    fees: Decimal = ZERO  # all time
    session_pnl: Decimal = ZERO  # net of fees, since the leg was last opened
    created_ms: int = 0
    updated_ms: int = 0
    opened_ms: int = 0
    seq: int = -1
    open_fees: Decimal = ZERO  # paid for opening what is held
    margin: Decimal = ZERO  # initial margin held
    unrealised: Decimal = ZERO  # as of the account's last valuation

    @property
    def side(self) -> str:
        return "Buy" if self.size > 0 else "Sell" if self.size < 0 else ""

    @property
    def avg_price(self) -> Decimal:
        return self.cost / abs(self.size) if self.size else ZERO

    def unrealised_at(self, mark: Decimal) -> Decimal:
        value = abs(self.size) * mark
        return value - self.cost if self.size > 0 else self.cost - value

    def reducible_by(self, side: str) -> Decimal:
        """How much of the leg an order of `side` would close at most."""
        return max(ZERO, -self.size if side == "Buy" else self.size)

    def apply(self, side: str, qty: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
        """Book a fill; returns the closed quantity and the PnL realised on it, gross of fees."""
        closed = min(qty, self.reducible_by(side))
        pnl = ZERO
        if closed:
            # The last lot takes all the remaining cost, so that rounding never leaves a residue.
            cost = self.cost if closed == abs(self.size) else self.cost * closed / abs(self.size)
            pnl = closed * price - cost if side == "Sell" else cost - closed * price
            self.cost -= cost
        self.size += qty if side == "Buy" else -qty
        self.cost += (qty - closed) * price
        self.realised_pnl += pnl
        return closed, pnl


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """Everything one API key owns."""

    uid: int
    api_key: str
    api_secret: str
    created_ms: int
    default_mode: int = ONE_WAY
    modes: dict[str, int] = field(default_factory=dict)  # symbol: mode, where it differs
    leverages: dict[str, Decimal] = field(default_factory=dict)
    moves_spot_price: bool = False  # a limit price beyond the price limit is moved to it; else refused
    moves_linear_price: bool = True
    transfers: list[Transfer] = field(default_factory=list)
    coins: defaultdict[str, Coin] = field(default_factory=lambda: defaultdict(Coin))
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)  # in creation order
    by_id: dict[str, Order] = field(default_factory=dict)
    by_link: dict[str, Order] = field(default_factory=dict)  # for ever: link ids are never free again
    open_orders: dict[str, dict[str, Order]] = field(default_factory=lambda: {c: {} for c in CATEGORIES})
    open_count: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    reducing: dict[str, Order] = field(default_factory=dict)  # open orders that may only reduce
    fills: list[Fill] = field(default_factory=list)
    closed_count: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0))
    wiped_rank: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0))
    order_margin: Decimal = ZERO
    position_margin: Decimal = ZERO
    unrealised: Decimal = ZERO
    valued_at: tuple[int, int] = (-1, -1)  # (tick, price version) of `unrealised`

    def mode_for(self, symbol: str) -> int:
        return self.modes.get(symbol, self.default_mode)

    def leverage_for(self, symbol: str) -> Decimal:
        return self.leverages.get(symbol, DEFAULT_LEVERAGE)

    def moves_price(self, category: str) -> bool:
        return self.moves_spot_price if category == SPOT else self.moves_linear_price

    def transfer(self, coin: str, change: Decimal, now_ms: int) -> None:
        """Add to a coin's balance, or take away, from outside."""
        self.coins[coin].balance += change
        self.transfers.append(Transfer(now_ms, coin, change))

    def position(self, symbol: str, idx: int) -> Position:
        leg = self.positions.get((symbol, idx))
        if leg is None:
            leg = self.positions[symbol, idx] = Position(uid=self.uid, symbol=symbol, idx=idx)
        return leg

    @property
    def available(self) -> Decimal:
        """Margin coin free for new orders, as of the last valuation."""
        coin = self.coins[MARGIN_COIN]
        return coin.balance + self.unrealised - self.position_margin - self.order_margin - coin.locked

    def refresh(self, leg: Position, mark: Decimal) -> None:
        """Bring margin and unrealised PnL of one leg, and the sums over all legs, up to date."""
        margin = leg.cost / self.leverage_for(leg.symbol)
        unrealised = leg.unrealised_at(mark)
        self.position_margin += margin - leg.margin
        self.unrealised += unrealised - leg.unrealised
        leg.margin, leg.unrealised = margin, unrealised

    def reserve(self, order: Order, coin: str | None) -> None:
        """Hold what the open part of `order` needs: of `coin` for spot, of margin when `coin` is None."""
        amount = order.leaves_qty * order.reserve_per_unit
        change = amount - order.reserved
        order.reserved = amount
        if coin is None:
            self.order_margin += change
        else:
            self.coins[coin].locked += change

    def register(self, order: Order) -> None:
        """Put a new or restored order into the indexes."""
        self.orders.append(order)
        self.by_id[order.order_id] = order
        if order.link_id:
            self.by_link[order.link_id] = order
        if order.is_open:
            self.open_orders[order.category][order.order_id] = order
            self.open_count[order.category, order.symbol] += 1
            if order.reduces:
                self.reducing[order.order_id] = order

    def retire(self, order: Order) -> None:
        """Take a closed order out of the indexes of open ones."""
        del self.open_orders[order.category][order.order_id]
        self.open_count[order.category, order.symbol] -= 1
        self.reducing.pop(order.order_id, None)
        self.closed_count[order.category] += 1
        order.closed_rank = self.closed_count[order.category]

    def is_recently_closed(self, order: Order) -> bool:
        """Whether the realtime query still serves this closed order."""
        floor = max(self.closed_count[order.category] - RECENT_CLOSED, self.wiped_rank[order.category])
        return order.closed_rank > floor

    def wipe_recently_closed(self) -> None:
        """What a release of the exchange's service does to the closed orders in the realtime query."""
        self.wiped_rank = dict(self.closed_count)
