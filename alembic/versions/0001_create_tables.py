"""create tables"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_state",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.String(length=10), server_default="active", nullable=False),
        sa.Column(
            "available_balance",
            sa.Numeric(precision=38, scale=18),
            nullable=True,
            comment="quote, as the exchange said at balance_at",
        ),
        sa.Column("balance_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "reserved",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="quote, planned since balance_at",
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('active', 'reducing', 'halted')", name=op.f("ck_account_state_mode")),
        sa.CheckConstraint("id = 1", name=op.f("ck_account_state_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_state")),
        comment="one row; locked by every decision, so that limits hold across symbols",
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("field", sa.String(length=100), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the message's bytes, whole"),
        sa.Column(
            "headers",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("state", sa.String(length=10), server_default="new", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('new', 'replayed', 'discarded')", name=op.f("ck_dead_letters_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index(
        "ix_dead_letters_state_received_at", "dead_letters", ["state", "received_at"], unique=False
    )
    op.create_table(
        "instruments",
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=10), nullable=False),
        sa.Column("base_coin", sa.String(length=20), nullable=False),
        sa.Column("quote_coin", sa.String(length=20), nullable=False),
        sa.Column("tick_size", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("lot_size", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("min_quantity", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("min_notional", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("max_limit_quantity", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("max_market_quantity", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("min_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("max_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("is_trading", sa.Boolean(), nullable=False),
        sa.Column(
            "refreshed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("category IN ('linear', 'spot')", name=op.f("ck_instruments_category")),
        sa.PrimaryKeyConstraint("symbol", "category", name=op.f("pk_instruments")),
    )
    op.create_table(
        "lanes",
        sa.Column(
            "id",
            sa.Integer(),
            sa.Identity(always=False),
            nullable=False,
            comment="advisory lock key of the symbol",
        ),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=10), server_default="active", nullable=False),
        sa.Column(
            "position_mode",
            sa.String(length=10),
            server_default="one_way",
            nullable=False,
            comment="the account's",
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "retry_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="not before; set while an outcome is unknown or the exchange is away",
        ),
        sa.Column("blocked_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("mode IN ('active', 'reducing', 'halted')", name=op.f("ck_lanes_mode")),
        sa.CheckConstraint("position_mode IN ('one_way', 'hedge')", name=op.f("ck_lanes_position_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lanes")),
        sa.UniqueConstraint("symbol", name=op.f("uq_lanes_symbol")),
        comment="one row per symbol that has a queue; the inbox of a symbol is worked off under its lock",
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("event_type", sa.String(length=30), nullable=False),
        sa.Column(
            "order_id",
            sa.UUID(as_uuid=False),
            nullable=True,
            comment="null for an event of a signal or a position",
        ),
        sa.Column("signal_id", sa.String(length=100), nullable=True),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="per order, from 1"),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.Column(
            "body",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the message as it is published",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_order_events_event_id")),
        comment="the outbox and the audit of every change",
    )
    op.create_index("ix_order_events_order_id", "order_events", ["order_id", "id"], unique=False)
    op.create_index("ix_order_events_signal_id", "order_events", ["signal_id"], unique=False)
    op.create_index(
        "ix_order_events_unpublished",
        "order_events",
        ["symbol", "id"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("client_order_id", sa.String(length=45), nullable=False),
        sa.Column("exchange_order_id", sa.String(length=64), nullable=True),
        sa.Column("signal_id", sa.String(length=100), nullable=True),
        sa.Column("slice", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=10), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("order_type", sa.String(length=6), nullable=False),
        sa.Column("time_in_force", sa.String(length=10), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=18), nullable=False, comment="base"),
        sa.Column(
            "price",
            sa.Numeric(precision=38, scale=18),
            nullable=True,
            comment="quote per base; null for a market order",
        ),
        sa.Column(
            "reference_price",
            sa.Numeric(precision=38, scale=18),
            nullable=True,
            comment="quote per base that the order was sized at",
        ),
        sa.Column("reduce_only", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("position_idx", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("filled_quantity", sa.Numeric(precision=38, scale=18), server_default="0", nullable=False),
        sa.Column("average_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("fees", sa.Numeric(precision=38, scale=18), server_default="0", nullable=False),
        sa.Column(
            "base_fees",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="base, paid in what was bought",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was rejected or cancelled"),
        sa.Column("is_dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_external", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "intended_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="moment before which nothing had been sent",
        ),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "amend_quantity",
            sa.Numeric(precision=38, scale=18),
            nullable=True,
            comment="base; wanted by an amendment that is under way",
        ),
        sa.Column("amend_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column(
            "exchange_updated_at", sa.DateTime(timezone=True), nullable=True, comment="the exchange's clock"
        ),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_sequence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("trace_id", sa.String(length=100), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("category IN ('linear', 'spot')", name=op.f("ck_orders_category")),
        sa.CheckConstraint("order_type IN ('market', 'limit')", name=op.f("ck_orders_order_type")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_orders_side")),
        sa.CheckConstraint(
            "status IN ('pending', 'partially_filled', 'filled', 'cancelled', 'rejected', 'dry_run')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint(
            "time_in_force IN ('gtc', 'ioc', 'fok', 'post_only')", name=op.f("ck_orders_time_in_force")
        ),
        sa.CheckConstraint("filled_quantity >= 0", name=op.f("ck_orders_filled_quantity_not_negative")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_quantity_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("client_order_id", name=op.f("uq_orders_client_order_id")),
    )
    op.create_index("ix_orders_created_at", "orders", ["created_at", "id"], unique=False)
    op.create_index("ix_orders_exchange_order_id", "orders", ["exchange_order_id"], unique=False)
    op.create_index(
        "ix_orders_open",
        "orders",
        ["symbol"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'partially_filled')"),
    )
    op.create_index("ix_orders_signal_id", "orders", ["signal_id"], unique=False)
    op.create_index("ix_orders_status_created_at", "orders", ["status", "created_at", "id"], unique=False)
    op.create_index("ix_orders_symbol_created_at", "orders", ["symbol", "created_at"], unique=False)
    op.create_table(
        "position_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("asset", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_position_snapshots")),
    )
    op.create_index(
        "ix_position_snapshots_asset_taken_at", "position_snapshots", ["asset", "taken_at"], unique=False
    )
    op.create_index("ix_position_snapshots_taken_at", "position_snapshots", ["taken_at"], unique=False)
    op.create_table(
        "positions",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("asset", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column(
            "size",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="one-way: signed base quantity",
        ),
        sa.Column("average_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("long_size", sa.Numeric(precision=38, scale=18), server_default="0", nullable=False),
        sa.Column("long_average_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column(
            "short_size",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="hedge: zero or negative",
        ),
        sa.Column("short_average_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column(
            "realized_pnl",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="quote, before fees",
        ),
        sa.Column(
            "fees",
            sa.Numeric(precision=38, scale=18),
            server_default="0",
            nullable=False,
            comment="quote, positive: paid",
        ),
        sa.Column("mark_price", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('one_way', 'hedge')", name=op.f("ck_positions_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
        sa.UniqueConstraint("asset", "mode", name=op.f("uq_positions_asset_mode")),
    )
    op.create_table(
        "trading_signals",
        sa.Column(
            "seq", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="order of arrival"
        ),
        sa.Column("signal_id", sa.String(length=100), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("notional", sa.Numeric(precision=38, scale=18), nullable=False, comment="quote currency"),
        sa.Column("confidence", sa.Numeric(precision=20, scale=18), nullable=True),
        sa.Column("is_urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "snapshot_price",
            sa.Numeric(precision=38, scale=18),
            nullable=True,
            comment="quote per base, as the model saw it",
        ),
        sa.Column("snapshot_spread", sa.Numeric(precision=38, scale=18), nullable=True, comment="quote"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True, comment="the sender's clock"),
        sa.Column("strategy_id", sa.Text(), nullable=True),
        sa.Column("trace_id", sa.String(length=100), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="the message as it came"),
        sa.Column("state", sa.String(length=10), server_default="waiting", nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "decision",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="inputs, each rule with its numbers, and what came out",
        ),
        sa.Column("code", sa.String(length=60), nullable=True, comment="why it was rejected or failed"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_trading_signals_side")),
        sa.CheckConstraint(
            "state IN ('waiting', 'planned', 'executed', 'rejected', 'failed')",
            name=op.f("ck_trading_signals_state"),
        ),
        sa.CheckConstraint("notional > 0", name=op.f("ck_trading_signals_notional_positive")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trading_signals")),
        sa.UniqueConstraint("signal_id", name=op.f("uq_trading_signals_signal_id")),
        comment="the inbox: every valid signal, in order of arrival, and what became of it",
    )
    op.create_index(
        "ix_trading_signals_pending",
        "trading_signals",
        ["symbol", "seq"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'planned')"),
    )
    op.create_index("ix_trading_signals_received_at", "trading_signals", ["received_at"], unique=False)
    op.create_table(
        "executions",
        sa.Column("exec_id", sa.String(length=80), nullable=False),
        sa.Column("order_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("exchange_order_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("price", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("fee", sa.Numeric(precision=38, scale=18), server_default="0", nullable=False),
        sa.Column("fee_currency", sa.String(length=20), server_default="", nullable=False),
        sa.Column("is_maker", sa.Boolean(), nullable=False),
        sa.Column("exec_type", sa.String(length=30), nullable=False),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_executions_side")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_executions_order_id_orders")),
        sa.PrimaryKeyConstraint("exec_id", name=op.f("pk_executions")),
    )
    op.create_index("ix_executions_order_id", "executions", ["order_id"], unique=False)
    op.create_index("ix_executions_symbol_executed_at", "executions", ["symbol", "executed_at"], unique=False)
    op.create_table(
        "signal_order_relationships",
        sa.Column("signal_id", sa.String(length=100), nullable=False),
        sa.Column("order_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("relation", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "relation IN ('placed', 'cancelled', 'amended')",
            name=op.f("ck_signal_order_relationships_relation"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_signal_order_relationships_order_id_orders")
        ),
        sa.PrimaryKeyConstraint(
            "signal_id", "order_id", "relation", name=op.f("pk_signal_order_relationships")
        ),
        comment="which orders a signal placed, cancelled or amended",
    )
    op.create_index(
        "ix_signal_order_relationships_order_id", "signal_order_relationships", ["order_id"], unique=False
    )
    # The one row that every decision locks.
    op.execute("INSERT INTO account_state (id) VALUES (1)")


def downgrade() -> None:
    op.drop_index("ix_signal_order_relationships_order_id", table_name="signal_order_relationships")
    op.drop_table("signal_order_relationships")
    op.drop_index("ix_executions_symbol_executed_at", table_name="executions")
    op.drop_index("ix_executions_order_id", table_name="executions")
    op.drop_table("executions")
    op.drop_index("ix_trading_signals_received_at", table_name="trading_signals")
    op.drop_index(
        "ix_trading_signals_pending",
        table_name="trading_signals",
        postgresql_where=sa.text("state IN ('waiting', 'planned')"),
    )
    op.drop_table("trading_signals")
    op.drop_table("positions")
    op.drop_index("ix_position_snapshots_taken_at", table_name="position_snapshots")
    op.drop_index("ix_position_snapshots_asset_taken_at", table_name="position_snapshots")
    op.drop_table("position_snapshots")
    op.drop_index("ix_orders_symbol_created_at", table_name="orders")
    op.drop_index("ix_orders_status_created_at", table_name="orders")
    op.drop_index("ix_orders_signal_id", table_name="orders")
    op.drop_index(
        "ix_orders_open",
        table_name="orders",
        postgresql_where=sa.text("status IN ('pending', 'partially_filled')"),
    )
    op.drop_index("ix_orders_exchange_order_id", table_name="orders")
    op.drop_index("ix_orders_created_at", table_name="orders")
    op.drop_table("orders")
    op.drop_index(
        "ix_order_events_unpublished",
        table_name="order_events",
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.drop_index("ix_order_events_signal_id", table_name="order_events")
    op.drop_index("ix_order_events_order_id", table_name="order_events")
    op.drop_table("order_events")
    op.drop_table("lanes")
    op.drop_table("instruments")
    op.drop_index("ix_dead_letters_state_received_at", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_table("account_state")
