"""remember why, when and by whom trading was stopped or resumed"""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("account_state", "lanes")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(
            table, sa.Column("mode_reason", sa.Text(), nullable=True, comment="as its changer said")
        )
        op.add_column(table, sa.Column("mode_changed_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("mode_changed_by", sa.String(length=200), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        for column in ("mode_changed_by", "mode_changed_at", "mode_reason"):
            op.drop_column(table, column)
