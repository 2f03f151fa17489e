"""What the services need from the outside, as shapes; adapters fit without inheriting."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from order_manager.domain.exchange import Acceptance, Evidence, Execution
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import OrderReport, OrderRequest
from order_manager.domain.state import Market

__all__ = ["Acceptance", "Evidence", "Exchange", "Execution"]


class Exchange(Protocol):
    """Bybit, as we see it.

    Every method raises the ExchangeError family. place, cancel and amend retry by themselves only what
    was certainly not applied (RateLimited, Unavailable) and raise OutcomeUnknown at once otherwise;
    reads retry whatever is Retryable.
    """

    def instrument(self, symbol: str) -> Instrument | None: ...

    def instruments(self) -> Sequence[Instrument]: ...

    def market(self, symbol: str) -> Market: ...

    def place_order(self, request: OrderRequest) -> Acceptance: ...

    def cancel_order(self, symbol: str, client_order_id: str) -> None: ...

    def amend_order(
        self, symbol: str, client_order_id: str, *, quantity: Decimal | None, price: Decimal | None
    ) -> None: ...

    def evidence(self, symbol: str, client_order_id: str) -> Evidence: ...

    def open_orders(self, symbol: str) -> Sequence[OrderReport]: ...

    def executions(self, symbol: str, client_order_id: str) -> Sequence[Execution]: ...

    def available_balance(self) -> Decimal: ...
