"""The order-manager command: what it offers, and a bad setting that stops it with one line."""

import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from order_manager.cli import main

OPERATORS = ("send", "status", "explain", "halt", "reduce", "resume", "sync", "dead-letters", "doctor")


def call(*args: str, **env: str | None) -> Result:
    clean = {"POSTGRES_HOST": None, "REDIS_HOST": None, "RABBITMQ_HOST": None, "ORDERMANAGER_PORT": None}
    return CliRunner().invoke(main, list(args), env={**clean, **env})


@pytest.fixture(autouse=True)
def no_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_what_there_is():
    result = call("--help")
    assert result.exit_code == 0
    for command in ("up", "migrate", "consumer", "stream", "paper-exchange", "healthy", *OPERATORS):
        assert command in result.output


def test_help_is_quick_for_it_loads_nothing_that_a_command_needs():
    code = "import sys, order_manager.cli; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"sqlalchemy", "celery", "kombu", "rich", "pydantic", "flask", "requests", "redis", "alembic"}
    assert heavy.isdisjoint(loaded.split())


def test_it_runs_as_a_module_too():
    argv = [sys.executable, "-m", "order_manager.cli", "--version"]
    assert "order-manager, version" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_version_is_told():
    assert call("--version").output.startswith("main, version") or "version" in call("--version").output


@pytest.mark.parametrize("command", ["migrate", "consumer", "stream"])
def test_a_bad_setting_stops_the_start_with_one_line_that_names_it(command, monkeypatch):
    from order_manager import wiring

    wiring.runtime.cache_clear()
    result = call(command, ORDERMANAGER_PORT="http")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ORDERMANAGER_PORT: ")
    assert len(result.output.strip().splitlines()) == 1


def test_without_a_database_the_operator_is_told_what_to_do():
    result = call("migrate")
    assert result.exit_code == 1
    assert "POSTGRES_HOST is not set" in result.output


def test_migrate_brings_a_new_database_up_to_date(postgres_server, empty_database_url):
    env = postgres_server.environment(empty_database_url.rpartition("/")[2])
    for _ in range(2):
        result = call("migrate", **env)
        assert result.output == "the schema is up to date\n"
        assert result.exit_code == 0


@pytest.mark.parametrize(
    "option", [("--workers", "0"), ("--port", "0"), ("--port", "70000"), ("--workers", "x")]
)
def test_up_refuses_what_is_out_of_range_before_it_starts_anything(option):
    result = call("up", *option)
    assert result.exit_code == 2
    assert option[0] in result.output


def test_the_paper_exchange_has_a_help_of_its_own():
    result = call("paper-exchange", "--", "--help")
    assert result.exit_code == 0


def test_an_unknown_command_is_refused():
    assert call("dance").exit_code == 2
