"""What hears the exchange and what asks it, put together with the tasks that they send."""

from collections.abc import Callable, Mapping
from functools import partial

from order_manager.bybit import wire, wire_account
from order_manager.bybit.client import BALANCE_COIN, balance_rule
from order_manager.domain.exchange import Update
from order_manager.domain.orders import Category
from order_manager.services.receive_updates import DeadLetters, Row, UpdateReceiver
from order_manager.services.sync_orders import Syncing
from order_manager.tasks.sending import send_discover_symbols, send_open_symbol, wake
from order_manager.wiring import Runtime, runtime


def update_receiver(
    rt: Runtime,
    *,
    dead_letters: DeadLetters | None = None,
    readers: Mapping[str, Callable[[Row], Update]] | None = None,
) -> UpdateReceiver:
    """For the process that hears the exchange; safe for several threads. It reads Bybit's own objects."""
    category = Category(rt.settings.bybit_category)
    return UpdateReceiver(
        store=rt.updates,
        dead_letters=dead_letters or rt.inbox,
        readers=readers
        or {
            "order": partial(wire.order_report, category=category),
            "execution": partial(wire.execution, category=category),
            "position": partial(wire_account.position_report, category=category),
        },
        read_balance=partial(wire_account.available_balance, rule=balance_rule(category), coin=BALANCE_COIN),
        category=category.value,
        wake=wake,
        open_symbol=send_open_symbol,
        reconcile=send_discover_symbols,
    )


def build_syncing(rt: Runtime) -> Syncing:
    return Syncing(
        runs=rt.sync_runs, lanes=rt.updates, symbols=rt.inbox, wake=wake, discover=send_discover_symbols
    )


def request_reconciliation(*, validate: bool = False) -> list[str]:
    """Have every lane compared with the exchange; a dry run has nothing there."""
    rt = runtime()
    if rt.desk.rules.is_dry_run:
        return []
    symbols = rt.updates.request_reconciliation(validate=validate)
    for symbol in symbols:
        wake(symbol)
    return symbols
