"""The command on a database of the module's own, with every table emptied; broker and exchange are away."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from order_manager.cli import main
from order_manager.database.tables import account_state, executions, sync_runs
from order_manager.embedded import free_port
from order_manager.settings import Settings, load_settings
from order_manager.wiring import Runtime, build_runtime
from tests.web.conftest import EMPTIED

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def house_env(database_env: dict[str, str]) -> dict[str, str]:
    nowhere = str(free_port())
    return {
        **database_env,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": nowhere,
        "BYBIT_PAPER_URL": f"http://127.0.0.1:{nowhere}",
        "ORDERMANAGER_API_KEY": "the-key-of-the-tests",
    }


@pytest.fixture(scope="module")
def module_runtime(house_env: dict[str, str]) -> Iterator[Runtime]:
    runtime = build_runtime(load_settings(_env_file=None, **house_env))
    yield runtime
    runtime.engine.dispose()


@pytest.fixture
def runtime(module_runtime: Runtime) -> Runtime:
    """To put rows with."""
    with module_runtime.engine.connect() as connection:
        for table in (executions, sync_runs, *EMPTIED):
            connection.execute(delete(table))
        connection.execute(
            update(account_state).values(
                mode="active", mode_reason=None, mode_changed_at=None, mode_changed_by=None
            )
        )
    return module_runtime


@pytest.fixture
def call(house_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Call]:
    """Runs a command in a folder of its own; logs stay as the other tests want them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("order_manager.logs.configure_logs", lambda *_, **__: None)
    monkeypatch.setattr("structlog.configure", lambda *_, **__: None)
    nothing = dict.fromkeys(f"RABBITMQ_{name}" for name in ("HOST", "PORT", "USER", "PASSWORD"))
    others = {name: None for name in environment_names() | {"COLUMNS"} if name not in house_env}

    def invoke(*args: str, stdin: str | bytes | None = None, **env: str | None) -> Result:
        result = CliRunner().invoke(
            main, list(args), input=stdin, env={**others, **nothing, **house_env, **env}
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    with capture_logs():
        yield invoke


def environment_names() -> set[str]:
    """Of every setting, so that the machine's own do not count."""
    return {
        str(name)
        for field in Settings.model_fields.values()
        for name in getattr(field.validation_alias, "choices", [field.validation_alias])
    }


def told(result: Result, status: int = 0) -> Any:
    """What --json said."""
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def one_line(result: Result) -> str:
    """The error of a command that could not do its work."""
    assert result.exit_code == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line
