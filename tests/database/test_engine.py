"""Connections: one statement commits by itself, a transaction brackets several, a silent session ends."""

import time
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from order_manager.database import engine as engines
from order_manager.database.engine import connect, dumps, loads, transaction
from order_manager.database.lane import LaneStore
from order_manager.errors import LaneLost


def modes(ledger):
    return ledger.row("SELECT mode FROM account_state")["mode"]


def test_a_statement_commits_by_itself(ledger):
    with ledger.engine.connect() as connection:
        connection.execute(text("UPDATE account_state SET mode = 'halted'"))
        assert modes(ledger) == "halted"


def test_a_transaction_is_seen_as_a_whole(ledger):
    with ledger.engine.connect() as connection, transaction(connection):
        connection.execute(text("UPDATE account_state SET mode = 'halted'"))
        assert modes(ledger) == "active"
    assert modes(ledger) == "halted"


def test_a_transaction_whose_block_raises_is_undone_and_the_connection_goes_on(ledger):
    with ledger.engine.connect() as connection:
        with pytest.raises(KeyError), transaction(connection):  # noqa: PT012 - the block is the point
            connection.execute(text("UPDATE account_state SET mode = 'halted'"))
            raise KeyError
        assert modes(ledger) == "active"
        with pytest.raises(DBAPIError), transaction(connection):
            connection.execute(text("UPDATE account_state SET mode = 'nonsense'"))
        connection.execute(text("UPDATE account_state SET mode = 'reducing'"))
    assert modes(ledger) == "reducing"


def test_a_decimal_goes_into_json_and_back_without_a_float(ledger):
    assert dumps({"x": D("0.10"), "y": D("1E-7")}) == '{"x":"0.10","y":"0.0000001"}'
    assert loads('{"x": 0.10}') == {"x": D("0.10")}


def test_moments_come_back_in_utc(ledger):
    with ledger.engine.connect() as connection:
        moment = connection.execute(text("SELECT now()")).scalar_one()
    assert moment.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60


def test_a_silent_session_is_ended_and_the_store_tells_that_the_lane_is_lost(ledger):
    ledger.open()
    engine = connect(ledger.url, session_timeout_s=0.3)
    with pytest.raises(LaneLost), LaneStore(engine).take_for_upkeep("BTCUSDT") as lane:  # noqa: PT012
        lane.touch()
        time.sleep(0.8)
        with ledger.lane() as successor:
            assert successor is not None  # the server let go by itself
        lane.touch()
    engine.dispose()


def test_a_session_that_is_silent_in_a_transaction_is_ended_too(ledger):
    ledger.open()
    engine = connect(ledger.url, session_timeout_s=0.3)
    with pytest.raises(LaneLost), LaneStore(engine).take_for_upkeep("BTCUSDT") as lane, lane.deciding():
        time.sleep(0.8)
    with ledger.lane() as successor, successor.deciding():
        pass  # the account row is free
    engine.dispose()


def test_a_session_that_is_touched_in_time_lives(ledger):
    ledger.open()
    engine = connect(ledger.url, session_timeout_s=0.5)
    with LaneStore(engine).take_for_upkeep("BTCUSDT") as lane:
        for _ in range(4):
            time.sleep(0.2)
            lane.touch()
    engine.dispose()


def kill_sessions(ledger):
    ledger.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    ledger.engine.dispose()  # its own are among them


def test_a_connection_that_died_in_the_pool_is_replaced(ledger, monkeypatch):
    monkeypatch.setattr(engines, "IDLE_S", 0.05)
    ledger.open()
    engine = connect(ledger.url)
    store = LaneStore(engine)
    with store.take_for_upkeep("BTCUSDT"):
        pass
    kill_sessions(ledger)
    time.sleep(0.05)
    with store.take_for_upkeep("BTCUSDT") as lane:
        assert lane is not None
    engine.dispose()


def test_one_that_died_right_after_its_use_costs_the_lane_once(ledger):
    ledger.open()
    engine = connect(ledger.url)
    store = LaneStore(engine)
    with store.take_for_upkeep("BTCUSDT"):
        pass
    kill_sessions(ledger)
    with pytest.raises(LaneLost), store.take_for_upkeep("BTCUSDT"):
        pass
    with store.take_for_upkeep("BTCUSDT") as lane:
        assert lane is not None
    engine.dispose()


def test_only_a_connection_that_rested_is_tried_before_its_use(ledger, monkeypatch):
    engine = connect(ledger.url, pool_size=1)
    tried = []
    ping = engine.dialect.do_ping
    monkeypatch.setattr(engine.dialect, "do_ping", lambda *what: tried.append(1) or ping(*what))
    for _ in range(3):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    assert tried == []
    monkeypatch.setattr(engines, "IDLE_S", 0.05)
    time.sleep(0.05)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert tried == [1]
    engine.dispose()


def test_a_session_tells_whose_it_is(ledger, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/celery", "worker", "-n", "lane-1@%h"])
    engine = connect(ledger.engine.url.render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            assert connection.execute(text("SHOW application_name")).scalar_one() == "order-manager lane-1"
    finally:
        engine.dispose()
