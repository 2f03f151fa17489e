"""Alembic's environment: the address comes from the caller or from the settings."""

from sqlalchemy import create_engine

from alembic import context
from order_manager.database.tables import metadata
from order_manager.settings import load_settings


def run() -> None:
    url = context.config.get_main_option("sqlalchemy.url") or load_settings().postgres_url
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(url)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
