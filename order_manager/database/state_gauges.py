"""State gauges: what is true in the database when somebody looks, rather than counted as it happens.

The web process reads them when it is scraped; `database.state_metrics` has the queries. Quote currency is a
float here: these numbers are looked at, nothing is computed with them.
"""

from dataclasses import dataclass

from order_manager.metrics import described

SYMBOL = "a symbol that has a lane"
SYMBOL_OR_NONE = f"{SYMBOL}; empty: all without one together"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateGauge:
    """A gauge with its labels; docs/metrics.md lists it."""

    name: str
    text: str
    labels: tuple[str, ...]


def _state(name: str, text: str, **labels: str) -> StateGauge:
    name = described(name, "gauge", "web, from the database", text, labels)
    return StateGauge(name=name, text=text, labels=tuple(labels))


DEPENDENCY_UP = _state(
    "dependency_up",
    "1 where it answers; what is not configured is left out",
    dependency="database, rabbitmq, redis, bybit_api, ws_gateway",
)
STATE_SECONDS = _state("state_read_seconds", "How long it took to read the state from the database")
STATE_UP = _state("state_up", "1 when the state could be read from the database; else the rest is missing")
WAITING = _state(
    "lane_waiting_signals",
    "Signals that have not ended, counted up to 1000",
    symbol=SYMBOL_OR_NONE,
)
WAITING_AGE = _state(
    "lane_oldest_waiting_age_seconds",
    "Age of the oldest signal that has not ended, 0 for none",
    symbol=SYMBOL_OR_NONE,
)
BLOCKED_AGE = _state(
    "lane_blocked_age_seconds", "How long the lane has waited for the exchange, 0: it does not", symbol=SYMBOL
)
LEASED = _state("lane_leased", "1 where a worker consumes the symbol's queue", symbol=SYMBOL)
RECONCILED_AGE = _state(
    "lane_reconciled_age_seconds", "Age of the last complete comparison with the exchange", symbol=SYMBOL
)
RECONCILE_REQUEST_AGE = _state(
    "lane_reconcile_request_age_seconds",
    "How long a comparison has been asked for without being complete, 0: none is asked for",
    symbol=SYMBOL,
)
WORKERS = _state("symbol_workers", "Symbol workers with a session in the database", bound="true, false")
OPEN_ORDERS = _state("open_orders", "Orders that are open", symbol=SYMBOL, status="pending, partially_filled")
OPEN_ORDER_AGE = _state("open_order_age_seconds", "Age of the oldest open order, 0 for none", symbol=SYMBOL)
UNSETTLED = _state(
    "unsettled_orders",
    "Open orders whose last request has no answer yet, counted by it",
    symbol=SYMBOL,
    request="create, cancel, amend",
)
UNSETTLED_AGE = _state(
    "unsettled_order_age_seconds", "Age of the oldest request without an answer, 0 for none", symbol=SYMBOL
)
OUTBOX = _state("outbox_events", "Events that are not published yet, counted up to 1000 per symbol")
OUTBOX_AGE = _state("outbox_oldest_age_seconds", "Age of the oldest of them, 0 for none")
DEAD_LETTERS = _state("dead_letters", "Dead letters, counted up to 10000", state="new, replayed, discarded")
DEAD_LETTER_AGE = _state("dead_letter_oldest_age_seconds", "Age of the oldest new dead letter, 0 for none")
UPDATES = _state(
    "waiting_updates", "Rows of the exchange's updates that no lane has applied yet, counted up to 10000"
)
UPDATES_AGE = _state("waiting_updates_oldest_age_seconds", "Age of the oldest of them, 0 for none")
POSITION = _state(
    "position_size", "Base quantity held; a short is negative", symbol=SYMBOL, leg="long, short"
)
POSITION_VALUE = _state("position_notional_quote", "Positions at their last known mark price", symbol=SYMBOL)
ORDER_VALUE = _state("open_order_notional_quote", "What is open of the symbol's orders", symbol=SYMBOL)
UNREALIZED = _state("position_unrealized_pnl_quote", "At the last known mark, before fees", symbol=SYMBOL)
UNREALIZED_RATIO = _state(
    "position_unrealized_ratio",
    "Unrealized PnL as a part of what the leg cost; a loss is negative",
    symbol=SYMBOL,
    leg="long, short",
)
REALIZED = _state("position_realized_pnl_quote", "Since the beginning, after fees", symbol=SYMBOL)
FEES = _state("position_fees_quote", "Fees since the beginning; positive: paid", symbol=SYMBOL)
SNAPSHOT_AGE = _state("position_snapshot_age_seconds", "Age of the newest snapshot of any position")
EXPOSURE = _state("exposure_quote", "Positions and open orders of all symbols, as the limit counts them")
DRY_RUN = _state(
    "dry_run", "1 with ORDERMANAGER_ENABLE_DRY_RUN: the stream is not followed, nothing compared"
)
EXPOSURE_LIMIT = _state("exposure_limit_quote", "ORDERMANAGER_MAX_EXPOSURE")
LOSS_LIMIT = _state("unrealized_loss_warning_ratio", "ORDERMANAGER_UNREALIZED_LOSS_WARNING_THRESHOLD / 100")
BALANCE = _state("available_balance_quote", "Available balance as the exchange said last")
RESERVED = _state("reserved_quote", "Planned since then, and not in that balance yet")
BALANCE_AGE = _state("available_balance_age_seconds", "Age of that balance")
TRADING_MODE = _state("trading_mode", "1 for the mode of the account", mode="active, reducing, halted")
