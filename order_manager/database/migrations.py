"""Schema up and down: Alembic, called from code."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from alembic import command

ROOT = Path(__file__).resolve().parents[2]


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema at `url` up to `revision`."""
    command.upgrade(_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the schema at `url` down to `revision` ("base" for nothing at all)."""
    command.downgrade(_config(url), revision)


def check(url: str) -> None:
    """Raise if the schema at `url` is not what tables.py says."""
    command.check(_config(url))


def head_revision() -> str | None:
    """The schema that this code works with."""
    return ScriptDirectory.from_config(_config("")).get_current_head()


def stored_revision(engine: Engine) -> str | None:
    """The schema that the database has; None: none of ours."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
