"""Read the state gauges: a few queries that use indexes, and stop counting where it says nothing new."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select, text

from order_manager.database import state_gauges as gauges
from order_manager.database.engine import transaction
from order_manager.database.exposure_sql import OPEN, ORDER_VALUE, POSITION_VALUE
from order_manager.database.locks import BOUND_LOCK, LEASE_LOCK, WORKER_LOCK
from order_manager.database.queries import stored_position
from order_manager.database.state_gauges import StateGauge
from order_manager.database.tables import account_state, positions
from order_manager.domain import pnl

PATIENCE_MS = 3000  # for each query; who scrapes does not wait for ever


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a gauge."""

    gauge: StateGauge
    labels: tuple[str, ...]
    value: float


_LANES = text("""
    WITH held AS MATERIALIZED (
        SELECT CAST(objid AS bigint) AS id FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND CAST(classid AS bigint) = :lease
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT symbol, id IN (SELECT id FROM held) AS is_leased,
        CASE WHEN retry_at IS NULL THEN 0 ELSE extract(epoch FROM now() - blocked_since) END AS blocked_s,
        extract(epoch FROM now() - coalesce(reconciled_at, opened_at)) AS reconciled_s,
        extract(epoch FROM now() - reconcile_requested_at) AS requested_s
    FROM lanes ORDER BY symbol LIMIT 1000
""")

