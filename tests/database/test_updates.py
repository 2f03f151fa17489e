"""Updates wait for their lane: kept once they are told, in their order, and somebody is woken."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from order_manager.database.engine import connect, dumps, loads
from order_manager.database.update_rows import update_from, update_kind, update_values
from order_manager.database.updates import UpdateStore
from order_manager.domain.exchange import Execution, PositionReport
from order_manager.domain.orders import Category, OrderReport, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.positions import Fill
from tests.builders import NOW, a_position_report, a_report, an_execution, at


@pytest.fixture
def store(ledger) -> UpdateStore:
    ledger.open("BTCUSDT", "ETHUSDT")
    return UpdateStore(ledger.engine)


def keep(store, *updates):
    return store.store(updates, source="stream", received_at=NOW)


def waiting(ledger, symbol="BTCUSDT"):
    with ledger.lane(symbol) as lane:
        return [update for _, update in lane.updates(100)]


# There and back

MONEY = st.decimals(min_value="-1e15", max_value="1e15", allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
MOMENTS = st.datetimes(timezones=st.just(UTC))
NAMES = {"symbol": TEXTS, "category": st.sampled_from(Category), "client_order_id": TEXTS}
UPDATES = st.one_of(
    st.builds(
        OrderReport,
        **NAMES,
        exchange_order_id=TEXTS,
        side=st.sampled_from(Side),
        order_type=st.sampled_from(OrderType),
        time_in_force=st.none() | st.sampled_from(TimeInForce),
        status=st.sampled_from(OrderStatus),
        quantity=MONEY,
        price=st.none() | MONEY,
        filled_quantity=MONEY,
        average_price=st.none() | MONEY,
        fees=MONEY,
        base_fees=MONEY,
        reduce_only=st.booleans(),
        position_idx=st.sampled_from([0, 1, 2]),
        reason=st.none() | TEXTS,
        created_at=MOMENTS,
        updated_at=MOMENTS,
        fee_detail=st.just({}),  # only the wire needs it
    ),
    st.builds(
        Execution,
        **NAMES,
        exec_id=TEXTS,
        exchange_order_id=TEXTS,
        fill=st.builds(Fill, side=st.sampled_from(Side), quantity=MONEY, price=MONEY, fee=MONEY),
        fee_currency=TEXTS,
        is_maker=st.booleans(),
        exec_type=TEXTS,
        executed_at=MOMENTS,
    ),
    st.builds(
        PositionReport,
        symbol=TEXTS,
        category=st.sampled_from(Category),
        position_idx=st.sampled_from([0, 1, 2]),
        size=MONEY,
        average_price=st.none() | MONEY,
        mark_price=st.none() | MONEY,
    ),
)


@given(UPDATES)
def test_any_update_comes_back_as_it_went(update):
    body = loads(dumps(update_values(update)))
    assert update_from(update_kind(update), body) == update


def test_all_of_a_report_is_kept_but_the_wires_own_detail():
    kept = update_values(a_report())
    assert {field.name for field in fields(OrderReport)} - set(kept) == {"fee_detail"}


def test_updates_are_told_in_the_order_of_their_arrival(ledger, store):
    updates = [
        a_report(),
        an_execution(quantity="0.004", fee="-0.000000000000000001"),
        a_position_report(size="-0.004", mark_price="50000.5"),
        a_report(status=OrderStatus.FILLED, filled_quantity="123456789012.123456789012345678"),
    ]
    keep(store, *updates[:3])
    keep(store, updates[3])
    assert waiting(ledger) == updates
    assert {row["source"] for row in ledger.rows("SELECT source FROM exchange_updates")} == {"stream"}


def test_a_lane_hears_its_own_symbol_a_page_at_a_time_until_it_is_dropped(ledger, store):
    keep(store, a_report(), a_report(symbol="ETHUSDT"), a_report(updated_at=at(2)))
    with ledger.lane() as lane:
        assert lane.has_updates
        [(number, first)] = lane.updates(1)
        assert first == a_report()
        lane.drop_updates([number])
        assert [update for _, update in lane.updates(9)] == [a_report(updated_at=at(2))]
    assert lane.is_work_left
    assert waiting(ledger, "ETHUSDT") == [a_report(symbol="ETHUSDT")]


def test_what_cannot_be_kept_keeps_nothing_of_its_batch(ledger, store):
    with pytest.raises(DBAPIError):
        keep(store, a_report(), a_report(symbol="X" * 41))
    assert ledger.rows("SELECT 1 FROM exchange_updates") == []


def test_an_update_that_cannot_be_applied_becomes_a_dead_letter(ledger, store):
    keep(store, a_report(reason="é☃"), a_report(updated_at=at(2)))
    with ledger.lane() as lane:
        lane.set_update_aside(lane.updates(1)[0][0], reason="ValueError('no')" + "x" * 2000)
    letter = ledger.row("SELECT * FROM dead_letters")
    assert (letter["queue"], letter["code"]) == ("stream.order", "update_not_applied")
    assert letter["reason"].startswith("ValueError('no')")
    assert update_from("order", loads(bytes(letter["body"]).decode())) == a_report(reason="é☃")
    assert waiting(ledger) == [a_report(updated_at=at(2))]


# Whom to wake


def test_each_symbol_is_woken_once(store):
    assert keep(store, a_report(), a_report(symbol="ETHUSDT"), a_report()) == {"BTCUSDT", "ETHUSDT"}


def test_where_earlier_ones_wait_somebody_was_woken_already(ledger, store):
    keep(store, a_report())
    assert keep(store, a_report(), a_report(symbol="ETHUSDT")) == {"ETHUSDT"}
    with ledger.lane() as lane:
        lane.drop_updates([number for number, _ in lane.updates(9)])
    assert keep(store, a_report()) == {"BTCUSDT"}


def test_a_holder_that_read_before_ours_came_looks_again_after_it_has_dropped_its_own(ledger, store):
    """Ours wake nobody, because an earlier one still waits: whoever drops that must find ours."""
    keep(store, a_report())
    with ledger.lane() as lane:
        read = lane.updates(9)
        assert keep(store, a_report(updated_at=at(2))) == set()
        lane.drop_updates([number for number, _ in read])
    assert lane.is_work_left


def test_two_receivers_at_once_cannot_each_rely_on_the_other(ledger, store):
    """The earlier number commits last: then neither sees the other's, or the later one wakes."""
    other = connect(ledger.url, pool_size=1, session_timeout_s=20)
    with other.connect() as slow:
        slow.exec_driver_sql("BEGIN")
        slow.exec_driver_sql(
            "INSERT INTO exchange_updates (symbol, kind, body, source, received_at)"
            " VALUES ('BTCUSDT', 'order', '{}', 'gateway', now())"
        )
        assert keep(store, a_report()) == {"BTCUSDT"}
        slow.exec_driver_sql("ROLLBACK")
    other.dispose()


