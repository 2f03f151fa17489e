"""The inbox: every signal once, in the order of its arrival; and what was forgotten is found."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from sqlalchemy import text

from order_manager.database.inbox import Receipt, Received
from order_manager.database.tables import OPEN
from order_manager.database.updates import UpdateStore
from order_manager.domain.events import malformed_event
from order_manager.domain.orders import OrderStatus
from order_manager.domain.positions import PositionMode
from order_manager.domain.state import Rejection
from tests.builders import NOW, a_report, a_signal, an_instrument, at


def test_a_signal_is_stored_once(ledger):
    signal = a_signal(notional="1000.10")
    assert ledger.inbox.receive(signal, "body") == Received(receipt=Receipt.STORED, state="waiting")
    assert ledger.inbox.receive(signal, "body") == Received(receipt=Receipt.DUPLICATE, state="waiting")
    assert ledger.inbox.waiting("BTCUSDT") == [signal]
    assert ledger.signal(signal.signal_id)["body"] == "body"


@pytest.mark.parametrize("state", ["waiting", "planned", "executed", "rejected"])
def test_a_duplicate_tells_what_became_of_the_first(ledger, state):
    signal = ledger.receive()
    ledger.execute("UPDATE trading_signals SET state = :state", state=state)
    received = ledger.inbox.receive(signal, "{}")
    assert (received.receipt, received.state) == (Receipt.DUPLICATE, state)


def test_only_a_failed_signal_is_retried_and_it_goes_to_the_end_with_what_it_says_now(ledger):
    signal = ledger.receive()
    other = ledger.receive(signal_id="other")
    ledger.execute(
        "UPDATE trading_signals SET state = 'failed', code = 'x', reason = 'y', decided_at = now(),"
        " finished_at = now(), decision = '{}' WHERE signal_id = :id",
        id=signal.signal_id,
    )
    before = ledger.signal(signal.signal_id)
    again = a_signal(notional=7)
    assert ledger.inbox.receive(again, "new") == Received(receipt=Receipt.RETRIED, state="failed")
    row = ledger.signal(signal.signal_id)
    assert row["seq"] > ledger.signal(other.signal_id)["seq"] > before["seq"]
    assert (row["attempt"], row["notional"], row["body"], row["state"]) == (2, 7, "new", "waiting")
    assert [row[name] for name in ("code", "reason", "decided_at", "finished_at", "decision")] == [None] * 5


def test_a_signal_comes_back_as_it_was(ledger):
    signal = a_signal(
        notional="123456789012345.123456789012345678",
        confidence="0.123456789012345678",
        snapshot_price=None,
        snapshot_spread="0",
        timestamp=None,
        strategy_id=None,
        is_urgent=True,
    )
    ledger.inbox.receive(signal, "{}")
    assert ledger.inbox.waiting("BTCUSDT") == [signal]


def test_arrival_numbers_of_a_symbol_commit_in_their_own_order(ledger):
    """However many consumers: who sees a number has seen every smaller one of the symbol."""
    stop, jumps = threading.Event(), []

    def watch() -> None:
        seen: dict[str, list[int]] = {"BTCUSDT": [], "ETHUSDT": []}
        with ledger.engine.connect() as connection:
            while not stop.is_set():
                for symbol, known in seen.items():
                    query = text("SELECT seq FROM trading_signals WHERE symbol = :s ORDER BY seq")
                    now = list(connection.execute(query, {"s": symbol}).scalars())
                    if now[: len(known)] != known:
                        jumps.append((known, now))
                    seen[symbol] = now

    def consume(worker: int) -> None:
        for number in range(25):
            symbol = "BTCUSDT" if number % 2 else "ETHUSDT"
            ledger.inbox.receive(a_signal(signal_id=f"{worker}-{number}", symbol=symbol), "{}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(consume, range(6)))
    stop.set()
    watcher.join(10)
    assert jumps == []
    assert ledger.row("SELECT count(*) AS n FROM trading_signals")["n"] == 150


def test_a_later_arrival_waits_for_an_earlier_one_that_has_not_committed(ledger):
    """The same, without luck: the first transaction holds its number back."""
    with ledger.engine.connect() as first, ThreadPoolExecutor(1) as pool:
        first.exec_driver_sql("BEGIN")
        first.exec_driver_sql("SELECT pg_advisory_xact_lock(4605, hashtext('BTCUSDT'))")
        later = pool.submit(ledger.receive)
        time.sleep(0.2)
        assert not later.done()
        ledger.receive(signal_id="another symbol", symbol="ETHUSDT")  # does not wait
        first.exec_driver_sql("COMMIT")
        later.result(5)


def test_the_same_signal_from_two_consumers_at_once_is_stored_once(ledger):
    barrier = threading.Barrier(5)

    def consume(_: int) -> Receipt:
        barrier.wait()
        return ledger.inbox.receive(a_signal(), "{}").receipt

    with ThreadPoolExecutor(5) as pool:
        receipts = sorted(pool.map(consume, range(5)))
    assert receipts == [Receipt.DUPLICATE] * 4 + [Receipt.STORED]


def test_a_failed_signal_from_two_consumers_at_once_is_retried_once(ledger):
    ledger.receive()
    ledger.execute("UPDATE trading_signals SET state = 'failed'")
    barrier = threading.Barrier(4)

    def consume(_: int) -> Receipt:
        barrier.wait()
        return ledger.inbox.receive(a_signal(), "{}").receipt

    with ThreadPoolExecutor(4) as pool:
        receipts = sorted(pool.map(consume, range(4)))
    assert receipts == [Receipt.DUPLICATE] * 3 + [Receipt.RETRIED]
    assert ledger.row("SELECT attempt FROM trading_signals")["attempt"] == 2


def test_a_dead_letter_is_kept_whole_with_its_event(ledger):
    event = malformed_event(
        signal_id="s-1", code="invalid_value", field="asset", message="no", trace_id="t-1", now=NOW
    )
    number = ledger.inbox.record_dead_letter(
        queue="q",
        code="invalid_value",
        field="f" * 200,
        reason="no",
        body=b"\x00\xff",
        headers={"trace_id": "t-1", "n": 5},
        events=[event],
    )
    row = ledger.row("SELECT * FROM dead_letters")
    assert (row["id"], bytes(row["body"]), row["field"]) == (number, b"\x00\xff", "f" * 100)
    assert row["headers"] == {"trace_id": "t-1", "n": "5"}
    assert row["signal_id"] == "s-1"
    [(_, stored)] = ledger.inbox.unpublished_without_lane()
    assert stored == event


def test_a_lane_is_opened_once_and_keeps_its_number(ledger):
    ledger.open()
    first = ledger.inbox.known_lanes()
    ledger.inbox.open_lane(an_instrument(lot_size="0.01"), PositionMode.HEDGE)
    assert ledger.inbox.known_lanes() == first
    assert ledger.inbox.instrument("BTCUSDT", "linear").lot_size == D("0.01")
    assert ledger.row("SELECT position_mode FROM lanes")["position_mode"] == "hedge"


def test_an_instrument_comes_back_as_it_was(ledger):
    instrument = an_instrument(min_price="0.1", max_price=199999, is_trading=False, tick_size="0.00000001")
    ledger.inbox.save_instruments([instrument])
    assert ledger.inbox.instrument("BTCUSDT", "linear") == instrument
    assert ledger.inbox.instrument("BTCUSDT", "spot") is None
    ledger.inbox.save_instruments([])


def test_rejecting_what_waits_leaves_what_has_ended_meanwhile(ledger):
    ended, waiting = ledger.receive(signal_id="a"), ledger.receive(signal_id="b")
    ledger.execute("UPDATE trading_signals SET state = 'executed' WHERE signal_id = 'a'")
    rejection = Rejection(code="unknown_symbol", message="no")
    ledger.inbox.reject_waiting("BTCUSDT", rejection, signals=[ended, waiting], now=NOW)
    assert [ledger.signal(name)["state"] for name in "ab"] == ["executed", "rejected"]
    assert len(ledger.events()) == 1


# What was forgotten


def forgotten(ledger, seconds=1.0):
    return sorted(ledger.inbox.forgotten(older_than_s=seconds))


def make_old(ledger):
    for table, column in [
        ("trading_signals", "received_at"),
        ("orders", "updated_at"),
        ("order_events", "created_at"),
    ]:
        ledger.execute(f"UPDATE {table} SET {column} = now() - interval '5 seconds'")


@pytest.mark.parametrize("state", ["waiting", "planned"])
def test_a_signal_that_waits_too_long_is_found(ledger, state):
    ledger.open()
    ledger.receive()
    ledger.execute("UPDATE trading_signals SET state = :state", state=state)
    assert forgotten(ledger) == []
    make_old(ledger)
    assert forgotten(ledger) == [("BTCUSDT", True)]
    assert forgotten(ledger, 10.0) == []


@pytest.mark.parametrize("state", ["executed", "rejected", "failed"])
def test_a_signal_that_has_ended_is_not_forgotten(ledger, state):
    ledger.open()
    ledger.receive()
    ledger.execute("UPDATE trading_signals SET state = :state", state=state)
    make_old(ledger)
    assert forgotten(ledger) == []


def test_a_signal_whose_symbol_has_no_lane_is_found_as_such(ledger):
    ledger.receive()
    make_old(ledger)
    assert forgotten(ledger) == [("BTCUSDT", False)]


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({"exchange_order_id": None}, True),
        ({"cancel_requested_at": NOW}, True),
        ({"status": OrderStatus.PARTIALLY_FILLED, "cancel_requested_at": NOW}, True),
        ({}, False),  # rests: reconciliation looks after it
        ({"status": OrderStatus.FILLED}, False),
        ({"status": OrderStatus.REJECTED, "exchange_order_id": None}, False),
    ],
)
def test_an_order_whose_fate_is_open_is_found(ledger, changes, is_found):
    ledger.open()
    ledger.add_order(**changes)
    make_old(ledger)
    assert forgotten(ledger) == ([("BTCUSDT", True)] if is_found else [])


def test_an_event_that_nobody_published_is_found(ledger):
    ledger.open()
    signal = ledger.receive()
    ledger.inbox.reject_waiting("BTCUSDT", Rejection(code="c", message="m"), signals=[signal], now=NOW)
    make_old(ledger)
    assert forgotten(ledger) == [("BTCUSDT", True)]
    ledger.execute("UPDATE order_events SET published_at = now()")
    assert forgotten(ledger) == []


def test_a_symbol_is_found_once_though_much_of_it_waits(ledger):
    ledger.open("BTCUSDT", "ETHUSDT")
    for number in range(3):
        ledger.receive(signal_id=f"b{number}")
        ledger.receive(signal_id=f"e{number}", symbol="ETHUSDT")
    ledger.add_order(exchange_order_id=None)
    make_old(ledger)
    assert forgotten(ledger) == [("BTCUSDT", True), ("ETHUSDT", True)]


def test_a_blocked_lane_is_found_only_when_its_time_has_come(ledger):
    ledger.open()
    ledger.receive()
    make_old(ledger)
    with ledger.lane() as lane:
        lane.block(until=datetime.now(UTC) + timedelta(minutes=1), reason="x", now=NOW)
        assert forgotten(ledger) == []
        lane.block(until=datetime.now(UTC) - timedelta(seconds=1), reason="x", now=NOW)
    assert forgotten(ledger) == [("BTCUSDT", True)]


@pytest.mark.parametrize("is_blocked", [False, True])
def test_updates_that_wait_too_long_are_found_in_a_blocked_lane_too(ledger, is_blocked):
    ledger.open()
    if is_blocked:
        with ledger.lane() as lane:
            lane.block(until=datetime.now(UTC) + timedelta(minutes=1), reason="x", now=NOW)
    store = UpdateStore(ledger.engine)
    store.store([a_report()], source="stream", received_at=datetime.now(UTC))
    assert forgotten(ledger) == []
    store.store([a_report(symbol="NOPEUSDT")], source="gateway", received_at=NOW)
    assert forgotten(ledger) == [("NOPEUSDT", False)]
    ledger.execute("UPDATE exchange_updates SET received_at = now() - interval '5 seconds'")
    assert forgotten(ledger) == [("BTCUSDT", True), ("NOPEUSDT", False)]
    with ledger.lane() as lane:
        lane.drop_updates([number for number, _ in lane.updates(9)])
    assert forgotten(ledger) == [("NOPEUSDT", False)]


def test_a_comparison_that_is_due_for_too_long_is_found_unless_the_lane_is_blocked(ledger):
    ledger.open()
    UpdateStore(ledger.engine).request_reconciliation()
    assert forgotten(ledger) == []
    ledger.execute("UPDATE lanes SET reconcile_requested_at = now() - interval '5 seconds'")
    assert forgotten(ledger) == [("BTCUSDT", True)]
    with ledger.lane() as lane:
        lane.block(until=datetime.now(UTC) + timedelta(minutes=1), reason="x", now=NOW)
        assert forgotten(ledger) == []
        lane.finish_reconciliation(seen=0, corrected=0, discrepancies=0)
        lane.unblock()
    assert forgotten(ledger) == []


def test_symbols_whose_open_orders_are_old_enough_are_told(ledger):
    ledger.add_order()
    ledger.add_order(
        id="11111111-2222-4333-8444-000000000001", client_order_id="b", symbol="ETHUSDT", created_at=at(60)
    )
    assert ledger.inbox.symbols_with_open_orders(created_before=at(60)) == ["BTCUSDT"]
    assert sorted(ledger.inbox.symbols_with_open_orders(created_before=at(61))) == ["BTCUSDT", "ETHUSDT"]


def test_symbols_with_open_orders_are_told_once_each(ledger):
    ledger.add_order()
    ledger.add_order(id="11111111-2222-4333-8444-000000000001", client_order_id="b")
    ledger.add_order(
        id="11111111-2222-4333-8444-000000000002",
        client_order_id="c",
        symbol="ETHUSDT",
        status=OrderStatus.FILLED,
    )
    assert ledger.inbox.symbols_with_open_orders() == ["BTCUSDT"]


def test_events_without_a_lane_are_told_oldest_first_and_marked_once(ledger):
    ledger.open("BTCUSDT")
    for number in range(3):
        ledger.receive(signal_id=f"n{number}", symbol="NOPEUSDT")
    signals = ledger.inbox.waiting("NOPEUSDT")
    ledger.inbox.reject_waiting("NOPEUSDT", Rejection(code="c", message="m"), signals=signals, now=NOW)
    mine = ledger.receive()
    ledger.inbox.reject_waiting("BTCUSDT", Rejection(code="c", message="m"), signals=[mine], now=NOW)
    rows = ledger.inbox.unpublished_without_lane()
    assert [event.signal_id for _, event in rows] == ["n0", "n1", "n2"]
    ledger.inbox.mark_published([rows[0][0]])
    assert [event.signal_id for _, event in ledger.inbox.unpublished_without_lane()] == ["n1", "n2"]
    ledger.inbox.mark_published([])


def test_the_index_of_open_orders_covers_both_open_states():
    assert str(OPEN) == "status IN ('pending', 'partially_filled')"
