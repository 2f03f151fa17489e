"""order-manager halt, reduce, resume."""

import getpass
import socket

from order_manager.database.trading_states import TradingStateStore
from tests.cli.conftest import Call, one_line, told
from tests.web.rows import add_lane


def test_trading_is_stopped_and_resumed(call: Call, runtime) -> None:
    store = TradingStateStore(runtime.engine)
    assert call("halt", "--reason", "odd").output == "the account: halted, was active\n"
    assert store.modes().account == "halted"
    shown = call("reduce", "--reason", "careful").output
    assert shown.startswith("the account: reducing, was halted since 2")
    assert shown.endswith(": odd\n")
    shown = call("resume", "--reason", "over").output
    assert shown.startswith("the account: active, was reducing since 2")
    assert shown.endswith(": careful\n")
    assert store.modes().account == "active"
    assert store.modes().account_changed.reason == "over"


def test_one_symbol_is_stopped_by_itself(call: Call, runtime) -> None:
    add_lane(runtime)
    result = told(call("halt", "--asset", "BTCUSDT", "--reason", "odd", "--json"))
    assert (result.pop("reason"), result.pop("changed_by")) == (
        "odd",
        f"{getpass.getuser()}@{socket.gethostname()}",
    )
    assert result.pop("changed_at").endswith("Z")
    assert result == {"asset": "BTCUSDT", "mode": "halted", "before": "active", "effective_mode": "halted"}
    assert "stricter by themselves: BTCUSDT" in call("resume", "--reason", "over").output


def test_a_symbol_under_a_stricter_account_is_told_so(call: Call, runtime) -> None:
    add_lane(runtime)
    call("halt", "--reason", "odd")
    shown = call("resume", "--asset", "BTCUSDT", "--reason", "over").output
    assert "the account is halted since 2" in shown
    assert ": odd; so BTCUSDT still is halted" in shown


def test_a_reason_is_asked_for(call: Call, runtime) -> None:
    assert call("halt").exit_code == 2
    assert call("halt", "--reason", " ").exit_code == 2


def test_a_symbol_without_a_lane_is_refused(call: Call, runtime) -> None:
    assert "NOPE has no lane" in one_line(call("halt", "--asset", "NOPE", "--reason", "odd"))


def test_a_database_that_is_away_is_said_in_one_line(call: Call) -> None:
    said = one_line(call("halt", "--reason", "odd", POSTGRES_PORT="1"))
    assert "127.0.0.1:1/" in said
    assert "POSTGRES_HOST" in said


def test_a_database_without_tables_asks_for_a_migration(
    call: Call, postgres_server, empty_database_url
) -> None:
    env = postgres_server.environment(empty_database_url.rpartition("/")[2])
    assert "run `order-manager migrate`" in one_line(call("halt", "--reason", "odd", **env))


def test_without_servers_those_of_the_fleet_that_runs_here_are_used(
    call: Call, runtime, house_env, tmp_path, monkeypatch
) -> None:
    for name in house_env:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that it is put back
    folder = tmp_path / ".data"
    folder.mkdir()
    folder.joinpath("fleet.env").write_text(
        "".join(f"{name}='{value}'\n" for name, value in house_env.items())
    )
    assert "was active" in call("halt", "--reason", "odd", **dict.fromkeys(house_env, "")).output
