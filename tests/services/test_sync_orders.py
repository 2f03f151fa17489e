"""Sync on demand: which lanes are compared, and how the result is told."""

import threading
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from order_manager.database.sync import SyncStore
from order_manager.database.updates import UpdateStore
from order_manager.domain.orders import OrderStatus
from order_manager.domain.syncing import LaneSync, SyncRun
from order_manager.errors import Unavailable
from order_manager.services.sync_orders import (
    Syncing,
    SyncScope,
    start_sync,
    sync_json,
    wait_for_sync,
)
from tests.builders import at, holding

OURS = "om-test-1-0"


@pytest.fixture
def discovered():
    return []


@pytest.fixture
def syncing(room, discovered) -> Syncing:
    room.ledger.open("ETHUSDT")
    room.exchange.list_symbol("ETHUSDT")
    return Syncing(
        runs=SyncStore(room.ledger.engine),
        lanes=UpdateStore(room.ledger.engine),
        symbols=room.ledger.inbox,
        wake=room.woken.append,
        discover=lambda: discovered.append(True),
    )


def result(syncing, run_id, **more):
    return wait_for_sync(run_id, syncing=syncing, **{"timeout_s": 0, **more})


def requested(room):
    query = "SELECT * FROM lanes WHERE reconcile_requested_at IS NOT NULL ORDER BY symbol"
    rows = room.ledger.rows(query)
    return {row["symbol"]: row["validate_requested_at"] is not None for row in rows}


@pytest.mark.parametrize(
    ("scope", "asset", "wanted", "discovers"),
    [
        ("active", None, {"BTCUSDT": False}, False),
        ("active", "ETHUSDT", {"ETHUSDT": False}, False),  # it was named, open orders or not
        ("active", "NOPEUSDT", {}, False),
        ("orders", None, {"BTCUSDT": False, "ETHUSDT": False}, False),
        ("orders", "ETHUSDT", {"ETHUSDT": False}, False),
        ("positions", None, {"BTCUSDT": True, "ETHUSDT": True}, False),
        ("all", None, {"BTCUSDT": True, "ETHUSDT": True}, True),
        ("all", "BTCUSDT", {"BTCUSDT": True}, False),
        ("all", "NOPEUSDT", {}, False),
    ],
)
def test_the_scope_chooses_the_lanes_and_how_deep(room, syncing, discovered, scope, asset, wanted, discovers):
    room.ledger.add_order()
    room.ledger.add_order(
        id="11111111-2222-4333-8444-000000000001",
        client_order_id="done",
        symbol="ETHUSDT",
        status=OrderStatus.FILLED,
    )
    run_id = start_sync(SyncScope(scope), asset, syncing=syncing)
    assert requested(room) == wanted
    assert sorted(room.woken) == sorted(wanted)
    assert bool(discovered) is discovers
    told = result(syncing, run_id)
    assert (told["scope"], told["asset"], told["assets"]) == (scope, asset, sorted(wanted))
    assert told["status"] == ("partial" if wanted else "completed")


def test_a_sync_tells_what_every_lane_found(room, syncing):
    room.resting()
    room.exchange.fill(OURS, room.exchange.reports[OURS].quantity)
    run_id = start_sync(SyncScope.ORDERS, None, syncing=syncing)
    before = result(syncing, run_id)
    assert (before["status"], before["pending_assets"]) == ("partial", ["BTCUSDT", "ETHUSDT"])
    for symbol in room.woken:
        room.work(symbol)
    told = result(syncing, run_id)
    assert told == {
        "status": "completed",
        "sync_id": run_id,
        "scope": "orders",
        "asset": None,
        "assets": ["BTCUSDT", "ETHUSDT"],
        "pending_assets": [],
        "synced_orders": 1,
        "updated_orders": 1,
        "position_discrepancies": 0,
        "position_adjustments": [],
        "errors": [],
        "timestamp": told["timestamp"],
    }
    assert told["timestamp"].endswith("Z")


