"""POST /api/v1/sync: a comparison with the exchange on demand, and how far it is."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from order_manager.domain.positions import PositionMode
from order_manager.tasks import exchange_updates
from order_manager.web import create_app, sync
from order_manager.wiring import Runtime
from tests.builders import an_instrument
from tests.web.conftest import KEY, Api, RuntimeOf
from tests.web.rows import add_order

SYNC = "/api/v1/sync"


@pytest.fixture(autouse=True)
def lanes(api: Api, runtime: Runtime) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        runtime.inbox.open_lane(an_instrument(symbol=symbol), PositionMode.ONE_WAY)


@pytest.fixture(autouse=True)
def workers(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Callable[[Any], None]]]:
    """What workers do with a lane that was woken; by default they compare it and find two orders."""
    doings: dict[str, Callable[[Any], None]] = {}
    threads = []

    def work(symbol: str) -> None:
        time.sleep(0.05)
        with runtime.lanes.take(symbol) as lane:
            assert lane is not None
            finish = doings.get(
                symbol, lambda lane: lane.finish_reconciliation(seen=2, corrected=1, discrepancies=0)
            )
            finish(lane)

    def wake(symbol: str) -> None:
        threads.append(threading.Thread(target=work, args=[symbol]))
        threads[-1].start()

    monkeypatch.setattr(exchange_updates, "wake", wake)
    monkeypatch.setattr(exchange_updates, "send_discover_symbols", lambda: None)
    monkeypatch.setattr(sync, "WAIT_S", 0.5)
    yield doings
    for thread in threads:
        thread.join()


def post(api: Api, body: Any = None, **query: Any) -> TestResponse:
    return api.client.post(SYNC, json=body, query_string=query or None, headers={"X-API-Key": KEY})


@pytest.mark.parametrize("how", ["query", "body", "both"])
def test_a_sync_is_asked_for_in_the_query_or_as_json(api: Api, how: str) -> None:
    given = {"scope": "orders", "asset": "ETHUSDT"}
    if how == "both":
        answer = post(api, {"scope": "orders"}, asset="ETHUSDT")
    else:
        answer = post(api, given) if how == "body" else post(api, **given)
    assert answer.status_code == 200, answer.text
    body = answer.json
    assert (body["status"], body["scope"], body["asset"]) == ("completed", "orders", "ETHUSDT")
    assert (body["synced_orders"], body["updated_orders"], body["errors"]) == (2, 1, [])
    assert (body["assets"], body["pending_assets"]) == (["ETHUSDT"], [])
    assert body["timestamp"].endswith("Z")


def test_without_a_scope_the_lanes_with_open_orders_are_compared(api: Api, runtime: Runtime) -> None:
    add_order(runtime)
    body = post(api).json
    assert (body["scope"], body["assets"], body["status"]) == ("active", ["BTCUSDT"], "completed")


def test_where_there_is_nothing_to_compare_it_is_complete_at_once(api: Api) -> None:
    body = post(api).json
    assert (body["status"], body["assets"], body["synced_orders"]) == ("completed", [], 0)


def test_what_takes_longer_is_answered_with_a_number_to_ask_by(api: Api, workers: Any) -> None:
    go_on = threading.Event()
    workers["ETHUSDT"] = lambda lane: (
        go_on.wait(10) and lane.finish_reconciliation(seen=3, corrected=0, discrepancies=1)
    )
    answer = post(api, scope="all")
    assert answer.status_code == 202
    body = answer.json
    assert (body["status"], body["pending_assets"]) == ("partial", ["ETHUSDT"])
    path = f"{SYNC}/{body['task_id']}"
    assert api.answer(path).status_code == 202
    go_on.set()
    for _ in range(100):
        if (answer := api.answer(path)).status_code == 200:
            break
        time.sleep(0.02)
    assert answer.json["status"] == "completed"
    assert (answer.json["synced_orders"], answer.json["position_discrepancies"]) == (5, 1)


@pytest.mark.parametrize(("asset", "status"), [("ETHUSDT", "failed"), (None, "partial")])
def test_an_exchange_that_could_not_be_asked_is_told_by_asset(
    api: Api, workers: Any, asset: str | None, status: str
) -> None:
    workers["ETHUSDT"] = lambda lane: lane.fail_reconciliation("away")
    answer = post(api, scope="orders", **({"asset": asset} if asset else {}))
    assert (answer.status_code, answer.json["status"]) == (200, status)
    assert answer.json["errors"] == [{"asset": "ETHUSDT", "error": "away"}]


def test_a_broker_that_is_away_leaves_it_to_the_sweep(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(symbol: str) -> None:
        raise ConnectionError("the broker is away")

    monkeypatch.setattr(exchange_updates, "wake", away)
    answer = post(api, scope="orders")
    assert (answer.status_code, answer.json["pending_assets"]) == (202, ["BTCUSDT", "ETHUSDT"])


# What cannot be


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"scope": "everything"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": 5}, "scope"),
        ({"scope": ["all"]}, "scope"),
        ({"asset": "btc usdt"}, "asset"),
        ({"asset": {"symbol": "BTCUSDT"}}, "asset"),
        ({"asset": True}, "asset"),
        ({"symbol": "BTCUSDT"}, "symbol"),
    ],
)
def test_a_bad_value_is_refused_by_name(api: Api, given: dict[str, Any], field: str) -> None:
    answers = [post(api, given)]
    if all(isinstance(value, str) for value in given.values()):
        answers.append(post(api, **given))
    for answer in answers:
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_parameter"), answer.text
        assert [problem["parameter"] for problem in answer.json["details"]["parameters"]] == [field]


def test_a_field_that_is_null_is_left_out(api: Api) -> None:
    assert post(api, {"scope": "orders", "asset": None}).json["assets"] == ["BTCUSDT", "ETHUSDT"]


def test_a_parameter_is_given_once(api: Api) -> None:
    assert post(api, {"scope": "all"}, scope="orders").status_code == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b'"all"', b"scope=all", b"\xff"])
def test_a_body_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    answer = api.client.post(SYNC, data=body, headers={"X-API-Key": KEY})
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_body")


def test_a_symbol_without_a_lane_is_not_found(api: Api) -> None:
    answer = post(api, asset="NOPEUSDT")
    assert (answer.status_code, answer.json["code"]) == (404, "symbol_not_found")
    assert answer.json["details"] == {"asset": "NOPEUSDT"}


@pytest.mark.parametrize("number", ["11111111-2222-4333-8444-555555555555", "x", "1" * 500, "%00"])
def test_a_sync_that_nobody_asked_for_is_not_found(api: Api, number: str) -> None:
    answer = api.answer(f"{SYNC}/{number}")
    assert (answer.status_code, answer.json["code"]) == (404, "sync_not_found")


def test_a_dry_run_has_nothing_to_compare_with(api: Api, runtime_of: RuntimeOf) -> None:
    dry = Api(create_app(runtime_of(ORDERMANAGER_ENABLE_DRY_RUN="true")).test_client())
    answer = post(dry, scope="all")
    assert (answer.status_code, answer.json["code"]) == (409, "dry_run")


def test_a_sync_needs_the_key(api: Api) -> None:
    assert api.client.post(SYNC).status_code == 401
    assert api.client.get(f"{SYNC}/1").status_code == 401
    assert post(api, scope="orders").status_code == 200
