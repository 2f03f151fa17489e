"""Running a lane: take it, work, leave, look once more."""

from order_manager.errors import Unavailable
from tests.builders import a_limit_signal


def test_a_lane_that_another_process_holds_is_left_alone(room):
    signal = room.ledger.receive()
    with room.lane():
        assert room.run() == 0
    assert room.state(signal)[0] == "waiting"
    assert room.woken == []


def test_a_symbol_without_a_lane_is_nothing_to_run(room):
    assert room.run("NOSUCH") == 0


def test_a_lane_with_nothing_to_do_is_not_even_locked(room):
    assert room.run() == 0
    assert room.exchange.calls == []


def test_a_run_returns_how_many_signals_ended(room):
    room.ledger.receive(signal_id="a")
    room.ledger.receive(signal_id="b")
    assert room.run() == 2
    assert room.woken == []


def test_what_is_left_of_a_batch_wakes_the_lane_again(room):
    for name in "abc":
        room.ledger.receive(signal_id=name)
    assert room.run(batch=2) == 2
    assert room.woken == ["BTCUSDT"]


def test_what_arrived_while_the_lane_was_held_wakes_it_again(room):
    """The arrival's own wake-up met the lock and left."""
    room.ledger.receive(signal_id="a")

    def arrive() -> None:
        room.ledger.receive(signal_id="late")
        assert room.run() == 0  # held

    room.exchange.before("place_order", arrive)
    assert room.run() == 1
    assert room.woken == ["BTCUSDT"]


def test_a_blocked_lane_does_not_wake_itself_in_a_circle(room):
    room.ledger.receive()
    room.exchange.trouble("place_order", Unavailable("away"))
    assert room.run() == 0
    assert room.woken == []


def test_a_lane_that_is_lost_meanwhile_is_left_without_a_word_to_its_successor(room):
    signal = room.ledger.receive()
    room.exchange.before(
        "available_balance",
        lambda: room.ledger.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
    )
    assert room.run() == 0
    assert room.woken == []
    assert room.state(signal)[0] == "waiting"
    assert room.run() == 1  # the successor


def test_the_lock_is_free_again_after_a_run(room):
    for name in "ab":
        signal = a_limit_signal(signal_id=name)
        room.ledger.inbox.receive(signal, "{}")
        assert room.run() == 1
