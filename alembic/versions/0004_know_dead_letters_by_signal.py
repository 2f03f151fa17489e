"""know a dead letter by the signal_id that could be read of it"""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Its event was written in the same transaction, whose time both have.
_KNOWN = """
    UPDATE dead_letters SET signal_id = e.signal_id FROM order_events e
    WHERE e.symbol = '' AND e.event_type = 'signal_rejected' AND e.created_at = dead_letters.received_at
        AND e.body->'rejection'->>'code' = dead_letters.code
"""


def upgrade() -> None:
    op.add_column(
        "dead_letters",
        sa.Column(
            "signal_id", sa.String(length=100), nullable=True, comment="the sender's, where it could be read"
        ),
    )
    op.execute(_KNOWN)
    op.create_index("ix_dead_letters_signal_id", "dead_letters", ["signal_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_dead_letters_signal_id", table_name="dead_letters")
    op.drop_column("dead_letters", "signal_id")