@pytest.mark.parametrize(("asset", "status"), [("BTCUSDT", "failed"), (None, "partial")])
def test_a_lane_that_could_not_ask_the_exchange_is_told_with_its_error_and_not_waited_for(
    room, syncing, asset, status
):
    run_id = start_sync(SyncScope.ORDERS, asset, syncing=syncing)
    room.exchange.trouble("open_orders", Unavailable("away"))
    for symbol in sorted(room.woken):
        room.work(symbol)
    told = result(syncing, run_id, timeout_s=60)
    assert (told["status"], told["errors"]) == (status, [{"asset": "BTCUSDT", "error": "away"}])
    assert told["pending_assets"] == ["BTCUSDT"]
    room.ledger.execute("UPDATE lanes SET reconcile_requested_at = now() WHERE symbol = 'BTCUSDT'")
    room.work()
    assert result(syncing, run_id)["status"] == "completed"


def test_a_wait_ends_as_soon_as_the_last_lane_is_done(room, syncing):
    run_id = start_sync(SyncScope.ORDERS, "ETHUSDT", syncing=syncing)
    worker = threading.Timer(0.2, lambda: room.work("ETHUSDT"))
    worker.start()
    assert result(syncing, run_id, timeout_s=30)["status"] == "completed"
    worker.join()


def test_a_broker_that_is_away_delays_the_sync_and_does_not_fail_it(room, syncing):
    def away(symbol: str) -> None:
        raise ConnectionError("the broker is away")

    with capture_logs() as logs:
        run_id = start_sync(SyncScope.ORDERS, None, syncing=replace(syncing, wake=away))
    assert "wake_up_lost" in [line["event"] for line in logs]
    assert requested(room) == {"BTCUSDT": False, "ETHUSDT": False}
    room.ledger.execute(
        "UPDATE lanes SET reconcile_requested_at = reconcile_requested_at - interval '5 seconds'"
    )
    assert len(room.ledger.inbox.forgotten(older_than_s=1.0)) == 2, "the sweep wakes them"
    assert result(syncing, run_id)["status"] == "partial"


def test_a_run_that_nobody_asked_for_is_none(syncing):
    assert result(syncing, "11111111-2222-4333-8444-000000000009") is None


def lane(symbol, *, done=False, error=None):
    return LaneSync(symbol=symbol, is_done=done, seen=2, corrected=1, discrepancies=1, error=error)


@pytest.mark.parametrize(
    ("lanes", "status"),
    [
        ([], "completed"),
        ([lane("A", done=True), lane("B", done=True)], "completed"),
        ([lane("A", done=True), lane("B")], "partial"),
        ([lane("A"), lane("B")], "partial"),
        ([lane("A", done=True), lane("B", error="away")], "partial"),
        ([lane("A"), lane("B", error="away")], "failed"),
    ],
)
def test_the_status_says_how_much_is_done(lanes, status):
    run = SyncRun(id="1", scope="all", asset=None, requested_at=at(0), lanes=tuple(lanes), adjustments=())
    told = sync_json(run)
    assert told["status"] == status
    assert told["synced_orders"] == 2 * told["updated_orders"] == 2 * told["position_discrepancies"]
    assert told["synced_orders"] == 2 * sum(one.is_done for one in lanes)


def test_what_was_set_right_is_told(room, syncing):
    room.exchange.positions["BTCUSDT"] = holding("0.03", 50000)
    run_id = start_sync(SyncScope.ORDERS, "BTCUSDT", syncing=syncing)
    room.work()
    told = result(syncing, run_id)
    [one] = told["position_adjustments"]
    assert (one["asset"], one["size_before"], one["size_after"]) == ("BTCUSDT", "0", "0.03")
    assert (one["average_price_after"], one["source"]) == ("50000", "exchange")
    assert one["reason"] == "the exchange shows another position"
    later = start_sync(SyncScope.ORDERS, "BTCUSDT", syncing=syncing)
    room.work()
    assert result(syncing, later)["position_adjustments"] == []
