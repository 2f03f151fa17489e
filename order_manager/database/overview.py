"""The desk at a glance, for the console: bounded reads, each by an index."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, text

from order_manager.database.exposure_sql import OPEN, ORDER_VALUE, POSITION_VALUE
from order_manager.database.rows import plain

_EXPOSURE = text(f"""
    SELECT (SELECT coalesce(sum({POSITION_VALUE}), 0) FROM positions) AS positions,
        (SELECT coalesce(sum({ORDER_VALUE}), 0) FROM orders WHERE {OPEN}) AS orders
""")
_LETTERS = text("""
    SELECT (SELECT count(*) FROM (
            SELECT 1 FROM dead_letters WHERE state = 'new' LIMIT :limit) AS few) AS letters,
        (SELECT received_at FROM dead_letters WHERE state = 'new' ORDER BY received_at LIMIT 1) AS oldest
""")
_SIGNALS = text("""
    SELECT state, count(*) AS signals FROM (
        SELECT state FROM trading_signals
        WHERE received_at > now() - CAST(:span_s * interval '1 s' AS interval)
        ORDER BY received_at DESC LIMIT :limit
    ) AS recent GROUP BY state
""")
_LATENCY = text("""
    SELECT to_timestamp(floor(extract(epoch FROM accepted_at) / :step_s) * :step_s) AS at,
        count(*) AS orders, max(latency_s) AS worst_s,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_s) AS median_s
    FROM (
        SELECT o.accepted_at,
            CAST(greatest(extract(epoch FROM o.accepted_at - s.received_at), 0) AS double precision)
                AS latency_s
        FROM (
            SELECT signal_id, accepted_at FROM orders
            WHERE created_at > now() - CAST(:span_s * interval '1 s' AS interval)
                AND accepted_at IS NOT NULL AND signal_id IS NOT NULL AND NOT is_external
            ORDER BY created_at DESC LIMIT :limit
        ) o CROSS JOIN LATERAL (
            SELECT received_at FROM trading_signals WHERE signal_id = o.signal_id LIMIT 1
        ) s -- one by one: a join might read the whole inbox
    ) AS accepted GROUP BY 1 ORDER BY 1
""")
# What each position had made by then; one that nothing was saved of by then adds nothing.
_PNL = text("""
    SELECT moments.at, sum(CAST(s.snapshot->>'realized_pnl' AS numeric)) AS realized,
        sum(CAST(s.snapshot->>'unrealized_pnl' AS numeric)) AS unrealized
    FROM (SELECT asset, mode FROM positions ORDER BY updated_at DESC LIMIT :limit) p
    CROSS JOIN (
        SELECT now() - CAST(number * :step_s * interval '1 s' AS interval) AS at
        FROM generate_series(0, :steps) AS numbers(number)
    ) moments
    CROSS JOIN LATERAL (
        SELECT snapshot FROM position_snapshots
        WHERE asset = p.asset AND mode = p.mode AND taken_at <= moments.at
        ORDER BY taken_at DESC LIMIT 1
    ) s
    GROUP BY moments.at ORDER BY moments.at
""")

MAX_LETTERS = 10_000
MAX_SIGNALS = 10_000  # of the last hour
MAX_ORDERS = 2000  # of the last hour, whose latency is counted
MAX_POSITIONS = 50  # those that moved last
HOUR_S, MINUTE_S = 3600, 60
PNL_STEP_S, PNL_STEPS = 300, 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What counts now."""

    positions_value: Decimal  # quote
    orders_value: Decimal  # quote, of what is open of them
    new_letters: int  # counted up to MAX_LETTERS
    oldest_letter_at: datetime | None
    signals: Mapping[str, int]  # of the last hour, by state


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From the receipt of signals to the acceptance of their orders, over a minute."""

    at: datetime  # when the minute began
    orders: int
    median_s: float
    worst_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pnl:
    """Of all positions together, by their snapshots until then."""

    at: datetime
    realized: Decimal | None  # quote, after fees
    unrealized: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is plotted."""

    latency: tuple[Latency, ...]  # the last hour
    pnl: tuple[Pnl, ...]  # the last six hours


def read_glance(engine: Engine) -> Glance:
    with engine.connect() as connection:
        exposure = connection.execute(_EXPOSURE).one()
        letters = connection.execute(_LETTERS, {"limit": MAX_LETTERS}).one()
        signals = connection.execute(_SIGNALS, {"span_s": HOUR_S, "limit": MAX_SIGNALS}).all()
    return Glance(
        positions_value=plain(exposure.positions) or Decimal(0),
        orders_value=plain(exposure.orders) or Decimal(0),
        new_letters=letters.letters,
        oldest_letter_at=letters.oldest,
        signals={row.state: row.signals for row in signals},
    )


def read_history(engine: Engine) -> History:
    with engine.connect() as connection:
        return History(latency=_latency(connection), pnl=_pnl(connection))


def _latency(connection: Connection) -> tuple[Latency, ...]:
    wanted = {"span_s": HOUR_S, "step_s": MINUTE_S, "limit": MAX_ORDERS}
    rows = connection.execute(_LATENCY, wanted).mappings()
    return tuple(Latency(**row) for row in rows)


def _pnl(connection: Connection) -> tuple[Pnl, ...]:
    wanted = {"step_s": PNL_STEP_S, "steps": PNL_STEPS, "limit": MAX_POSITIONS}
    rows = connection.execute(_PNL, wanted)
    return tuple(
        Pnl(at=row.at, realized=plain(row.realized), unrealized=plain(row.unrealized)) for row in rows
    )
