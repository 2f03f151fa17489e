"""A database that has been in use: ended orders by the million, with their signals and events."""

from collections.abc import Callable

from sqlalchemy import Connection, create_engine, text

CHUNK = 100_000
TABLES = ("trading_signals", "orders", "signal_order_relationships", "order_events")

# Every row is there, though its JSON is slim: it is the number of rows that indexes and scans feel.
SIGNALS = text("""
    INSERT INTO trading_signals (signal_id, symbol, side, notional, confidence, snapshot_price, strategy_id,
        trace_id, body, state, received_at, decided_at, finished_at, decision)
    SELECT 'old-' || n, (:symbols)[1 + n % :count], CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, 1000,
        0.85, 100, 'benchmark', 'old-' || n, '{"old": true}', 'executed', at, at, at, '{"outcome": "plan"}'
    FROM generate_series(CAST(:first AS int), :last) AS n,
        LATERAL (SELECT now() - make_interval(days => 1, secs => (:total - n)) AS at) AS moment
""")
ORDERS = text("""
    INSERT INTO orders (id, client_order_id, exchange_order_id, signal_id, symbol, category, side, order_type,
        time_in_force, quantity, reference_price, status, filled_quantity, average_price, fees, accepted_at,
        executed_at, event_sequence, trace_id, created_at, updated_at)
    SELECT CAST(md5('old-' || n) AS uuid), 'om-old-' || n, md5('theirs-' || n), 'old-' || n,
        (:symbols)[1 + n % :count], 'linear', CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, 'market', 'ioc',
        10, 100, CASE WHEN n % 20 = 0 THEN 'cancelled' ELSE 'filled' END, 10, 100, 0.55, at, at, 2,
        'old-' || n, at, at
    FROM generate_series(CAST(:first AS int), :last) AS n,
        LATERAL (SELECT now() - make_interval(days => 1, secs => (:total - n)) AS at) AS moment
""")
RELATIONS = text("""
    INSERT INTO signal_order_relationships (signal_id, order_id, relation)
    SELECT 'old-' || n, CAST(md5('old-' || n) AS uuid), 'placed'
    FROM generate_series(CAST(:first AS int), :last) AS n
""")
EVENTS = text("""
    INSERT INTO order_events (event_id, event_type, order_id, signal_id, symbol, sequence, trace_id, body,
        created_at, published_at)
    SELECT gen_random_uuid(), kind, CAST(md5('old-' || n) AS uuid), 'old-' || n, (:symbols)[1 + n % :count],
        sequence, 'old-' || n, '{"old": true}', now() - interval '1 day', now() - interval '1 day'
    FROM generate_series(CAST(:first AS int), :last) AS n,
        (VALUES ('created', 1), ('filled', 2)) AS events (kind, sequence)
""")
INDEXES = text("""
    SELECT indexname, indexdef FROM pg_indexes i WHERE tablename = ANY(:tables)
        AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)
""")


def insert_old_orders(url: str, count: int, symbols: list[str], *, tell: Callable[[str], None]) -> None:
    """Orders of `symbols` in turn, the newest a day old; indexes are made afterwards, statistics too."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET synchronous_commit = off")
        connection.exec_driver_sql("SET session_replication_role = replica")  # no foreign key is looked up
        indexes = connection.execute(INDEXES, {"tables": list(TABLES)}).all()
        for index in indexes:
            connection.exec_driver_sql(f'DROP INDEX "{index.indexname}"')
        for first in range(1, count + 1, CHUNK):
            _insert(connection, first, min(first + CHUNK - 1, count), count, symbols)
            tell(f"{min(first + CHUNK - 1, count):,} of {count:,} old orders")
        tell(f"{len(indexes)} indexes and the statistics")
        for index in indexes:
            connection.exec_driver_sql(index.indexdef)
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()


def _insert(connection: Connection, first: int, last: int, total: int, symbols: list[str]) -> None:
    values = {"first": first, "last": last, "total": total, "symbols": symbols, "count": len(symbols)}
    for statement in (SIGNALS, ORDERS, RELATIONS, EVENTS):
        wanted = {name: values[name] for name in statement.compile().params}
        connection.execute(statement, wanted)
