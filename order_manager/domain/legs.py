"""Legs: whether a trade opens or reduces, on which leg, and how much there is to reduce."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from order_manager.domain.orders import ZERO, Category, Order, Side
from order_manager.domain.positions import Position, PositionMode

LONG, SHORT = 1, 2  # Bybit positionIdx in hedge mode; 0 is one-way


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a trade of `side` does to the position.

    On spot `reduce_only` says the same (sell no more than is held), though the wire has no such flag and
    drops it.
    """

    side: Side
    reduce_only: bool
    position_idx: int
    held: Decimal = ZERO  # base, what the leg to be reduced holds
    claimed: Decimal = ZERO  # base, what our surviving reduce-only orders will take of it

    @property
    def reducible(self) -> Decimal:
        """Base quantity that may still be reduced; zero or more."""
        return max(self.held - self.claimed, ZERO)

    @property
    def opens_short(self) -> bool:
        return self.side is Side.SELL and not self.reduce_only


def intent_for(side: Side, position: Position, keep: Iterable[Order]) -> Intent:
    """Reduce what is held on the other side first; open only where nothing is held there.

    So no order turns a position through zero, and in hedge mode with both legs held a sell reduces the
    long and a buy the short.
    """
    hedge = position.mode is PositionMode.HEDGE
    held = position.long_size if side is Side.SELL else position.short_size
    if held <= 0:
        opening = LONG if side is Side.BUY else SHORT
        return Intent(side=side, reduce_only=False, position_idx=opening if hedge else 0)
    reducing = LONG if side is Side.SELL else SHORT
    claimed = sum(
        (
            order.remaining_quantity
            for order in keep
            if order.request.reduce_only and order.request.side is side and not order.is_external
        ),
        ZERO,
    )
    return Intent(
        side=side,
        reduce_only=True,
        position_idx=reducing if hedge else 0,
        held=held,
        claimed=claimed,
    )


def may_open(intent: Intent, category: Category, *, allow_short: bool) -> bool:
    """False for a short that is not allowed; spot never allows one."""
    return not intent.opens_short or (allow_short and category is not Category.SPOT)