# Asking for a comparison


def requests(ledger):
    rows = ledger.rows("SELECT symbol, reconcile_requested_at, validate_requested_at FROM lanes ORDER BY id")
    return [
        (row["symbol"], row["reconcile_requested_at"] is not None, row["validate_requested_at"] is not None)
        for row in rows
    ]


def test_a_comparison_is_asked_of_the_lanes_that_are_named(ledger, store):
    assert store.request_reconciliation(["ETHUSDT", "NOPEUSDT"]) == ["ETHUSDT"]
    assert requests(ledger) == [("BTCUSDT", False, False), ("ETHUSDT", True, False)]


def test_a_comparison_is_asked_of_every_lane_and_positions_are_recounted_when_wanted(ledger, store):
    assert sorted(store.request_reconciliation(validate=True)) == ["BTCUSDT", "ETHUSDT"]
    assert store.request_reconciliation([]) == []
    store.request_reconciliation(["BTCUSDT"])  # asks for less, and takes nothing back
    assert requests(ledger) == [("BTCUSDT", True, True), ("ETHUSDT", True, True)]


def test_a_lane_to_be_compared_is_taken_and_knows_it(ledger, store):
    with ledger.lanes.take("BTCUSDT") as lane:
        assert lane is None
    store.request_reconciliation(["BTCUSDT"], validate=True)
    with ledger.lanes.take("BTCUSDT") as lane:
        assert lane is not None
        assert lane.reconcile_requested_at is not None
        assert lane.validate_requested_at is not None


@pytest.mark.parametrize(("minutes", "is_left"), [(None, True), (1, False)])
def test_a_request_that_came_meanwhile_is_work_that_is_left_unless_the_lane_is_blocked(
    ledger, store, minutes, is_left
):
    with ledger.lane() as lane:
        store.request_reconciliation(["BTCUSDT"])
        if minutes is not None:
            lane.block(until=datetime.now(UTC) + timedelta(minutes=minutes), reason="x", now=NOW)
    assert lane.is_work_left is is_left


# The balance


def test_a_balance_that_was_told_replaces_an_older_one_only(ledger, store):
    store.save_balance(D(1000), asked_at=at(5))
    store.save_balance(D(9), asked_at=at(4))
    row = ledger.row("SELECT available_balance, balance_at FROM account_state")
    assert row == {"available_balance": 1000, "balance_at": at(5)}


# Symbols without a lane


def test_what_was_told_of_a_symbol_that_can_have_no_lane_is_forgotten(ledger, store):
    updates = [a_report(symbol="NOPEUSDT"), replace(a_report(), client_order_id="mine")]
    keep(store, *updates)
    assert ledger.inbox.discard_updates("NOPEUSDT") == 1
    assert ledger.inbox.discard_updates("NOPEUSDT") == 0
    assert waiting(ledger) == updates[1:]
