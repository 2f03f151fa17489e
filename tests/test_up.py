"""`up` on real servers: schema first, then the programs, the demo, and a status that tells how it went."""

import io
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from order_manager.embedded import PostgresServer, RedisServer, free_port
from order_manager.fleet import FleetPlan
from order_manager.fleet.lock import only_fleet
from order_manager.up import configured_port, prepare_servers, run_fleet, up
from tests.fleet.dummies import SLEEPER, dummy

MIGRATE = """
import os, psycopg2
env = os.environ
psycopg2.connect(
    host=env["POSTGRES_HOST"], port=env["POSTGRES_PORT"], dbname=env["POSTGRES_DB"],
    user=env["POSTGRES_USER"], password=env["POSTGRES_PASSWORD"],
).cursor().execute("CREATE TABLE IF NOT EXISTS thing ()")
"""


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def a_plan(data_dir: Path, console: Console, *, migrate: str = MIGRATE) -> FleetPlan:
    postgres = PostgresServer(data_dir=data_dir, port=free_port(), password="p%d", durable=False)
    redis = RedisServer(data_dir=data_dir, port=free_port(), password="r")
    plan = FleetPlan(
        data_dir=data_dir,
        programs=(dummy("worker-1", SLEEPER, priority=30),),
        env={**postgres.environment(), **redis.environment(), "ORDERMANAGER_API_KEY": "the-key"},
        postgres=postgres,
        redis=redis,
        migrate=(sys.executable, "-c", migrate),
        api_url="http://127.0.0.1:4600",
    )
    return prepare_servers(plan, console)


@pytest.mark.parametrize(("succeeds", "status"), [(True, 0), (False, 1)])
def test_the_status_is_the_demos(tmp_path: Path, console: Console, succeeds: bool, status: int) -> None:
    seen: list[Mapping[str, str]] = []

    def demo(env: Mapping[str, str], console: Console) -> bool:
        seen.append(env)
        return succeeds

    plan = a_plan(tmp_path, console)
    assert run_fleet(plan, demo=demo, exit_after=True, console=console) == status
    assert seen == [plan.env]
    text = said(console)
    for expected in ("postgres", "redis", "worker-1", "database schema", "-H 'X-API-Key: the-key'"):
        assert expected in text
    assert text.rstrip().endswith("stopped")


def test_a_failed_migration_is_shown_and_nothing_is_started_on_it(tmp_path: Path, console: Console) -> None:
    plan = a_plan(tmp_path, console, migrate="raise SystemExit('table is locked')")
    assert run_fleet(plan, exit_after=True, console=console) == 1
    assert "migrate ended with status 1" in said(console)
    assert "table is locked" in said(console)
    assert not (tmp_path / "logs" / "worker-1.log").exists()


def test_up_on_a_busy_port_says_so_before_it_starts_anything(tmp_path: Path, console: Console) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert up(tmp_path, port=port, console=console) == 1
    assert f"port {port} for the REST API is in use" in said(console)
    assert not (tmp_path / "postgres").exists()


def test_up_on_a_folder_in_use_says_so(tmp_path: Path, console: Console) -> None:
    with only_fleet(tmp_path):
        assert up(tmp_path, port=free_port(), console=console) == 1
    assert "already" in said(console)


def test_the_port_is_the_configured_one_in_either_spelling() -> None:
    assert configured_port({}) == 4600
    assert configured_port({"ORDERMANAGER_PORT": "1", "ORDER_MANAGER_PORT": "2"}) == 1
    assert configured_port({"ORDER_MANAGER_PORT": "2"}) == 2
    with pytest.raises(ValueError, match="ORDERMANAGER_PORT=many"):
        configured_port({"ORDERMANAGER_PORT": "many"})
