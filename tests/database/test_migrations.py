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


def test_dead_letters_of_before_learn_their_signal_id(empty_database_url):
    migrations.upgrade(empty_database_url, "0003")
    engine = sa.create_engine(empty_database_url)
    rows = [
        """INSERT INTO dead_letters (queue, code, field, reason, body, received_at)
            VALUES ('q', 'out_of_range', 'amount', 'no', '', '2026-01-02 03:04:05.678901Z')""",
        """INSERT INTO dead_letters (queue, code, reason, body) VALUES ('q', 'invalid_json', 'no', '')""",
        """INSERT INTO order_events
            (event_id, event_type, signal_id, symbol, sequence, trace_id, body, created_at)
            VALUES (gen_random_uuid(), 'signal_rejected', 'x-neg', '', 1, 't',
                '{"rejection": {"code": "out_of_range"}}', '2026-01-02 03:04:05.678901Z')""",
    ]
    with engine.begin() as connection:
        for row in rows:
            connection.exec_driver_sql(row)
    migrations.upgrade(empty_database_url)
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT code, signal_id FROM dead_letters ORDER BY id").all()
    engine.dispose()
    assert found == [("out_of_range", "x-neg"), ("invalid_json", None)]
