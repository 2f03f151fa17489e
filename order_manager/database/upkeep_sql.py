"""A lane's statements beside signals: what the exchange told, and comparing with it."""

from sqlalchemy import text

from order_manager.database.prepared import Prepared

UPDATES = Prepared(
    "lane_updates",
    "SELECT id, kind, body FROM exchange_updates WHERE symbol = :symbol ORDER BY id LIMIT :limit",
    symbol="text",
    limit="integer",
)

DROP_UPDATES = Prepared(
    "lane_drop_updates", "DELETE FROM exchange_updates WHERE id = ANY(:ids)", ids="bigint[]"
)

SET_ASIDE = text("""
    WITH gone AS (DELETE FROM exchange_updates WHERE id = :id RETURNING *)
    INSERT INTO dead_letters (queue, code, reason, body)
    SELECT source || '.' || kind, 'update_not_applied', :reason, convert_to(CAST(body AS text), 'UTF8')
    FROM gone
""")

FIND_ORDERS = Prepared(
    "lane_find_orders",
    """
    SELECT * FROM orders WHERE symbol = :symbol AND id IN (
        SELECT id FROM orders WHERE exchange_order_id = ANY(:exchange_order_ids)
        UNION SELECT id FROM orders WHERE client_order_id = ANY(:client_order_ids))
""",
    symbol="text",
    exchange_order_ids="text[]",
    client_order_ids="text[]",
)

# Once, by exec id; with the order it belongs to where that is known.
BOOK_EXECUTIONS = Prepared(
    "lane_book_executions",
    """
    INSERT INTO executions (exec_id, order_id, exchange_order_id, symbol, side, quantity, price, fee,
        fee_currency, is_maker, exec_type, executed_at)
    SELECT e.exec_id, o.id, e.exchange_order_id, e.symbol, e.side, e.quantity, e.price, e.fee,
        e.fee_currency, e.is_maker, e.exec_type, e.executed_at
    FROM jsonb_to_recordset(:executions) AS e(exec_id text, exchange_order_id text, client_order_id text,
        symbol text, side text, quantity numeric, price numeric, fee numeric, fee_currency text,
        is_maker boolean, exec_type text, executed_at timestamptz)
    LEFT JOIN orders o ON o.exchange_order_id = e.exchange_order_id AND o.symbol = e.symbol
    ON CONFLICT (exec_id) DO UPDATE SET order_id = excluded.order_id
        WHERE executions.order_id IS NULL AND excluded.order_id IS NOT NULL
""",
    executions="jsonb",
)

# Orders that have more executions than we know to be filled, and executions of orders that we do not know.
BEHIND = Prepared(
    "lane_behind",
    """
    SELECT e.exchange_order_id FROM executions e LEFT JOIN orders o ON o.id = e.order_id
    WHERE e.exchange_order_id = ANY(:exchange_order_ids) AND e.symbol = :symbol AND e.exec_type = ANY(:trades)
    GROUP BY e.exchange_order_id, o.filled_quantity
    HAVING o.filled_quantity IS NULL OR sum(e.quantity) > o.filled_quantity
""",
    exchange_order_ids="text[]",
    symbol="text",
    trades="text[]",
)

NAME_EXECUTIONS = text("""
    UPDATE executions e SET order_id = o.id FROM orders o
    WHERE e.order_id IS NULL AND e.symbol = :symbol AND e.exchange_order_id = ANY(:exchange_order_ids)
        AND o.exchange_order_id = e.exchange_order_id AND o.symbol = e.symbol
""")

# Not the newest execution: what the stream told after a gap is newer than what it left out.
KNOWN_UNTIL = text("SELECT coalesce(reconciled_at, opened_at) FROM lanes WHERE id = :id")

WITHOUT_ORDER = text("""
    SELECT DISTINCT exchange_order_id FROM executions WHERE symbol = :symbol AND order_id IS NULL
        AND exec_type = ANY(:trades) AND executed_at > now() - interval '2 days' LIMIT :limit
""")

SAVE_MODE = text("UPDATE lanes SET position_mode = :mode WHERE id = :id AND position_mode <> :mode")

STORED_LEGS = text("SELECT * FROM positions WHERE asset = :symbol")

MARK_LEGS = Prepared(
    "lane_mark_legs",
    """
    UPDATE positions SET mark_price = coalesce(:mark_price, mark_price) WHERE asset = :symbol RETURNING *
""",
    mark_price="numeric",
    symbol="text",
)

