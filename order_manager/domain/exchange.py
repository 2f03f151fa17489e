"""What the exchange hands back besides order reports: acceptances, evidence, executions."""

from dataclasses import dataclass
from datetime import datetime

from order_manager.domain.orders import Category, OrderReport
from order_manager.domain.positions import Fill


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
