"""What an operator looks at first: the account, and the orders that wait for an answer of the exchange."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, text

from order_manager.database.locks import BEAT_LOCK
from order_manager.database.rows import plain
from order_manager.domain.state import TradingMode

_ACCOUNT = text("SELECT mode, available_balance, reserved, balance_at FROM account_state WHERE id = 1")
_IN_FLIGHT = text("""
    SELECT client_order_id, signal_id, symbol, side, quantity, price, created_at,
        CASE WHEN exchange_order_id IS NULL THEN 'create' WHEN cancel_requested_at IS NOT NULL THEN 'cancel'
            ELSE 'amend' END AS request,
        CASE WHEN exchange_order_id IS NULL THEN intended_at WHEN cancel_requested_at IS NOT NULL
            THEN cancel_requested_at ELSE updated_at END AS requested_at
    FROM orders
    WHERE status IN ('pending', 'partially_filled')
        AND (exchange_order_id IS NULL OR cancel_requested_at IS NOT NULL OR amend_quantity IS NOT NULL)
    ORDER BY created_at, id LIMIT :limit
""")
_BEATS = text("""
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND CAST(classid AS bigint) = :beat
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account as decisions see it."""

    mode: TradingMode
    available_balance: Decimal | None  # quote, as the exchange said at balance_at
    reserved: Decimal  # quote, planned since then
    balance_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """An open order whose last request has no answer yet."""

    client_order_id: str
    signal_id: str | None
    symbol: str
    side: str
    quantity: Decimal  # base
    price: Decimal | None
    created_at: datetime
    request: str  # create, cancel or amend
    requested_at: datetime | None  # None: not sent yet


def read_account(engine: Engine) -> Account:
    with engine.connect() as connection:
        row = connection.execute(_ACCOUNT).mappings().one()
    return Account(
        mode=TradingMode(row["mode"]),
        available_balance=plain(row["available_balance"]),
        reserved=plain(row["reserved"]) or Decimal(0),
        balance_at=row["balance_at"],
    )


def list_in_flight(engine: Engine, *, limit: int) -> list[InFlight]:
    """Oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(_IN_FLIGHT, {"limit": limit}).mappings()
        return [
            InFlight(**{**row, "quantity": plain(row["quantity"]), "price": plain(row["price"])})
            for row in rows
        ]


def beat_leads(engine: Engine) -> bool:
    """Whether some beat holds the lock under which the schedule is sent."""
    with engine.connect() as connection:
        return bool(connection.execute(_BEATS, {"beat": BEAT_LOCK}).scalar_one())
