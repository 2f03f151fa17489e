"""remember the last look at the whole account; index what the REST API asks for"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "account_state",
        sa.Column(
            "discovered_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="until then every symbol that was traded has a lane",
        ),
    )
    op.add_column(
        "lanes",
        sa.Column(
            "must_reconcile",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="no signal before that: something may have been missed",
        ),
    )
    op.create_index("ix_trading_signals_symbol", "trading_signals", ["symbol", "seq"], unique=False)
    op.create_index("ix_order_events_symbol", "order_events", ["symbol", "id"], unique=False)


def downgrade() -> None:
    op.drop_column("lanes", "must_reconcile")
    op.drop_index("ix_order_events_symbol", table_name="order_events")
    op.drop_index("ix_trading_signals_symbol", table_name="trading_signals")
    op.drop_column("account_state", "discovered_at")