_WORKERS = text("""
    SELECT count(DISTINCT pid) FILTER (WHERE CAST(classid AS bigint) = :bound) AS bound,
        count(DISTINCT pid) FILTER (WHERE CAST(classid AS bigint) = :worker) AS free
    FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
        AND CAST(classid AS bigint) IN (:bound, :worker)
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def _piles(table: str, *, where: str, oldest: str, moment: str) -> Any:
    """How many wait per symbol, and since when: from symbol to symbol in the partial index of `where`."""
    return text(f"""
        WITH RECURSIVE names AS (
            (SELECT symbol FROM {table} WHERE {where} ORDER BY symbol LIMIT 1)
            UNION ALL
            SELECT (SELECT t.symbol FROM {table} t WHERE {where} AND t.symbol > names.symbol
                ORDER BY t.symbol LIMIT 1)
            FROM names WHERE names.symbol IS NOT NULL
        )
        SELECT names.symbol, EXISTS (SELECT 1 FROM lanes l WHERE l.symbol = names.symbol) AS has_lane,
            (SELECT count(*) FROM (SELECT 1 FROM {table} t
                WHERE {where} AND t.symbol = names.symbol LIMIT 1000) AS few) AS depth,
            (SELECT extract(epoch FROM now() - t.{moment}) FROM {table} t
                WHERE {where} AND t.symbol = names.symbol ORDER BY t.{oldest} LIMIT 1) AS age_s
        FROM names WHERE names.symbol IS NOT NULL LIMIT 1000
    """)


_WAITING = _piles(
    "trading_signals", where="state IN ('waiting', 'planned')", oldest="seq", moment="received_at"
)
_OUTBOX = _piles("order_events", where="published_at IS NULL", oldest="id", moment="created_at")

_ORDERS = text(f"""
    SELECT symbol, count(*) FILTER (WHERE status = 'pending') AS pending,
        count(*) FILTER (WHERE status = 'partially_filled') AS partially_filled,
        extract(epoch FROM now() - min(created_at)) AS age_s,
        count(*) FILTER (WHERE exchange_order_id IS NULL AND intended_at IS NOT NULL) AS "create",
        count(*) FILTER (WHERE cancel_requested_at IS NOT NULL) AS cancel,
        count(*) FILTER (WHERE amend_quantity IS NOT NULL) AS amend,
        extract(epoch FROM now() - min(least(CASE WHEN exchange_order_id IS NULL THEN intended_at END,
            cancel_requested_at, CASE WHEN amend_quantity IS NOT NULL THEN updated_at END))) AS unsettled_s,
        sum({ORDER_VALUE}) AS notional
    FROM orders WHERE {OPEN} GROUP BY symbol
""")
_NO_ORDERS = dict.fromkeys(
    ("pending", "partially_filled", "age_s", "create", "cancel", "amend", "unsettled_s", "notional"), 0
)

_VALUES = text(f"""
    SELECT asset AS symbol, sum({POSITION_VALUE}) AS notional FROM positions GROUP BY asset
""")

_UPDATES = text("""
    SELECT (SELECT count(*) FROM (SELECT 1 FROM exchange_updates LIMIT 10000) AS few) AS depth,
        (SELECT extract(epoch FROM now() - received_at) FROM exchange_updates ORDER BY id LIMIT 1) AS age_s
""")

_LETTERS = text("""
    SELECT states.state, (SELECT count(*) FROM (
            SELECT 1 FROM dead_letters d WHERE d.state = states.state LIMIT 10000) AS few) AS depth,
        (SELECT extract(epoch FROM now() - d.received_at) FROM dead_letters d
            WHERE d.state = states.state ORDER BY d.received_at LIMIT 1) AS age_s
    FROM (VALUES ('new'), ('replayed'), ('discarded')) AS states(state)
""")

_SNAPSHOT = text("SELECT extract(epoch FROM now() - max(taken_at)) FROM position_snapshots")
_NOW = text("SELECT now()")


def read_state(engine: Engine, *, is_dry_run: bool = False) -> list[Reading]:
    """Every value, as of one moment. Raises what the database raises."""
    with engine.connect() as connection, transaction(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
        return [*_lanes(connection, is_dry_run=is_dry_run), *_trading(connection), *_queues(connection)]


def _lanes(connection: Connection, *, is_dry_run: bool) -> Iterator[Reading]:
    lanes = connection.execute(_LANES, {"lease": LEASE_LOCK}).all()
    for lane in lanes:
        yield Reading(gauges.BLOCKED_AGE, (lane.symbol,), _age(lane.blocked_s))
        yield Reading(gauges.LEASED, (lane.symbol,), lane.is_leased)
        if not is_dry_run:  # which compares nothing
            yield Reading(gauges.RECONCILED_AGE, (lane.symbol,), _age(lane.reconciled_s))
            yield Reading(gauges.RECONCILE_REQUEST_AGE, (lane.symbol,), _age(lane.requested_s))
    depths = {lane.symbol: (0, 0.0) for lane in lanes} | {"": (0, 0.0)}
    for pile in connection.execute(_WAITING):
        symbol = pile.symbol if pile.has_lane else ""
        depth, age_s = depths.get(symbol, (0, 0.0))
        depths[symbol] = (depth + pile.depth, max(age_s, _age(pile.age_s)))
    for symbol, (depth, age_s) in depths.items():
        yield Reading(gauges.WAITING, (symbol,), depth)
        yield Reading(gauges.WAITING_AGE, (symbol,), age_s)
    workers = connection.execute(_WORKERS, {"bound": BOUND_LOCK, "worker": WORKER_LOCK}).one()
    yield Reading(gauges.WORKERS, ("true",), workers.bound)
    yield Reading(gauges.WORKERS, ("false",), workers.free)
    found = {row["symbol"]: row for row in connection.execute(_ORDERS).mappings()}
    for symbol in {*found, *(lane.symbol for lane in lanes)}:
        yield from _orders(symbol, found.get(symbol, _NO_ORDERS))


def _orders(symbol: str, row: RowMapping | dict[str, int]) -> Iterator[Reading]:
    for status in ("pending", "partially_filled"):
        yield Reading(gauges.OPEN_ORDERS, (symbol, status), row[status])
    yield Reading(gauges.OPEN_ORDER_AGE, (symbol,), _age(row["age_s"]))
    for request in ("create", "cancel", "amend"):
        yield Reading(gauges.UNSETTLED, (symbol, request), row[request])
    yield Reading(gauges.UNSETTLED_AGE, (symbol,), _age(row["unsettled_s"]))
    yield Reading(gauges.ORDER_VALUE, (symbol,), _number(row["notional"]))


def _trading(connection: Connection) -> Iterator[Reading]:
    for value in connection.execute(_VALUES):
        yield Reading(gauges.POSITION_VALUE, (value.symbol,), _number(value.notional))
    totals: dict[tuple[StateGauge, tuple[str, ...]], float] = {}
    for row in connection.execute(select(positions)).mappings():
        # A symbol has a row for each mode that the account ever was in; only one holds something.
        for one in _position(row):
            totals[one.gauge, one.labels] = totals.get((one.gauge, one.labels), 0.0) + one.value
    for (gauge, labels), total in totals.items():
        yield Reading(gauge, labels, total)
    account = connection.execute(select(account_state)).mappings().one()
    for mode in ("active", "reducing", "halted"):
        yield Reading(gauges.TRADING_MODE, (mode,), account["mode"] == mode)
    yield Reading(gauges.RESERVED, (), _number(account["reserved"]))
    if account["available_balance"] is not None:
        now = connection.execute(_NOW).scalar_one()
        yield Reading(gauges.BALANCE, (), _number(account["available_balance"]))
        yield Reading(gauges.BALANCE_AGE, (), (now - account["balance_at"]).total_seconds())


def _position(row: RowMapping) -> Iterator[Reading]:
    stored = stored_position(row)
    position, mark_price = stored.position, stored.mark_price
    symbol, legs = position.symbol, {"long": pnl.long_leg(position), "short": pnl.short_leg(position)}
    for name, leg in legs.items():
        yield Reading(gauges.POSITION, (symbol, name), _number(leg.size))
        percent = pnl.unrealized_percent(leg, mark_price)
        yield Reading(gauges.UNREALIZED_RATIO, (symbol, name), _number(percent) / 100)
    unrealized = pnl.unrealized_pnl(legs.values(), mark_price)
    if unrealized is not None:
        yield Reading(gauges.UNREALIZED, (symbol,), _number(unrealized))
    yield Reading(gauges.REALIZED, (symbol,), _number(pnl.realized_pnl(position)))
    yield Reading(gauges.FEES, (symbol,), _number(pnl.paid_fees(position)))


def _queues(connection: Connection) -> Iterator[Reading]:
    outbox = connection.execute(_OUTBOX).all()
    yield Reading(gauges.OUTBOX, (), sum(pile.depth for pile in outbox))
    yield Reading(gauges.OUTBOX_AGE, (), max((_age(pile.age_s) for pile in outbox), default=0.0))
    updates = connection.execute(_UPDATES).one()
    yield Reading(gauges.UPDATES, (), updates.depth)
    yield Reading(gauges.UPDATES_AGE, (), _age(updates.age_s))
    for letters in connection.execute(_LETTERS):
        yield Reading(gauges.DEAD_LETTERS, (letters.state,), letters.depth)
        if letters.state == "new":
            yield Reading(gauges.DEAD_LETTER_AGE, (), _age(letters.age_s))
    snapshot_s = connection.execute(_SNAPSHOT).scalar()
    if snapshot_s is not None:
        yield Reading(gauges.SNAPSHOT_AGE, (), _age(snapshot_s))


def _number(value: Any) -> float:
    return float(value) if value is not None else 0.0


def _age(seconds: Any) -> float:
    """0 for none; moments of another clock may be a little in the future."""
    return max(_number(seconds), 0.0)
