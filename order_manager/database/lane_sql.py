"""The lane's statements on the hot path: written out, so that each is one round trip."""

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from order_manager.database.exposure_sql import OPEN, ORDER_VALUE, POSITION_VALUE
from order_manager.database.prepared import Prepared
from order_manager.database.tables import signal_order_relationships

_HAS_SIGNALS = """EXISTS (
        SELECT 1 FROM trading_signals s WHERE s.symbol = :symbol AND s.state IN ('waiting', 'planned'))"""
_HAS_UPDATES = "EXISTS (SELECT 1 FROM exchange_updates u WHERE u.symbol = :symbol)"
_HAS_EVENTS = """EXISTS (
        SELECT 1 FROM order_events e WHERE e.symbol = :symbol AND e.published_at IS NULL)"""
_HAS_UNSETTLED = """EXISTS (
        SELECT 1 FROM orders o WHERE o.symbol = :symbol AND o.status IN ('pending', 'partially_filled')
            AND (o.exchange_order_id IS NULL OR o.cancel_requested_at IS NOT NULL
                OR o.time_in_force IN ('ioc', 'fok')))"""
_IS_RECONCILIATION_DUE = "coalesce(lanes.reconcile_requested_at <= now(), false)"

# Whether it is ours is kept for the PREVIEW that follows in the same round trip, and no longer.
_LOCK = """
    SELECT set_config('lane.is_ours', CAST(pg_try_advisory_lock(:lock_class, id) AS text), true)
    FROM lanes WHERE symbol = :symbol
"""
LOCK = Prepared("lane_lock", _LOCK, lock_class="integer", symbol="text")

# Not where there is nothing to do: the row that a wake-up speaks of was committed before it.
LOCK_IF_BUSY = Prepared(
    "lane_lock_if_busy",
    f"""
    {_LOCK} AND ({_HAS_SIGNALS} OR {_HAS_UPDATES} OR {_HAS_EVENTS} OR {_HAS_UNSETTLED}
        OR {_IS_RECONCILIATION_DUE})
""",
    lock_class="integer",
    symbol="text",
)

UNLOCK = Prepared(
    "lane_unlock", "SELECT pg_advisory_unlock(:lock_class, :id)", lock_class="integer", id="integer"
)

PREVIEW = Prepared(
    "lane_preview",
    f"""
    SELECT lanes.id, lanes.retry_at, (lanes.retry_at IS NULL OR lanes.retry_at <= now()) AS is_due,
        {_HAS_SIGNALS} AS has_signals, {_HAS_UPDATES} AS has_updates, {_HAS_EVENTS} AS has_events,
        {_HAS_UNSETTLED} AS has_unsettled,
        lanes.reconcile_requested_at, lanes.validate_requested_at, lanes.must_reconcile,
        {_IS_RECONCILIATION_DUE} AS is_reconciliation_due,
        (SELECT balance_at FROM account_state WHERE id = 1) AS balance_at,
        coalesce(current_setting('lane.is_ours', true), '') = 'true' AS is_ours
    FROM lanes WHERE lanes.symbol = :symbol
""",
    symbol="text",
)

WAITING = Prepared(
    "lane_waiting",
    """
    SELECT s.*, EXISTS (SELECT 1 FROM signal_order_relationships r
        WHERE r.signal_id = s.signal_id AND r.relation = 'amended') AS began_amending
    FROM trading_signals s WHERE s.symbol = :symbol AND s.state IN ('waiting', 'planned')
    ORDER BY s.seq LIMIT :limit
""",
    symbol="text",
    limit="integer",
)

AMENDMENT_SHOWS = text("""
    SELECT EXISTS (SELECT 1 FROM signal_order_relationships r JOIN orders o ON o.id = r.order_id
        WHERE r.signal_id = :signal_id AND r.relation = 'amended' AND o.amend_quantity IS NULL)
""")

OPEN_ORDERS = Prepared(
    "lane_open_orders",
    """
    SELECT * FROM orders WHERE symbol = :symbol AND status IN ('pending', 'partially_filled')
    ORDER BY created_at, slice, id
""",
    symbol="text",
)

# The account row serialises decisions, so that two symbols cannot both take the last of a limit.
LOCK_ACCOUNT = "SELECT 1 FROM account_state WHERE id = 1 FOR UPDATE"

