"""What is configured is used, what is not is embedded, and nothing else of the shell reaches the programs."""

import socket
from pathlib import Path

import pytest

from order_manager.embedded import PortBusy, free_port
from order_manager.fleet import FleetPlan, Program, plan_fleet
from order_manager.fleet.plan import paper_exchange
from order_manager.fleet.watching import write_environment


def a_plan(data_dir: Path, *, workers: int = 2, port: int | None = None, **configured: str) -> FleetPlan:
    return plan_fleet(data_dir, workers=workers, port=port or free_port(), configured=configured)


def program(plan: FleetPlan, name: str) -> Program:
    return next(program for program in plan.programs if program.name == name)


def test_with_nothing_configured_everything_is_embedded(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, workers=3)
    names = [program.name for program in plan.programs]
    lanes = ["lane-1", "lane-2", "lane-3"]
    assert names == ["paper-exchange", "consumer", "stream", *lanes, "maintenance", "beat", "web"]
    assert plan.postgres is not None
    assert plan.redis is not None
    assert plan.env["BYBIT_ENVIRONMENT"] == "paper"
    assert plan.env["BYBIT_PAPER_URL"] in program(plan, "paper-exchange").where
    assert "RABBITMQ_HOST" not in plan.env


def test_what_is_configured_is_used_as_configured(tmp_path: Path) -> None:
    plan = a_plan(
        tmp_path,
        POSTGRES_HOST="db.example",
        REDIS_HOST="cache.example",
        RABBITMQ_HOST="mq.example",
        BYBIT_ENVIRONMENT="testnet",
        BYBIT_API_KEY="mine",
    )
    assert plan.postgres is None
    assert plan.redis is None
    assert "paper-exchange" not in [program.name for program in plan.programs]
    assert "BYBIT_PAPER_URL" not in plan.env
    assert plan.env["POSTGRES_HOST"] == "db.example"
    assert plan.env["REDIS_HOST"] == "cache.example"
    assert plan.env["RABBITMQ_HOST"] == "mq.example"
    assert plan.env["BYBIT_API_KEY"] == "mine"


def test_real_keys_are_not_shown_to_the_paper_exchange(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, BYBIT_API_KEY="real-key", BYBIT_API_SECRET="real-secret")
    exchange = program(plan, "paper-exchange")
    assert not {"real-key", "real-secret"} & {*exchange.argv, *exchange.env.values()}


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert a_plan(tmp_path, POSTGRES_HOST="").postgres is not None


def test_secrets_and_ports_are_the_same_next_time(tmp_path: Path) -> None:
    port = free_port()
    assert a_plan(tmp_path, port=port).env == a_plan(tmp_path, port=port).env


@pytest.mark.parametrize("spelling", ["ORDERMANAGER_API_KEY", "ORDER_MANAGER_API_KEY"])
def test_a_configured_api_key_is_kept_in_either_spelling(tmp_path: Path, spelling: str) -> None:
    plan = plan_fleet(tmp_path, workers=1, port=free_port(), configured={spelling: "mine"})
    assert plan.env["ORDERMANAGER_API_KEY"] == "mine"


def test_defaults_for_the_paper_exchange_are_set_only_where_unset_and_said(tmp_path: Path) -> None:
    plan = a_plan(tmp_path)
    assert plan.env["ORDERMANAGER_MAX_POSITION_SIZES"].startswith("SOLUSDT=1000,")
    assert [note.partition("=")[0] for note in plan.notes] == ["ORDERMANAGER_MAX_POSITION_SIZES"]
    assert a_plan(tmp_path, ORDERMANAGER_MAX_POSITION_SIZES="BTCUSDT=2").notes == ()
    assert a_plan(tmp_path, BYBIT_ENVIRONMENT="mainnet").notes == ()


def test_only_our_variables_reach_the_programs(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, AWS_SECRET_ACCESS_KEY="x", ORDERMANAGER_MAX_EXPOSURE="7", NO_PROXY="corp.example")
    assert "AWS_SECRET_ACCESS_KEY" not in plan.env
    assert plan.env["ORDERMANAGER_MAX_EXPOSURE"] == "7"
    assert plan.env["NO_PROXY"] == "corp.example,127.0.0.1,localhost"


def test_our_own_stream_runs_only_without_a_gateway(tmp_path: Path) -> None:
    stream = program(a_plan(tmp_path), "stream")
    assert stream.argv[-1] == "stream"
    assert stream.priority == program(a_plan(tmp_path), "consumer").priority
    with_gateway = a_plan(tmp_path, WS_GATEWAY_HOST="gateway.example")
    assert "stream" not in [program.name for program in with_gateway.programs]
    assert "stream" in [program.name for program in a_plan(tmp_path, WS_GATEWAY_HOST="").programs]


def test_each_process_has_metrics_of_its_own(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ORDERMANAGER_METRICS_PORT="9000")
    measured = plan.programs
    assert len({one.metrics for one in measured}) == len(measured)
    for one in measured:
        if one.name == "web":
            assert one.metrics == f"{plan.api_url}/metrics"
        elif one.name == "paper-exchange":
            assert one.metrics == f"{plan.env['BYBIT_PAPER_URL']}/metrics"
        else:
            assert one.metrics == f"http://127.0.0.1:{one.env['ORDERMANAGER_METRICS_PORT']}/metrics"
    folders = [one.env["PROMETHEUS_MULTIPROC_DIR"] for one in measured if "worker" in one.argv]
    assert len(set(folders)) == 3
    assert "PROMETHEUS_MULTIPROC_DIR" not in plan.env  # a command by hand is not of their trees
    assert [one.metrics for one in a_plan(tmp_path).programs][:-1] == [one.metrics for one in plan.programs][
        :-1
    ]


def test_a_busy_port_stops_the_plan(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PortBusy, match="--port"):
        a_plan(tmp_path, port=server.getsockname()[1])


def test_a_secret_may_begin_with_a_dash(tmp_path: Path) -> None:
    env = {
        "BYBIT_PAPER_URL": "http://127.0.0.1:4700",
        "ORDERMANAGER_PAPER_CONTROL_TOKEN": "-dash",
        "BYBIT_API_KEY": "-key",
        "BYBIT_API_SECRET": "--secret",
    }
    argv = paper_exchange(tmp_path, env).argv
    assert {"--control-token=-dash", "--api-key=-key", "--api-secret=--secret"} <= set(argv)


def test_of_several_api_keys_the_shell_gets_one_and_the_processes_all(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, ORDERMANAGER_API_KEY="the-old-key, the-new-key")
    write_environment(tmp_path / "fleet.env", plan.env)
    assert "ORDERMANAGER_API_KEY=the-old-key\n" in (tmp_path / "fleet.env").read_text()
    assert program(plan, "web").env["ORDERMANAGER_API_KEY"] == "the-old-key, the-new-key"
