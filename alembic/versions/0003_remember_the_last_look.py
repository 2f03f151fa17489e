"""remember the last look at the whole account"""

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


def downgrade() -> None:
    op.drop_column("account_state", "discovered_at")
