"""The desk at a glance: what counts now, and what is plotted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from order_manager.heartbeats import PROCESSES, Heart, redis_for_heartbeats
from order_manager.queues import SIGNALS
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.web.conftest import Api, RuntimeOf
from tests.web.rows import add_adjustment, add_dead_letter, add_order, add_position, add_signal, add_snapshot

OVERVIEW = "/api/v1/overview"


@pytest.fixture
def fresh(api: Api, runtime: Runtime) -> Api:
    """The application on empty tables, with nothing remembered."""
    return Api(create_app(runtime).test_client())


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def snapshot(realized: str, unrealized: str | None) -> dict[str, Any]:
    return {"realized_pnl": realized, "unrealized_pnl": unrealized}


def test_an_empty_desk(fresh: Api) -> None:
    told = fresh.get(OVERVIEW)

    assert told["account"]["mode"] == "active"
    assert told["exposure"] == {"positions": "0", "orders": "0", "total": "0", "limit": "50000"}
    assert told["dead_letters"] == {"count": 0, "oldest_received_at": None}
    assert told["signals"] == dict.fromkeys(("waiting", "planned", "executed", "rejected", "failed"), 0)
    assert (told["unanswered"], told["latency"], told["pnl"]) == ([], [], [])
    assert (told["environment"], told["is_dry_run"]) == ("paper", False)


def test_exposure_is_what_is_held_and_what_is_open(fresh: Api, runtime: Runtime) -> None:
    add_position(runtime, size=Decimal(-2), average_price=90, mark_price=100)
    add_position(runtime, asset="ETHUSDT", size=1, average_price=50)
    add_order(runtime, quantity=3, filled_quantity=1, price=10, status="partially_filled")
    add_order(runtime, quantity=3, price=10, status="filled")

    exposure = fresh.get(OVERVIEW)["exposure"]

    assert (exposure["positions"], exposure["orders"], exposure["total"]) == ("250", "20", "270")


def test_what_waits_for_an_answer_and_what_could_not_be_used(fresh: Api, runtime: Runtime) -> None:
    add_order(runtime, exchange_order_id=None, intended_at=ago(7), client_order_id="om-lost")
    add_order(runtime)
    for age_s, state in ((100, "new"), (50, "new"), (500, "discarded")):
        add_dead_letter(runtime, received_at=ago(age_s), state=state)

    told = fresh.get(OVERVIEW)

    [order] = told["unanswered"]
    assert (order["client_order_id"], order["asset"], order["request"]) == ("om-lost", "BTCUSDT", "create")
    assert told["dead_letters"]["count"] == 2
    assert told["dead_letters"]["oldest_received_at"] < ago(99).isoformat()


def test_signals_are_counted_over_the_last_hour(fresh: Api, runtime: Runtime) -> None:
    for age_s, state in ((10, "executed"), (20, "executed"), (30, "rejected"), (4000, "failed")):
        add_signal(runtime, received_at=ago(age_s), state=state)

    assert fresh.get(OVERVIEW)["signals"] == {
        "waiting": 0,
        "planned": 0,
        "executed": 2,
        "rejected": 1,
        "failed": 0,
    }


def test_latency_is_from_receipt_to_acceptance_minute_by_minute(fresh: Api, runtime: Runtime) -> None:
    minute = ago(600).replace(second=30, microsecond=0)
    for at, took_s in ((minute, 0.1), (minute, 0.2), (minute, 0.9), (minute + timedelta(minutes=2), 0.5)):
        signal = add_signal(runtime, received_at=at)
        accepted_at = at + timedelta(seconds=took_s)
        add_order(runtime, signal_id=signal, created_at=at, accepted_at=accepted_at)
    add_order(runtime, created_at=minute, accepted_at=minute, signal_id=None, is_external=True)
    add_order(runtime, created_at=ago(5000), accepted_at=ago(5000), signal_id=signal)

    first, second = fresh.get(OVERVIEW)["latency"]

    assert (first["orders"], first["median_s"], first["worst_s"]) == (3, 0.2, 0.9)
    assert (second["orders"], second["median_s"], second["worst_s"]) == (1, 0.5, 0.5)
    assert datetime.fromisoformat(first["at"]) == minute.replace(second=0)


def test_processes_are_unknown_while_redis_is_away(fresh: Api) -> None:
    told = fresh.get(OVERVIEW)
    assert (told["processes"], told["queued_signals"], told["findings"]) == (None, None, [])


def test_processes_are_told_and_those_that_are_missing(
    runtime_of: RuntimeOf, redis_server, redis_url
) -> None:
    runtime = runtime_of(**redis_server.environment())
    client = redis_for_heartbeats(runtime.settings)
    client.delete(PROCESSES, SIGNALS)
    Heart(client, name="lane-1", role="worker", facts=dict).beat()
    client.lpush(SIGNALS, "{}")

    told = Api(create_app(runtime).test_client()).get(OVERVIEW)

    [process] = told["processes"]
    assert (process["name"], process["role"], process["heard"]) == ("lane-1", "worker", True)
    assert (process["stream"], told["queued_signals"]) == (None, 1)
    found = {one["about"]: one["level"] for one in told["findings"]}
    missing = dict.fromkeys(("consumer", "maintenance", "beat", "queue"), "problem")
    assert found == {**missing, "stream": "warning"}


def test_positions_that_were_set_right_are_told_for_a_day(fresh: Api, runtime: Runtime) -> None:
    add_adjustment(runtime, created_at=ago(100_000))
    add_adjustment(runtime, created_at=ago(3600))
    add_adjustment(runtime, size_after=1)  # only its price
    [one] = fresh.get(OVERVIEW)["adjustments"]
    told = (one["asset"], one["size_before"], one["size_after"], one["source"])
    assert told == ("SOLUSDT", "1", "6.9", "exchange")


def test_pnl_is_that_of_the_last_snapshots_by_then(fresh: Api, runtime: Runtime) -> None:
    for asset in ("BTCUSDT", "ETHUSDT"):
        add_position(runtime, asset=asset)
    add_snapshot(runtime, taken_at=ago(1000), snapshot=snapshot("1", "0.5"))
    add_snapshot(runtime, taken_at=ago(100), snapshot=snapshot("2", "-4"))
    add_snapshot(runtime, asset="ETHUSDT", taken_at=ago(700), snapshot=snapshot("10", None))

    points = fresh.get(OVERVIEW)["pnl"]

    made = [(one["realized_pnl"], one["unrealized_pnl"]) for one in points]
    assert made == [("1", "0.5"), ("11", "0.5"), ("11", "0.5"), ("12", "-4")]
    assert points == sorted(points, key=lambda one: str(one["at"]))
