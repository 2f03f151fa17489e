"""Comparisons that somebody asked for, and how far each lane is."""

import uuid

import pytest

from order_manager.database.sync import SyncStore
from order_manager.database.updates import UpdateStore
from order_manager.domain.syncing import LaneSync


@pytest.fixture
def store(ledger) -> SyncStore:
    ledger.open("BTCUSDT", "ETHUSDT", "XRPUSDT")
    return SyncStore(ledger.engine)


def start(ledger, store, *symbols):
    number = store.start("orders", None, symbols)
    UpdateStore(ledger.engine).request_reconciliation(symbols)
    return number


def finish(ledger, symbol):
    with ledger.lane(symbol) as lane:
        lane.finish_reconciliation(seen=5, corrected=2, discrepancies=1)


def lanes(store, number):
    return {lane.symbol: lane for lane in store.find(number).lanes}


def test_a_run_is_found_as_it_was_asked_for(store):
    number = store.start("active", "BTCUSDT", ["BTCUSDT", "NOPEUSDT"])
    run = store.find(number)
    assert (run.id, run.scope, run.asset) == (number, "active", "BTCUSDT")
    assert run.lanes == (
        LaneSync(symbol="BTCUSDT", is_done=False, seen=0, corrected=0, discrepancies=0, error=None),
    )
    assert store.find(str(uuid.uuid4())) is None


def test_a_lane_is_done_once_a_comparison_answered_its_request(ledger, store):
    number = start(ledger, store, "BTCUSDT", "ETHUSDT")
    finish(ledger, "BTCUSDT")
    found = lanes(store, number)
    assert found["BTCUSDT"] == LaneSync(
        symbol="BTCUSDT", is_done=True, seen=5, corrected=2, discrepancies=1, error=None
    )
    assert not found["ETHUSDT"].is_done


def test_a_comparison_that_began_before_the_run_does_not_count(ledger, store):
    UpdateStore(ledger.engine).request_reconciliation()
    with ledger.lane() as lane:
        number = start(ledger, store, "BTCUSDT")
        lane.finish_reconciliation(seen=5, corrected=2, discrepancies=1)
    assert not lanes(store, number)["BTCUSDT"].is_done
    finish(ledger, "BTCUSDT")
    assert lanes(store, number)["BTCUSDT"].is_done


def test_a_try_that_failed_since_the_run_began_tells_why_until_one_succeeds(ledger, store):
    with ledger.lane() as lane:
        lane.fail_reconciliation("long ago")
    number = start(ledger, store, "BTCUSDT")
    assert lanes(store, number)["BTCUSDT"].error is None
    with ledger.lane() as lane:
        lane.fail_reconciliation("away")
    assert lanes(store, number)["BTCUSDT"].error == "away"
    finish(ledger, "BTCUSDT")
    assert lanes(store, number)["BTCUSDT"].error is None
