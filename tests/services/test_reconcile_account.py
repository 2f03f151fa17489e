"""What is not one symbol's: symbols in use and the balance."""

from decimal import Decimal as D

from order_manager.database.updates import UpdateStore
from order_manager.errors import Unavailable
from order_manager.services.reconcile_account import reconcile_account


def compared(room):
    return reconcile_account(
        looks=room.ledger.inbox,
        balances=UpdateStore(room.ledger.engine),
        exchange=room.exchange,
        open_symbol=lambda symbol: None,
        now=room.clock,
    )


def balance(room):
    return room.ledger.row("SELECT available_balance, balance_at FROM account_state")


def test_the_balance_is_what_the_exchange_says(room):
    assert compared(room) == {"discovered": [], "balance_known": None, "balance_shown": "100000"}
    room.clock.advance(60)
    room.exchange.balance = D("75000.5")
    assert compared(room) == {"discovered": [], "balance_known": "100000", "balance_shown": "75000.5"}
    assert balance(room) == {"available_balance": D("75000.5"), "balance_at": room.clock()}


def test_an_exchange_that_is_away_changes_nothing(room):
    compared(room)
    before = balance(room)
    for method in ("symbols_in_use", "available_balance"):
        room.exchange.trouble(method, Unavailable("away"))
        assert compared(room) == {"error": "away"}
    assert balance(room) == before
