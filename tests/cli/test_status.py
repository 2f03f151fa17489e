"""order-manager status: the house on one screen."""

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from order_manager.heartbeats import PROCESSES, redis_for_heartbeats
from order_manager.settings import load_settings
from tests.builders import at
from tests.cli.conftest import Call, one_line, told
from tests.web.rows import (
    add_dead_letter,
    add_event,
    add_lane,
    add_order,
    add_position,
    add_signal,
    add_update,
)


def test_an_empty_house_is_told(call: Call, runtime) -> None:
    status = told(call("status", "--json"))
    assert (status["lanes"], status["positions"], status["in_flight_orders"]) == ([], [], [])
    assert status["account"]["mode"] == "active"
    shown = call("status").output
    for part in ("no lanes", "no orders in flight", "no positions", "0 new dead letters"):
        assert part in shown


def test_what_waits_and_what_is_held_is_told(call: Call, runtime) -> None:
    compared = datetime.now(UTC) - timedelta(minutes=5)
    add_lane(runtime, reconciled_at=compared, corrected_orders=2, blocked_reason="the exchange is away")
    add_signal(runtime)
    add_order(runtime, client_order_id="om-flying", exchange_order_id=None, intended_at=at(0))
    add_order(runtime, client_order_id="om-resting")
    add_position(
        runtime,
        size=Decimal("0.5"),
        average_price=Decimal("50000.123456789123456789"),
        mark_price=Decimal(50100),
    )
    add_event(runtime, published_at=None)
    add_update(runtime)
    add_dead_letter(runtime)
    status = told(call("status", "--json"))
    [lane] = status["lanes"]
    assert (lane["depth"], lane["open_orders"], lane["in_flight_orders"], lane["leased"]) == (1, 2, 1, False)
    [flying] = status["in_flight_orders"]
    assert (flying["client_order_id"], flying["request"]) == ("om-flying", "create")
    [position] = status["positions"]
    assert (position["size"], position["mark_price"]) == ("0.5", "50100")
    waiting = status["waiting"]
    assert (waiting["outbox_events"], waiting["updates"], waiting["dead_letters"]) == (1, 1, 1)
    shown = call("status").output
    for part in (
        "om-flying",
        "50000.12345679",
        "the exchange is away",
        "5 min ago, 2 corrected",
        "1 updates",
    ):
        assert part in shown
    assert "om-resting" not in shown


def test_exposure_and_when_a_lane_is_tried_again_are_told(call: Call, runtime) -> None:
    add_position(runtime, size=2, average_price=100, mark_price=100)
    again = datetime(2026, 1, 2, 20, 11, 12, tzinfo=UTC)
    add_lane(runtime, blocked_reason="the exchange is away", blocked_since=at(0), retry_at=again)
    status = told(call("status", "--json"))
    assert status["exposure"] == {"total": "200", "limit": "50000"}
    assert status["lanes"][0]["retry_at"] == "2026-01-02T20:11:12Z"
    shown = call("status").output
    assert "exposure 200 of 50000" in shown
    assert "the exchange is away; again at 20:11:12" in shown


def test_a_narrow_screen_gets_fewer_columns(call: Call, runtime) -> None:
    add_lane(runtime, blocked_reason="the exchange is away", blocked_since=at(0), retry_at=at(0))
    add_position(runtime, size=2, average_price=100, mark_price=100)
    add_order(
        runtime, client_order_id="om-xpfd5yxxtrntn5komsx75mrl-1-0", exchange_order_id=None, intended_at=at(0)
    )
    wide, narrow = (call("status", COLUMNS=width).output for width in ("150", "80"))
    assert "open orders" in wide
    assert "open orders" not in narrow
    assert max(len(line) for line in narrow.splitlines()) <= 80
    for whole in ("BTCUSDT", "om-xpfd5yxxtrntn5komsx75mrl-1-0", "symbol", "waiting"):
        assert whole in narrow


def test_dependencies_that_are_away_are_told_with_the_reason(call: Call, runtime) -> None:
    states = {one["name"]: one for one in told(call("status", "--json"))["dependencies"]}
    assert {name: one["state"] for name, one in states.items()} == {
        "database": "available",
        "redis": "unavailable",
        "bybit_api": "unavailable",
    }
    assert "refused" in states["redis"]["text"]


def test_processes_are_told_where_a_fleet_runs(call: Call, runtime, tmp_path) -> None:
    program = {
        "command": ["x"],
        "state": "RUNNING",
        "metrics": None,
        "started_at": "2026-01-02T03:04:05+00:00",
    }
    rows = [{**program, "name": "beat", "pid": os.getpid()}, {**program, "name": "web", "pid": 2**22 + 1}]
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "fleet.json").write_text(json.dumps(rows))
    processes = told(call("status", "--json", "--data-dir", "house"))["processes"]
    assert [(one["name"], one["state"]) for one in processes] == [("beat", "RUNNING"), ("web", "gone")]
    assert "gone" in call("status", "--data-dir", "house").output


def test_a_process_that_was_stopped_by_a_signal_is_frozen(call: Call, runtime, tmp_path) -> None:
    row = {"name": "beat", "command": ["x"], "state": "RUNNING", "metrics": None, "started_at": None}
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        (tmp_path / ".data").mkdir()
        (tmp_path / ".data" / "fleet.json").write_text(json.dumps([{**row, "pid": process.pid}]))
        [told_of] = told(call("status", "--json"))["processes"]
        process.kill()
    assert told_of["state"] == "FROZEN"


def test_heartbeats_and_what_is_wrong_are_told(call: Call, runtime, redis_server, redis_url) -> None:
    env = redis_server.environment()
    client = redis_for_heartbeats(load_settings(_env_file=None, **env))
    client.delete(PROCESSES)
    entry = {"name": "consumer", "role": "consumer", "host": "far", "pid": 7}
    entry |= {"started_at": "2026-01-02T03:04:05+00:00", "at": time.time() - 34}
    client.hset(PROCESSES, "consumer@far", json.dumps(entry))
    status = told(call("status", "--json", **env))
    assert [(one["name"], one["heard"]) for one in status["heartbeats"]] == [("consumer", False)]
    assert status["waiting"]["queued_signals"] == 0
    shown = call("status", **env).output
    assert "consumer (pid 7 on far) has not been heard of for 34 s" in shown
    assert "SILENT" in shown
    client.delete(PROCESSES)


def test_a_database_that_is_away_is_said_in_one_line(call: Call) -> None:
    assert "127.0.0.1:1/" in one_line(call("status", POSTGRES_PORT="1"))


def test_watching_is_for_people(call: Call) -> None:
    assert call("status", "--watch", "--json").exit_code == 2


def test_watching_draws_until_it_is_interrupted(call: Call, runtime, monkeypatch) -> None:
    naps = iter([None, None])

    def nap(seconds: float) -> None:
        assert seconds == 0.5
        if next(naps, "end") == "end":
            raise KeyboardInterrupt

    monkeypatch.setattr("order_manager.cli.status.time.sleep", nap)
    result = call("status", "--watch", "0.5")
    assert result.exit_code == 0
    assert "trading active" in result.output
