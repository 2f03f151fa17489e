"""Leases: workers share the symbols fairly, and the symbols of a dead worker move."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from order_manager.database.engine import connect
from order_manager.database.leases import WorkerLeases
from order_manager.database.locks import ARRIVAL_LOCK

SYMBOLS = ["AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT"]


@pytest.fixture
def engines(ledger) -> Iterator[list[Engine]]:
    ledger.open(*SYMBOLS)
    made = [connect(ledger.url, pool_size=1) for _ in range(3)]
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture
def crew(engines) -> Iterator[list[WorkerLeases]]:
    with ExitStack() as stack:
        workers = [WorkerLeases(engine) for engine in engines]
        for worker in workers:
            stack.callback(worker.release_all)
        yield workers


def turns(*workers: WorkerLeases, rounds: int = 12) -> None:
    for _ in range(rounds):
        for worker in workers:
            worker.turn()


def loads(*workers: WorkerLeases) -> list[int]:
    return sorted(len(worker.symbols) for worker in workers)


def leased(*workers: WorkerLeases) -> list[str]:
    return sorted(symbol for worker in workers for symbol in worker.symbols)


def test_one_worker_leases_every_symbol(crew):
    turns(crew[0])
    assert leased(crew[0]) == SYMBOLS


def test_workers_share_the_symbols_fairly_and_no_symbol_twice(crew):
    turns(*crew)
    assert leased(*crew) == SYMBOLS
    assert loads(*crew) == [1, 2, 2]


def to_be_compared(ledger) -> list[str]:
    rows = ledger.rows("SELECT symbol FROM lanes WHERE reconcile_requested_at IS NOT NULL ORDER BY symbol")
    return [row["symbol"] for row in rows]


def test_a_lane_that_is_gained_is_to_be_compared_with_the_exchange_and_one_that_stays_is_not(ledger, crew):
    turns(crew[0])
    assert to_be_compared(ledger) == SYMBOLS
    ledger.execute("UPDATE lanes SET reconcile_requested_at = NULL")
    turns(crew[0])
    assert to_be_compared(ledger) == []
    turns(crew[0], crew[1])
    assert to_be_compared(ledger) == sorted(crew[1].symbols)


def test_in_a_dry_run_there_is_nothing_to_compare(ledger, engines):
    worker = WorkerLeases(engines[0], reconcile=False)
    turns(worker)
    worker.release_all()
    assert to_be_compared(ledger) == []


def test_a_worker_that_joins_later_gets_its_share(crew):
    turns(crew[0])
    turns(crew[0], crew[1])
    assert leased(*crew[:2]) == SYMBOLS
    assert loads(*crew[:2]) == [2, 3]


def test_a_turn_tells_what_was_gained_and_lost(crew):
    gained = [symbol for _ in range(8) for symbol in crew[0].turn().gained]
    assert sorted(gained) == SYMBOLS
    crew[1].turn()
    lost = crew[0].turn().lost
    assert lost
    assert not set(lost) & set(crew[0].symbols)


def test_the_symbols_of_a_dead_worker_move(ledger, crew):
    turns(*crew)
    ledger.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
        " AND pid = (SELECT min(pid) FROM pg_locks WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    before = {id(worker): worker.symbols for worker in crew}
    [dead] = [worker for worker in crew if worker.turn().lost == before[id(worker)] != ()]
    assert dead.symbols == ()
    alive = [worker for worker in crew if worker is not dead]
    turns(*alive)
    assert leased(*alive) == SYMBOLS
    turns(*crew)  # and it comes back as a new one
    assert leased(*crew) == SYMBOLS
    assert loads(*crew) == [1, 2, 2]


def test_giving_up_everything_frees_it_for_the_others(crew):
    turns(*crew[:2])
    gone = crew[0].release_all()
    assert sorted(gone + crew[1].symbols) == SYMBOLS
    turns(crew[1])
    assert leased(crew[1]) == SYMBOLS


def test_a_new_symbol_is_leased_by_somebody(ledger, crew):
    turns(*crew)
    ledger.open("FUSDT")
    turns(*crew)
    assert leased(*crew) == [*SYMBOLS, "FUSDT"]
    assert loads(*crew) == [2, 2, 2]


def test_a_bound_worker_takes_its_symbols_and_no_others(engines):
    free, bound = WorkerLeases(engines[0]), WorkerLeases(engines[1], bound_symbols=("BUSDT", "ZUSDT"))
    try:
        turns(free)
        turns(bound, free)
        assert bound.symbols == ("BUSDT",)
        assert leased(free) == ["AUSDT", "CUSDT", "DUSDT", "EUSDT"]
        bound.release_all()
        turns(free)
        assert leased(free) == SYMBOLS
    finally:
        free.release_all()
        bound.release_all()


def test_two_workers_bound_to_one_symbol_lease_it_once_and_the_second_stands_by(engines):
    pair = [WorkerLeases(engine, bound_symbols=("BUSDT",)) for engine in engines[:2]]
    try:
        turns(*pair)
        assert loads(*pair) == [0, 1]
        holder = next(worker for worker in pair if worker.symbols)
        holder.release_all()
        other = next(worker for worker in pair if worker is not holder)
        turns(other)
        assert other.symbols == ("BUSDT",)
    finally:
        for worker in pair:
            worker.release_all()


def test_a_lost_database_is_survived(ledger, engines):
    worker = WorkerLeases(engines[0])
    turns(worker)
    ledger.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert sorted(worker.turn().lost) == SYMBOLS
    turns(worker)
    assert leased(worker) == SYMBOLS
    worker.release_all()


def test_the_inboxs_own_locks_do_not_cost_a_worker_its_leases(ledger, crew):
    turns(*crew)
    before = [worker.symbols for worker in crew]
    locker = connect(ledger.url, pool_size=1)
    with locker.connect() as connection:
        # What the inbox holds while it stores a signal: the hash of a symbol may be negative.
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({ARRIVAL_LOCK}, -5)")
        turns(*crew, rounds=2)
        connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    locker.dispose()

    assert [worker.symbols for worker in crew] == before