CORRECT_LEG = text("""
    WITH corrected AS (
        INSERT INTO positions (asset, mode, size, average_price, long_size, long_average_price, short_size,
            short_average_price, realized_pnl, fees)
        VALUES (:asset, :mode, :size, :average_price, :long_size, :long_average_price, :short_size,
            :short_average_price, :realized_pnl, :fees)
        ON CONFLICT (asset, mode) DO UPDATE SET size = excluded.size, average_price = excluded.average_price,
            long_size = excluded.long_size, long_average_price = excluded.long_average_price,
            short_size = excluded.short_size, short_average_price = excluded.short_average_price,
            realized_pnl = excluded.realized_pnl, fees = excluded.fees, updated_at = now()
    )
    INSERT INTO position_adjustments (asset, mode, position_idx, size_before, size_after,
        average_price_before, average_price_after, source, reason)
    VALUES (:asset, :mode, :position_idx, :size_before, :size_after, :average_price_before,
        :average_price_after, :source, :reason)
""")

# What the fills and the adjustments of a symbol come to, and how many orders miss executions.
RECOUNT = text("""
    WITH traded AS (
        SELECT order_id, sum(quantity) AS quantity, sum(quantity * price) AS value,
            sum(fee) FILTER (WHERE fee_currency = :base_coin) AS base_fees,
            sum(fee) FILTER (WHERE fee_currency IS DISTINCT FROM :base_coin) AS fees
        FROM executions WHERE symbol = :symbol AND exec_type = ANY(:trades) GROUP BY order_id
    ), filled AS (
        SELECT o.position_idx, CASE o.side WHEN 'buy' THEN 1 ELSE -1 END AS sign,
            coalesce(t.quantity, 0) AS quantity, coalesce(t.base_fees, 0) AS base_fees,
            coalesce(t.value, 0) AS value, coalesce(t.fees, 0) AS fees,
            coalesce(t.quantity, 0) <> o.filled_quantity AS is_incomplete
        FROM orders o LEFT JOIN traded t ON t.order_id = o.id
        WHERE o.symbol = :symbol AND o.filled_quantity > 0
    )
    SELECT position_idx, sum(size) AS size, sum(cash) AS cash, sum(abs(cash)) AS turnover, sum(fees) AS fees,
        bool_or(is_unseen) AS has_unseen, count(*) FILTER (WHERE is_incomplete) AS incomplete FROM (
        SELECT position_idx, sign * quantity - base_fees AS size, -sign * value AS cash, fees,
            false AS is_unseen, is_incomplete FROM filled
        UNION ALL
        SELECT position_idx, size_after - size_before, 0, 0, size_after <> size_before, false
            FROM position_adjustments WHERE asset = :symbol AND source = 'exchange'
    ) AS moves GROUP BY position_idx ORDER BY position_idx
""")

INCOMPLETE = text("""
    SELECT o.* FROM orders o
    WHERE o.symbol = :symbol AND o.filled_quantity > 0 AND o.filled_quantity <> coalesce((
        SELECT sum(e.quantity) FROM executions e WHERE e.order_id = o.id AND e.exec_type = ANY(:trades)), 0)
    ORDER BY random() LIMIT :limit  -- some may miss theirs for good, and must not starve the others
""")

REQUEST_CANCEL = text("""
    UPDATE orders SET cancel_requested_at = :now, reason = :reason, updated_at = :now
    WHERE id = ANY(CAST(:ids AS uuid[]))
""")

REQUEST_RECONCILIATION = text("""
    UPDATE lanes SET reconcile_requested_at = clock_timestamp(), must_reconcile = true WHERE id = :id
    RETURNING reconcile_requested_at
""")

# A request that came while this comparison ran asks for the next one. The moment is that of the request,
# by our own clock: whoever asked compares it with theirs.
RECONCILED = text("""
    UPDATE lanes SET reconciled_at = coalesce(:requested_at, reconciled_at), reconciled_orders = :seen,
        corrected_orders = :corrected, discrepancies = :discrepancies, reconcile_error = NULL,
        must_reconcile = must_reconcile AND reconcile_requested_at IS DISTINCT FROM :requested_at,
        reconcile_requested_at = nullif(reconcile_requested_at, :requested_at),
        validate_requested_at = nullif(validate_requested_at, :validation_requested_at)
    WHERE id = :id
""")

DISMISSED = text("""
    UPDATE lanes SET reconcile_requested_at = NULL, validate_requested_at = NULL, must_reconcile = false
    WHERE id = :id
""")

# One that nothing depends on is left for a while, so that it does not hold up the symbol's signals.
RECONCILE_FAILED = text("""
    UPDATE lanes SET reconcile_failed_at = clock_timestamp(), reconcile_error = :error,
        reconcile_requested_at = CASE WHEN must_reconcile THEN reconcile_requested_at
            ELSE clock_timestamp() + make_interval(secs => :pause_s) END
    WHERE id = :id
""")
