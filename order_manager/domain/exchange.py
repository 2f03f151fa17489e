"""What the exchange hands back besides order reports: acceptances, evidence, executions, positions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from order_manager.domain.orders import Category, OrderReport
from order_manager.domain.positions import Fill

# Executions that fill an order (docs/v5/enum, execType); Funding, Settle and the like only book money.
TRADES = frozenset({"Trade", "AdlTrade", "BustTrade", "BlockTrade", "FutureSpread"})

OVERLAP = timedelta(seconds=60)  # what came just before is asked for again: clocks differ, lists lag


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The exchange took an order for processing (an acknowledgement, not a status)."""

    exchange_order_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the exchange shows of one order of ours.

    `report` is None when every rung of the ladder answered, successfully, that it has no such order;
    `asked_at` is when the first of those questions was sent: absence proves something only about
    requests that could no longer arrive by then.
    """

    report: OrderReport | None
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill as the exchange books it."""

    exec_id: str
    exchange_order_id: str
    client_order_id: str
    symbol: str
    category: Category
    fill: Fill
    fee_currency: str
    is_maker: bool
    exec_type: str
    executed_at: datetime

    @property
    def is_trade(self) -> bool:
        """Whether it fills an order."""
        return self.exec_type in TRADES


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """One leg of a position as the exchange shows it."""

    symbol: str
    category: Category
    position_idx: int
    size: Decimal  # base, negative: short
    average_price: Decimal | None
    mark_price: Decimal | None


Update = OrderReport | Execution | PositionReport