# After the lock and in a statement of its own: it must see what the last holder committed.
STATE = Prepared(
    "lane_state",
    f"""
    SELECT a.mode AS account_mode, a.available_balance, a.reserved, lanes.mode AS lane_mode,
        lanes.position_mode, p.*,
        (SELECT coalesce(sum({POSITION_VALUE}), 0) FROM positions WHERE asset <> :symbol) AS other_positions,
        (SELECT coalesce(sum({ORDER_VALUE}), 0) FROM orders
            WHERE {OPEN} AND symbol <> :symbol) AS other_orders
    FROM account_state a CROSS JOIN lanes
    LEFT JOIN positions p ON p.asset = lanes.symbol AND p.mode = lanes.position_mode
    WHERE a.id = 1 AND lanes.symbol = :symbol
""",
    symbol="text",
)

# The plan becomes durable in one statement: orders, what they answer to, the signal, the reservation.
PLAN = Prepared(
    "lane_plan",
    """
    WITH planned AS (
        INSERT INTO orders (id, client_order_id, signal_id, slice, symbol, category, side, order_type,
            time_in_force, quantity, price, reference_price, reduce_only, position_idx, status, is_dry_run,
            intended_at, event_sequence, trace_id, created_at, updated_at)
        SELECT id, client_order_id, signal_id, slice, symbol, category, side, order_type, time_in_force,
            quantity, price, reference_price, reduce_only, position_idx, status, is_dry_run, intended_at,
            event_sequence, trace_id, :now, :now
        FROM jsonb_to_recordset(:orders) AS r(id uuid, client_order_id text, signal_id text, slice smallint,
            symbol text, category text, side text, order_type text, time_in_force text, quantity numeric,
            price numeric, reference_price numeric, reduce_only boolean, position_idx smallint, status text,
            is_dry_run boolean, intended_at timestamptz, event_sequence integer, trace_id text)
        RETURNING id, signal_id
    ), related AS (
        INSERT INTO signal_order_relationships (signal_id, order_id, relation)
        SELECT signal_id, id, 'placed' FROM planned
    ), decided AS (
        UPDATE trading_signals SET state = :state, decided_at = :now, decision = :decision,
            finished_at = CASE WHEN :state = 'planned' THEN NULL ELSE CAST(:now AS timestamptz) END
        WHERE signal_id = :signal_id
    )
    UPDATE account_state SET reserved = reserved + :reserve, updated_at = :now WHERE id = 1
""",
    orders="jsonb",
    state="text",
    now="timestamptz",
    decision="jsonb",
    signal_id="text",
    reserve="numeric",
)

# What an order's event needs besides the order, and the position that its growth moves.
ORIGIN = Prepared(
    "lane_origin",
    """
    SELECT s.*, o.trace_id AS order_trace_id, o.event_sequence, CAST(to_jsonb(p) AS text) AS position
    FROM orders o LEFT JOIN trading_signals s ON s.signal_id = o.signal_id
    LEFT JOIN positions p ON p.asset = o.symbol
        AND p.mode = CASE WHEN o.position_idx = 0 THEN 'one_way' ELSE 'hedge' END
    WHERE o.id = CAST(:id AS uuid)
""",
    id="uuid",
)

