"""Reconcile the account: compare what is not one symbol's with the exchange: symbols in use, the balance."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import structlog

from order_manager.domain.events import text
from order_manager.errors import ExchangeError
from order_manager.services.discover_symbols import LookStore, discover_symbols
from order_manager.services.ports import Exchange

log = structlog.get_logger(__name__)

TELLING = Decimal("0.01")  # of the balance: prices move it by less than that between two looks


class BalanceStore(Protocol):
    def available_balance(self) -> Decimal | None: ...

    def save_balance(self, available: Decimal, *, asked_at: datetime) -> None: ...


def reconcile_account(
    *,
    looks: LookStore,
    balances: BalanceStore,
    exchange: Exchange,
    open_symbol: Callable[[str], object],
    now: Callable[[], datetime],
) -> dict[str, Any]:
    """Returns what was found; an exchange that is away changes nothing, and the next round asks again."""
    try:
        discovered = discover_symbols(store=looks, exchange=exchange, open_symbol=open_symbol, now=now)
        balance = compare_balance(store=balances, exchange=exchange, now=now)
    except ExchangeError as error:
        log.warning("account_not_compared", error=error.message)
        return {"error": error.message}
    return {"discovered": discovered, **balance}


def compare_balance(
    *, store: BalanceStore, exchange: Exchange, now: Callable[[], datetime]
) -> dict[str, str | None]:
    """Store what the exchange says that new orders may spend; returns that, and what we took it for."""
    asked_at, known = now(), store.available_balance()
    shown = exchange.available_balance()
    store.save_balance(shown, asked_at=asked_at)
    if known is not None and abs(known - shown) > abs(shown) * TELLING:
        log.info("balance_corrected", known=text(known), shown=text(shown))
    return {"balance_known": text(known), "balance_shown": text(shown)}
