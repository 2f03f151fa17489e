"""follow the exchange"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exchange_updates",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="order of arrival"
        ),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('order', 'execution', 'position')", name=op.f("ck_exchange_updates_kind")
        ),
        sa.CheckConstraint("source IN ('stream', 'gateway')", name=op.f("ck_exchange_updates_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_updates")),
        comment="what the exchange told and no lane has applied yet; deleted when applied",
    )
    op.create_index("ix_exchange_updates_symbol", "exchange_updates", ["symbol", "id"], unique=False)
    op.create_table(
        "position_adjustments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("asset", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("position_idx", sa.SmallInteger(), nullable=False),
        sa.Column("size_before", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("size_after", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("average_price_before", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("average_price_after", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("source", sa.String(length=10), nullable=False, comment="which side was right"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('one_way', 'hedge')", name=op.f("ck_position_adjustments_mode")),
        sa.CheckConstraint("source IN ('exchange', 'fills')", name=op.f("ck_position_adjustments_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_position_adjustments")),
        comment="what no fill explains: a leg set right, and why",
    )
    op.create_index("ix_position_adjustments_asset", "position_adjustments", ["asset", "id"], unique=False)
    op.create_table(
        "sync_runs",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("asset", sa.String(length=40), nullable=True),
        sa.Column("symbols", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint(
            "scope IN ('active', 'orders', 'all', 'positions')", name=op.f("ck_sync_runs_scope")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
        comment="comparisons with the exchange that somebody asked for",
    )
    op.create_index("ix_executions_exchange_order_id", "executions", ["exchange_order_id"], unique=False)
    op.create_index(
        "ix_executions_without_order",
        "executions",
        ["symbol"],
        unique=False,
        postgresql_where=sa.text("order_id IS NULL"),
    )
    op.add_column(
        "lanes",
        sa.Column(
            "reconcile_requested_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="compare with the exchange, not before then",
        ),
    )
    op.add_column(
        "lanes",
        sa.Column(
            "validate_requested_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="and recount the position from its fills",
        ),
    )
    op.add_column(
        "lanes",
        sa.Column(
            "reconciled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the last complete comparison began",
        ),
    )
    op.add_column(
        "lanes",
        sa.Column("reconciled_orders", sa.Integer(), nullable=True, comment="orders that it looked at"),
    )
    op.add_column(
        "lanes", sa.Column("corrected_orders", sa.Integer(), nullable=True, comment="orders that it changed")
    )
    op.add_column(
        "lanes",
        sa.Column(
            "discrepancies",
            sa.Integer(),
            nullable=True,
            comment="differences of the position that it corrected",
        ),
    )
    op.add_column("lanes", sa.Column("reconcile_failed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("lanes", sa.Column("reconcile_error", sa.Text(), nullable=True))
    op.add_column(
        "orders",
        sa.Column(
            "unseen_since",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="first look at which the exchange showed it nowhere",
        ),
    )
    op.add_column(
        "orders",
        sa.Column(
            "announced",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="event types so far",
        ),
    )
    op.execute(
        "UPDATE orders SET announced = told.types, is_external = orders.signal_id IS NULL FROM"
        " (SELECT order_id, array_agg(DISTINCT event_type::text) AS types FROM order_events"
        "  WHERE order_id IS NOT NULL GROUP BY order_id) AS told WHERE told.order_id = orders.id"
    )


def downgrade() -> None:
    op.drop_column("orders", "announced")
    op.drop_column("orders", "unseen_since")
    op.drop_column("lanes", "reconcile_error")
    op.drop_column("lanes", "reconcile_failed_at")
    op.drop_column("lanes", "discrepancies")
    op.drop_column("lanes", "corrected_orders")
    op.drop_column("lanes", "reconciled_orders")
    op.drop_column("lanes", "reconciled_at")
    op.drop_column("lanes", "validate_requested_at")
    op.drop_column("lanes", "reconcile_requested_at")
    op.drop_index(
        "ix_executions_without_order", table_name="executions", postgresql_where=sa.text("order_id IS NULL")
    )
    op.drop_index("ix_executions_exchange_order_id", table_name="executions")
    op.drop_table("sync_runs")
    op.drop_index("ix_position_adjustments_asset", table_name="position_adjustments")
    op.drop_table("position_adjustments")
    op.drop_index("ix_exchange_updates_symbol", table_name="exchange_updates")
    op.drop_table("exchange_updates")
