"""Snapshots: which are due, that each is of one moment, and that old ones go."""

import threading
from decimal import Decimal as D

import pytest
from sqlalchemy.exc import IntegrityError

from order_manager.database.snapshots import CHUNK, PositionSnapshots
from order_manager.domain.events import position_event
from order_manager.domain.positions import PositionMode
from tests.builders import NOW, at

ONE_WAY, HEDGE = PositionMode.ONE_WAY, PositionMode.HEDGE


@pytest.fixture
def snapshots(ledger):
    return PositionSnapshots(ledger.engine)


def add(ledger, asset="BTCUSDT", mode="one_way", size=0, **columns):
    values = {"asset": asset, "mode": mode, "size": size, **columns}
    ledger.execute(
        f"INSERT INTO positions ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})",
        **values,
    )


def take(ledger, snapshots, asset="BTCUSDT", mode=ONE_WAY, *, mark=None, taken_at=NOW, events=(), **body):
    with snapshots.taking(asset, mode, mark_price=mark) as taking:
        updated_at = taking.stored.updated_at.isoformat()
        taking.record({"updated_at": updated_at, **body}, events, taken_at=taken_at)


def test_what_is_held_is_always_due(ledger, snapshots):
    add(ledger, "BTCUSDT", size=1)
    add(ledger, "ETHUSDT", "hedge", short_size=-1)
    for _ in range(2):
        assert snapshots.due() == [("BTCUSDT", ONE_WAY), ("ETHUSDT", HEDGE)]
        take(ledger, snapshots)
        take(ledger, snapshots, "ETHUSDT", HEDGE)


def test_what_is_flat_is_due_once_after_each_change(ledger, snapshots):
    add(ledger)
    assert snapshots.due() == [("BTCUSDT", ONE_WAY)]
    take(ledger, snapshots)
    assert snapshots.due() == []
    take(ledger, snapshots, mark=D(5))  # a new price is no change
    assert snapshots.due() == []
    ledger.execute("UPDATE positions SET realized_pnl = 3, updated_at = now()")
    assert snapshots.due() == [("BTCUSDT", ONE_WAY)]


def test_a_mark_price_is_brought_up_to_date_and_kept_when_there_is_none(ledger, snapshots):
    add(ledger, size=1, mark_price=7)
    for mark, expected in ((None, D(7)), (D("8.5"), D("8.5")), (None, D("8.5"))):
        with snapshots.taking("BTCUSDT", ONE_WAY, mark_price=mark) as taking:
            assert taking.stored.mark_price == expected
    assert ledger.row("SELECT mark_price FROM positions")["mark_price"] == D("8.5")


def test_a_snapshot_knows_the_one_before_of_the_same_position(ledger, snapshots):
    add(ledger, size=1)
    add(ledger, mode="hedge", long_size=1)
    with snapshots.taking("BTCUSDT", ONE_WAY, mark_price=None) as taking:
        assert taking.last is None
    take(ledger, snapshots, number=1)
    take(ledger, snapshots, number=2, taken_at=at(1))
    take(ledger, snapshots, mode=HEDGE, number=3, taken_at=at(2))
    with snapshots.taking("BTCUSDT", ONE_WAY, mark_price=None) as taking:
        assert taking.last["number"] == 2


def test_a_position_that_is_gone_has_no_snapshot(snapshots):
    with snapshots.taking("NOPEUSDT", ONE_WAY, mark_price=D(1)) as taking:
        assert taking is None


def test_snapshot_mark_price_and_events_come_together_or_not_at_all(ledger, snapshots):
    add(ledger, size=1)
    event = position_event("position_pnl", {"asset": "BTCUSDT"}, details={}, trace_id="t", now=NOW)
    clash = [event, event]  # the same id twice
    with pytest.raises(IntegrityError):
        take(ledger, snapshots, mark=D(9), events=clash)
    assert ledger.rows("SELECT 1 FROM position_snapshots") == []
    assert ledger.events() == []
    assert ledger.row("SELECT mark_price FROM positions")["mark_price"] is None

    take(ledger, snapshots, mark=D(9), events=[event])
    assert ledger.row("SELECT symbol, order_id FROM order_events") == {"symbol": "BTCUSDT", "order_id": None}


def test_a_second_taker_waits_and_sees_what_the_first_wrote(ledger, snapshots):
    add(ledger, size=1)
    seen = []

    def second() -> None:
        with snapshots.taking("BTCUSDT", ONE_WAY, mark_price=None) as taking:
            seen.append(taking.last)

    with snapshots.taking("BTCUSDT", ONE_WAY, mark_price=None) as taking:
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        assert seen == []
        taking.record({"number": 1}, [], taken_at=NOW)
    other.join(5)
    assert seen == [{"number": 1}]


def test_old_snapshots_go_in_chunks_and_the_oldest_first(ledger, snapshots):
    ledger.execute(
        "INSERT INTO position_snapshots (asset, mode, snapshot, taken_at)"
        " SELECT 'BTCUSDT', 'one_way', '{}', CAST(:now AS timestamptz) - make_interval(secs => n)"
        " FROM generate_series(0, 2199) n",
        now=NOW,
    )
    assert snapshots.delete_before(at(-100), at_most=50) == 50
    assert ledger.row("SELECT min(taken_at) AS oldest FROM position_snapshots")["oldest"] == at(-2149)
    assert snapshots.delete_before(at(-100), at_most=10 * CHUNK) == 2049
    assert ledger.row("SELECT count(*) AS n FROM position_snapshots")["n"] == 101
    assert snapshots.delete_before(at(-100), at_most=10 * CHUNK) == 0
