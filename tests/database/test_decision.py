"""A decision: under the account's lock, all of it or nothing, one after the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D

import pytest
from sqlalchemy.exc import DBAPIError

from order_manager.domain.events import order_event
from order_manager.domain.orders import OrderStatus
from order_manager.domain.positions import Leg, PositionMode
from order_manager.domain.state import TradingMode
from tests.builders import NOW, a_market, a_position, an_instrument, an_order, at

OTHER = "11111111-2222-4333-8444-00000000000"


def state_of(ledger, symbol="BTCUSDT", open_orders=()):
    with ledger.lane(symbol) as lane, lane.deciding() as tx:
        return tx.state(an_instrument(symbol=symbol), a_market(symbol=symbol), open_orders)


def plan(tx, signal, *orders, state="planned", reserve=D(490), events=(), now=NOW):
    tx.record_plan(
        signal,
        list(orders),
        decision={"outcome": "plan", "exact": D("0.10")},
        reserve=reserve,
        events=list(events),
        state=state,
        now=now,
    )


def planned_order(number=0, **changes):
    return an_order(
        id=OTHER + str(number), client_order_id=f"planned-{number}", exchange_order_id=None, **changes
    )


# The state


@pytest.mark.parametrize(
    ("account", "lane", "mode", "holder"),
    [
        ("active", "active", TradingMode.ACTIVE, "the account and BTCUSDT"),
        ("reducing", "active", TradingMode.REDUCING, "the account"),
        ("active", "halted", TradingMode.HALTED, "BTCUSDT"),
        ("halted", "reducing", TradingMode.HALTED, "the account"),
        ("halted", "halted", TradingMode.HALTED, "the account and BTCUSDT"),
    ],
)
def test_the_stricter_of_the_account_s_and_the_symbol_s_mode_counts(ledger, account, lane, mode, holder):
    ledger.open()
    ledger.execute("UPDATE account_state SET mode = :mode", mode=account)
    ledger.execute("UPDATE lanes SET mode = :mode", mode=lane)
    state = state_of(ledger)
    assert (state.mode, state.mode_of) == (mode, holder)


def test_a_new_symbol_is_flat_and_its_balance_unknown(ledger):
    ledger.open()
    state = state_of(ledger)
    assert state.position == a_position()
    assert (state.other_exposure, state.available_balance) == (0, None)


def test_the_position_is_the_one_of_the_account_s_mode(ledger):
    ledger.open()
    order = ledger.add_order()
    with ledger.lane() as lane:
        lane.record_order(order, position=a_position(net=Leg(size=D(3), average_price=D(7))))
    assert state_of(ledger).position.net.size == 3
    ledger.inbox.save_position_mode("BTCUSDT", PositionMode.HEDGE)
    assert state_of(ledger).position == a_position(mode=PositionMode.HEDGE)


def test_the_open_orders_are_those_of_the_caller(ledger):
    ledger.open()
    order = ledger.add_order()
    assert state_of(ledger, open_orders=[order]).open_orders == (order,)


def test_the_balance_is_less_what_was_reserved_and_never_below_zero(ledger):
    ledger.open()
    ledger.execute("UPDATE account_state SET available_balance = 1000, reserved = 300.5, balance_at = now()")
    assert state_of(ledger).available_balance == D("699.5")
    ledger.execute("UPDATE account_state SET reserved = 2000")
    assert state_of(ledger).available_balance == 0


def test_the_exposure_of_other_symbols_is_positions_at_mark_and_open_orders(ledger):
    ledger.open("BTCUSDT", "ETHUSDT")
    insert = "INSERT INTO positions (asset, mode, size, average_price, long_size, long_average_price, "
    insert += "short_size, short_average_price, mark_price) VALUES "
    ledger.execute(insert + "('BTCUSDT', 'one_way', 9, 9, 0, NULL, 0, NULL, 9)")  # ours: not counted
    ledger.execute(insert + "('AUSDT', 'one_way', -2, 100, 0, NULL, 0, NULL, 110)")  # 220
    ledger.execute(insert + "('BUSDT', 'one_way', 3, 10, 0, NULL, 0, NULL, NULL)")  # no mark: 30
    ledger.execute(insert + "('CUSDT', 'hedge', 0, NULL, 2, 5, -1, 5, 10)")  # gross: 30
    ledger.execute(insert + "('DUSDT', 'one_way', 0, NULL, 0, NULL, 0, NULL, 77)")  # flat
    assert state_of(ledger).other_exposure == 280
    orders = [
        {"symbol": "BTCUSDT"},  # ours
        {"symbol": "AUSDT", "quantity": 1, "price": 100},  # 100
        {"symbol": "AUSDT", "quantity": 2, "price": 100, "filled_quantity": D("0.5")},  # 150
        {"symbol": "AUSDT", "quantity": 1, "price": None, "reference_price": 7},  # 7
        {"symbol": "AUSDT", "quantity": 9, "price": 9, "status": OrderStatus.FILLED},
        {"symbol": "AUSDT", "quantity": 9, "price": 9, "status": OrderStatus.DRY_RUN},
        {
            "symbol": "AUSDT",
            "quantity": 1,
            "price": 100,
            "columns": {"amend_quantity": 3, "amend_price": 110},
        },
    ]  # the amendment counts before it shows: 330
    for number, changes in enumerate(orders):
        status = changes.pop("status", OrderStatus.PENDING)
        ledger.add_order(id=OTHER + str(number), client_order_id=f"o-{number}", status=status, **changes)
    assert state_of(ledger).other_exposure == 280 + 100 + 150 + 7 + 330


# What is recorded


def test_a_plan_is_one_step_orders_relations_signal_and_reserve(ledger):
    ledger.open()
    signal = ledger.receive()
    orders = [planned_order(n, signal_id=signal.signal_id) for n in range(2)]
    with ledger.lane() as lane:
        with lane.deciding() as tx:
            plan(tx, signal, *orders, reserve=D("980.5"))
            assert ledger.rows("SELECT 1 FROM orders") == []  # nobody sees half of it
        assert lane.open_orders() == orders
        assert lane.orders_of(signal) == orders
    row = ledger.signal(signal.signal_id)
    assert (row["state"], row["decided_at"], row["finished_at"]) == ("planned", NOW, None)
    assert row["decision"] == {"outcome": "plan", "exact": "0.10"}
    assert ledger.row("SELECT reserved FROM account_state")["reserved"] == D("980.5")
    relations = ledger.rows("SELECT signal_id, relation FROM signal_order_relationships")
    assert relations == [{"signal_id": signal.signal_id, "relation": "placed"}] * 2
    assert [ledger.order(f"planned-{n}")["slice"] for n in range(2)] == [0, 1]
    assert ledger.order("planned-0")["trace_id"] == signal.trace_id


def test_a_plan_of_nothing_ends_its_signal(ledger):
    ledger.open()
    signal = ledger.receive()
    with ledger.lane() as lane, lane.deciding() as tx:
        plan(tx, signal, state="executed", reserve=D(0), now=at(2))
    row = ledger.signal(signal.signal_id)
    assert (row["state"], row["finished_at"]) == ("executed", at(2))


def test_a_dry_run_s_orders_have_told_their_first_event(ledger):
    ledger.open()
    signal = ledger.receive()
    order = planned_order(status=OrderStatus.DRY_RUN, is_dry_run=True, signal_id=signal.signal_id)
    event = order_event("created", order, sequence=1, trace_id="t", now=NOW, signal=signal)
    with ledger.lane() as lane:
        with lane.deciding() as tx:
            plan(tx, signal, order, state="executed", reserve=D(0), events=[event])
        assert lane.has_events
        assert [stored for _, stored in lane.unpublished(limit=5)] == [event]
    assert ledger.order("planned-0")["event_sequence"] == 1


def test_a_decision_whose_block_raises_leaves_no_trace_and_frees_the_account(ledger):
    ledger.open()
    signal = ledger.receive()
    with ledger.lane() as lane:
        with pytest.raises(KeyError), lane.deciding() as tx:  # noqa: PT012 - the block is the point
            plan(tx, signal, planned_order(signal_id=signal.signal_id))
            raise KeyError
        with pytest.raises(DBAPIError), lane.deciding() as tx:
            plan(tx, signal, planned_order(signal_id=signal.signal_id), state="nonsense")
        with lane.deciding():
            pass
    assert ledger.rows("SELECT 1 FROM orders") == []
    assert ledger.signal(signal.signal_id)["state"] == "waiting"
    assert ledger.row("SELECT reserved FROM account_state")["reserved"] == 0


def test_a_rejection_ends_its_signal_with_its_event(ledger):
    ledger.open()
    signal = ledger.receive()
    event = order_event("created", an_order(), sequence=1, trace_id="t", now=NOW)
    with ledger.lane() as lane, lane.deciding() as tx:
        tx.record_rejection(signal, code="c", reason="r", decision={"limit": "1"}, events=[event], now=at(1))
    row = ledger.signal(signal.signal_id)
    assert [row[name] for name in ("state", "code", "reason", "decided_at", "finished_at")] == [
        "rejected",
        "c",
        "r",
        at(1),
        at(1),
    ]
    assert ledger.events() == ["created"]


def test_wanted_cancels_and_amendments_are_remembered_with_their_signal(ledger):
    ledger.open()
    signal = ledger.receive()
    first, second = ledger.add_order(), ledger.add_order(id=OTHER + "1", client_order_id="b")
    with ledger.lane() as lane, lane.deciding() as tx:
        tx.request_cancels(signal, [first], reason="why", now=at(1))
        tx.request_amendment(signal, second, quantity=D(2), price=D(5), now=at(1))
        tx.request_cancels(signal, [first], reason="why", now=at(2))  # decided anew: once is enough
    row = ledger.order(first.client_order_id)
    assert (row["cancel_requested_at"], row["reason"]) == (at(2), "why")
    row = ledger.order("b")
    assert (row["amend_quantity"], row["amend_price"]) == (2, 5)
    relations = ledger.rows("SELECT relation FROM signal_order_relationships ORDER BY relation")
    assert [one["relation"] for one in relations] == ["amended", "cancelled"]


def test_the_orders_of_a_retried_signal_are_those_of_its_last_attempt(ledger):
    ledger.open()
    signal = ledger.receive()
    with ledger.lane() as lane:
        with lane.deciding() as tx:
            plan(tx, signal, planned_order(0, signal_id=signal.signal_id))
        ledger.execute("UPDATE trading_signals SET state = 'failed'")
        ledger.inbox.receive(signal, "{}")
        assert lane.orders_of(signal) == []
        again = planned_order(1, signal_id=signal.signal_id, created_at=at(60), updated_at=at(60))
        with lane.deciding() as tx:
            plan(tx, signal, again, now=at(60))
        assert [order.client_order_id for order in lane.orders_of(signal)] == ["planned-1"]


# One after the other


def test_a_second_decision_waits_for_the_first_and_sees_what_it_reserved(ledger):
    ledger.open("BTCUSDT", "ETHUSDT")
    ledger.execute("UPDATE account_state SET available_balance = 1000, balance_at = now()")
    signal = ledger.receive()
    is_asked, seen = threading.Event(), []

    def other() -> None:
        with ledger.lane("ETHUSDT") as lane:
            is_asked.set()
            with lane.deciding() as tx:
                seen.append(tx.state(an_instrument(symbol="ETHUSDT"), a_market(symbol="ETHUSDT"), ()))

    with ThreadPoolExecutor(1) as pool:
        with ledger.lane() as lane, lane.deciding() as tx:
            answer = pool.submit(other)
            assert is_asked.wait(5)
            plan(tx, signal, planned_order(signal_id=signal.signal_id), reserve=D(490))
            threading.Event().wait(0.2)
            assert not answer.done()
        answer.result(5)
    [state] = seen
    assert (state.available_balance, state.other_exposure) == (510, 490)


def test_racing_symbols_cannot_both_take_the_last_of_a_limit(ledger):
    """Each plans only while what is taken stays within 5 orders' worth; twelve symbols try at once."""
    symbols = [f"S{number}USDT" for number in range(8)]
    ledger.open(*symbols)
    signals = {symbol: ledger.receive(signal_id=symbol, symbol=symbol) for symbol in symbols}
    barrier = threading.Barrier(len(symbols))

    def decide(symbol: str) -> bool:
        with ledger.lane(symbol) as lane:
            barrier.wait(10)
            with lane.deciding() as tx:
                state = tx.state(an_instrument(symbol=symbol), a_market(symbol=symbol), ())
                if state.other_exposure + 490 > 5 * 490:
                    return False
                order = planned_order(int(symbol[1]), symbol=symbol, signal_id=symbol)
                plan(tx, signals[symbol], order)
                return True

    with ThreadPoolExecutor(len(symbols)) as pool:
        assert sum(pool.map(decide, symbols)) == 5
    assert ledger.row("SELECT reserved FROM account_state")["reserved"] == 5 * 490