# A change of an order in one statement: the order, its events, and the position that its growth moved.
RECORD = Prepared(
    "lane_record",
    """
    WITH changed AS (
        UPDATE orders SET exchange_order_id = :exchange_order_id, quantity = :quantity, price = :price,
            status = :status, filled_quantity = :filled_quantity, average_price = :average_price,
            fees = :fees, base_fees = :base_fees, reason = :reason, intended_at = :intended_at,
            cancel_requested_at = :cancel_requested_at,
            exchange_updated_at = :exchange_updated_at, executed_at = :executed_at, updated_at = :updated_at,
            event_sequence = event_sequence + :event_count, announced = :announced,
            unseen_since = :unseen_since,
            amend_quantity = CASE WHEN (amend_quantity, amend_price) IS NOT DISTINCT FROM
                (CAST(:quantity AS numeric), CAST(:price AS numeric)) THEN NULL ELSE amend_quantity END,
            amend_price = CASE WHEN (amend_quantity, amend_price) IS NOT DISTINCT FROM
                (CAST(:quantity AS numeric), CAST(:price AS numeric)) THEN NULL ELSE amend_price END
        WHERE id = CAST(:id AS uuid)
    ), moved AS (
        INSERT INTO positions (asset, mode, size, average_price, long_size, long_average_price, short_size,
            short_average_price, realized_pnl, fees, mark_price)
        SELECT * FROM jsonb_to_recordset(:positions) AS r(asset text, mode text, size numeric,
            average_price numeric, long_size numeric, long_average_price numeric, short_size numeric,
            short_average_price numeric, realized_pnl numeric, fees numeric, mark_price numeric)
        ON CONFLICT (asset, mode) DO UPDATE SET size = excluded.size, average_price = excluded.average_price,
            long_size = excluded.long_size, long_average_price = excluded.long_average_price,
            short_size = excluded.short_size, short_average_price = excluded.short_average_price,
            realized_pnl = excluded.realized_pnl, fees = excluded.fees,
            mark_price = coalesce(excluded.mark_price, positions.mark_price), updated_at = now()
    )
    INSERT INTO order_events (event_id, event_type, order_id, signal_id, symbol, sequence, trace_id, body)
    SELECT event_id, event_type, order_id, signal_id, symbol, sequence, trace_id, body
    FROM jsonb_to_recordset(:events) AS e(event_id uuid, event_type text, order_id uuid, signal_id text,
        symbol text, sequence integer, trace_id text, body jsonb)
    ORDER BY sequence
    RETURNING id
""",
    id="uuid",
    exchange_order_id="text",
    quantity="numeric",
    price="numeric",
    status="text",
    filled_quantity="numeric",
    average_price="numeric",
    fees="numeric",
    base_fees="numeric",
    reason="text",
    intended_at="timestamptz",
    cancel_requested_at="timestamptz",
    exchange_updated_at="timestamptz",
    executed_at="timestamptz",
    updated_at="timestamptz",
    event_count="integer",
    announced="text[]",
    unseen_since="timestamptz",
    positions="jsonb",
    events="jsonb",
)

# Acceptance: the exchange's id, its event, and for the last order the signal's end.
ACCEPT = Prepared(
    "lane_accept",
    """
    WITH accepted AS (
        UPDATE orders SET exchange_order_id = :exchange_order_id, accepted_at = :now, updated_at = :now,
            event_sequence = event_sequence + 1, announced = array_append(announced, :event_type)
        WHERE id = :id
    ), finished AS (
        UPDATE trading_signals SET state = 'executed', finished_at = :now
        WHERE signal_id = :signal_id AND :is_last
    )
    INSERT INTO order_events (event_id, event_type, order_id, signal_id, symbol, sequence, trace_id, body)
    VALUES (:event_id, :event_type, :id, :signal_id, :symbol, :sequence, :trace_id, :body)
    RETURNING id
""",
    id="uuid",
    exchange_order_id="text",
    now="timestamptz",
    signal_id="text",
    is_last="boolean",
    event_id="uuid",
    event_type="text",
    symbol="text",
    sequence="integer",
    trace_id="text",
    body="jsonb",
)

RENEW = text("""
    UPDATE orders SET intended_at = :now
    WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'pending' AND exchange_order_id IS NULL
""")

# What was planned after the question was put is not in the answer.
SAVE_BALANCE = text("""
    UPDATE account_state SET available_balance = :available, balance_at = :asked_at, updated_at = now(),
        reserved = (SELECT coalesce(sum(quantity * coalesce(price, reference_price, 0)), 0) FROM orders
            WHERE NOT reduce_only AND NOT is_dry_run AND (created_at >= :asked_at
                OR (status = 'pending' AND exchange_order_id IS NULL)))
    WHERE id = 1 AND (balance_at IS NULL OR balance_at < :asked_at)
""")

CLAIM = text("""
    WITH claimed AS (
        UPDATE orders SET signal_id = :signal_id, is_external = false
        WHERE symbol = :symbol AND is_external AND starts_with(client_order_id, :prefix)
        RETURNING id, client_order_id
    ), related AS (
        INSERT INTO signal_order_relationships (signal_id, order_id, relation)
        SELECT :signal_id, id, 'placed' FROM claimed
    )
    SELECT client_order_id FROM claimed ORDER BY client_order_id
""")

RELATE = insert(signal_order_relationships).on_conflict_do_nothing()
