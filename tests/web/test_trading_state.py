"""The trading state and the lanes: what may be traded, what waits, and how to stop it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.wiring import Runtime
from tests.builders import a_market, an_instrument, at
from tests.web.conftest import KEY, Api
from tests.web.rows import add_lane, add_order, add_signal, add_update

STATE, LANES = "/api/v1/trading-state", "/api/v1/lanes"


def modes(api: Api) -> tuple[str, dict[str, tuple[str, str]]]:
    state = api.get(STATE)
    return state["mode"], {lane["asset"]: (lane["mode"], lane["effective_mode"]) for lane in state["lanes"]}


@pytest.fixture(autouse=True)
def lanes(api: Api, runtime: Runtime) -> None:
    add_lane(runtime, "ETHUSDT")
    add_lane(runtime, "BTCUSDT")


def test_the_account_is_halted_restricted_and_resumed(api: Api) -> None:
    assert modes(api) == ("active", {"BTCUSDT": ("active", "active"), "ETHUSDT": ("active", "active")})

    for action, mode in (("halt", "halted"), ("reduce", "reducing"), ("resume", "active")):
        answer = api.post(f"{STATE}/{action}", {"reason": "a drill"})
        assert answer.status_code == 200, answer.text
        assert modes(api)[0] == mode
        assert answer.json == api.get(STATE)


def test_one_symbol_is_stopped_and_the_stricter_mode_counts(api: Api) -> None:
    api.post(f"{STATE}/reduce", {"reason": "careful"})
    answer = api.post(f"{STATE}/halt", {"reason": "delisted", "asset": "ETHUSDT"})

    assert answer.status_code == 200
    assert modes(api) == ("reducing", {"BTCUSDT": ("active", "reducing"), "ETHUSDT": ("halted", "halted")})
    api.post(f"{STATE}/resume", {"reason": "over", "asset": "ETHUSDT"})
    assert modes(api)[1]["ETHUSDT"] == ("active", "reducing")


def test_who_changed_it_when_and_why_is_kept(api: Api) -> None:
    started = datetime.now(UTC)
    api.post(f"{STATE}/reduce", {"reason": "careful"})
    state = api.post(f"{STATE}/halt", {"reason": "delisted", "asset": "ETHUSDT"}).json

    btc, eth = state["lanes"]
    for changed, reason in ((state, "careful"), (eth, "delisted")):
        assert (changed["reason"], changed["changed_by"]) == (reason, "API, 127.0.0.1")
        assert started <= datetime.fromisoformat(changed["changed_at"]) <= datetime.now(UTC)
    assert (btc["reason"], btc["changed_at"], btc["changed_by"]) == (None, None, None)


def test_the_next_decision_sees_it(api: Api, runtime: Runtime) -> None:
    add_signal(runtime)
    api.post(f"{STATE}/halt", {"reason": "a drill"})

    with runtime.lanes.take("BTCUSDT") as lane:
        assert lane is not None
        with lane.deciding() as decision:
            state = decision.state(an_instrument(), a_market(), [])

    assert state.mode == "halted"


def test_a_change_is_logged_with_its_reason_and_what_it_was(api: Api) -> None:
    with capture_logs() as logs:
        api.post(f"{STATE}/halt", {"reason": "the exchange misbehaves", "asset": "BTCUSDT"})

    [changed] = [line for line in logs if line["event"] == "trading_state_changed"]
    assert changed == {
        "event": "trading_state_changed",
        "log_level": "warning",
        "mode": "halted",
        "before": "active",
        "symbol": "BTCUSDT",
        "reason": "the exchange misbehaves",
        "changed_by": "API, 127.0.0.1",
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, "reason"),
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "half a pair \ud800"}, "reason"),
        ({"reason": "fine", "asset": "btcusdt"}, "asset"),
        ({"reason": "fine", "symbol": "BTCUSDT"}, "symbol"),
    ],
)
def test_a_change_without_a_fit_reason_changes_nothing(api: Api, body: Any, named: str) -> None:
    answer = api.post(f"{STATE}/halt", body)

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_parameter")
    [problem] = answer.json["details"]["parameters"]
    assert problem["parameter"] == named
    assert modes(api)[0] == "active"


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 60_000, b'{"reason":' * 6_000, b"\xff", b"reason=x"])
def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    answer = api.client.post(f"{STATE}/halt", data=body, headers={"X-API-Key": KEY})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_body")


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    answer = api.post(f"{STATE}/halt", {"reason": "x" * 70_000})

    assert (answer.status_code, answer.json["code"]) == (413, "request_entity_too_large")


def test_a_reason_in_the_query_is_none(api: Api) -> None:
    assert api.post(f"{STATE}/halt", {"reason": "x"}, reason="y").status_code == 400
    assert modes(api)[0] == "active"


def test_a_symbol_without_a_lane_is_not_found(api: Api) -> None:
    answer = api.post(f"{STATE}/halt", {"reason": "x", "asset": "NOPEUSDT"})

    assert (answer.status_code, answer.json["code"]) == (404, "symbol_not_found")


def test_blocked_lanes_are_listed_with_their_reason(api: Api, runtime: Runtime) -> None:
    add_lane(runtime, "SOLUSDT", blocked_since=at(0), blocked_reason="no answer", retry_at=at(5))

    assert api.get(STATE)["blocked_lanes"] == [
        {
            "asset": "SOLUSDT",
            "since": "2026-01-02T03:04:05Z",
            "reason": "no answer",
            "retry_at": "2026-01-02T03:04:10Z",
        }
    ]


# Lanes


def test_an_idle_lane_has_nothing_waiting(api: Api) -> None:
    [lane] = api.get(LANES, asset="BTCUSDT")["lanes"]

    assert lane == {
        "asset": "BTCUSDT",
        "mode": "active",
        "position_mode": "one_way",
        "opened_at": "2026-01-02T02:04:05Z",
        "depth": 0,
        "oldest_signal_age_s": None,
        "open_orders": 0,
        "in_flight_orders": 0,
        "cancelling_orders": 0,
        "waiting_updates": 0,
        "oldest_update_age_s": None,
        "blocked_since": None,
        "blocked_reason": None,
        "retry_at": None,
        "reconciliation": {
            "result": "never",
            "requested_at": None,
            "validation_requested_at": None,
            "completed_at": None,
            "orders": None,
            "corrected_orders": None,
            "position_discrepancies": None,
            "failed_at": None,
            "error": None,
        },
    }


def test_a_lane_tells_what_waits_and_for_how_long(api: Api, runtime: Runtime) -> None:
    minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    add_signal(runtime, received_at=minute_ago)
    add_signal(runtime, state="planned", received_at=datetime.now(UTC))
    add_signal(runtime, state="executed")
    add_order(runtime)
    add_order(runtime, exchange_order_id=None)
    add_order(runtime, status="partially_filled", cancel_requested_at=at(0))
    add_order(runtime, status="filled")
    add_update(runtime, received_at=minute_ago)
    add_signal(runtime, symbol="ETHUSDT")

    [lane] = api.get(LANES, asset="BTCUSDT")["lanes"]

    assert lane["depth"] == 2
    assert 60 <= lane["oldest_signal_age_s"] < 90
    assert (lane["open_orders"], lane["in_flight_orders"], lane["cancelling_orders"]) == (3, 1, 1)
    assert lane["waiting_updates"] == 1
    assert 60 <= lane["oldest_update_age_s"] < 90


@pytest.mark.parametrize(
    ("columns", "result"),
    [
        ({"reconciled_at": at(1)}, "completed"),
        ({"reconciled_at": at(1), "reconcile_failed_at": at(0)}, "completed"),
        ({"reconciled_at": at(0), "reconcile_failed_at": at(1)}, "failed"),
        ({"reconcile_failed_at": at(1)}, "failed"),
    ],
)
def test_a_lane_tells_how_its_last_comparison_ended(
    api: Api, runtime: Runtime, columns: dict[str, Any], result: str
) -> None:
    add_lane(runtime, "SOLUSDT", reconciled_orders=3, corrected_orders=1, discrepancies=0, **columns)

    [lane] = api.get(LANES, asset="SOLUSDT")["lanes"]

    assert lane["reconciliation"]["result"] == result
    assert lane["reconciliation"]["orders"] == 3


def test_lanes_come_by_asset_in_pages_and_by_mode(api: Api, runtime: Runtime) -> None:
    add_lane(runtime, "SOLUSDT", mode="halted")

    assert [lane["asset"] for lane in api.get(LANES)["lanes"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    page = api.get(LANES, limit=1, offset=1)
    assert [lane["asset"] for lane in page["lanes"]] == ["ETHUSDT"]
    assert page["pagination"]["total"] == 3
    assert [lane["asset"] for lane in api.get(LANES, mode="halted")["lanes"]] == ["SOLUSDT"]
