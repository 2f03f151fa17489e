"""The schema goes up, down and up again, and is what tables.py says."""

import sqlalchemy as sa

from order_manager.database import migrations
from order_manager.database.tables import metadata


def tables(url: str) -> set[str]:
    engine = sa.create_engine(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_migrations_go_up_down_and_up_and_leave_what_the_tables_say(empty_database_url):
    ours = {table.name for table in metadata.sorted_tables}
    migrations.upgrade(empty_database_url)
    assert tables(empty_database_url) == ours | {"alembic_version"}
    migrations.check(empty_database_url)
    migrations.downgrade(empty_database_url, "base")
    assert tables(empty_database_url) == {"alembic_version"}
    migrations.upgrade(empty_database_url)
    migrations.check(empty_database_url)
    migrations.upgrade(empty_database_url)  # safe to repeat


def test_a_new_schema_has_its_one_account_row(ledger):
    assert ledger.row("SELECT id, mode, reserved FROM account_state") == {
        "id": 1,
        "mode": "active",
        "reserved": 0,
    }
