"""Validating: the stored position against its fills and against the exchange."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest

from order_manager.database.updates import UpdateStore
from order_manager.domain.orders import Category, OrderStatus
from order_manager.domain.positions import Leg, PositionMode
from order_manager.errors import Unavailable
from order_manager.services.validate_positions import PAUSES_S
from tests.builders import a_position, a_request, hedged, holding

OURS = "om-test-1-0"


@pytest.fixture
def compare(room):
    """Has the symbol compared; returns how many differences were corrected."""

    def run(*, validate=False):
        room.clock.advance(60)
        UpdateStore(room.ledger.engine).request_reconciliation(validate=validate)
        room.work()
        return room.ledger.row("SELECT discrepancies FROM lanes")["discrepancies"]

    return run


@pytest.fixture
def held(room, compare):
    """0.01 at 49000, here and at the exchange, from a fill that both know."""
    room.resting()
    room.exchange.fill(OURS, D("0.01"))
    assert compare(validate=True) == 0
    room.publisher.events.clear()
    room.ledger.execute("UPDATE orders SET event_sequence = 0")
    room.clock.advance(3600)
    return room


def stored(room, columns="size, average_price"):
    return tuple(room.ledger.row(f"SELECT {columns} FROM positions").values())


def adjustments(room):
    rows = room.ledger.rows("SELECT * FROM position_adjustments ORDER BY id")
    return [(row["source"], row["size_before"], row["size_after"]) for row in rows]


def shows(room, position):
    room.exchange.positions["BTCUSDT"] = position


def test_a_position_that_agrees_is_left_alone(held, compare):
    held.ledger.execute("UPDATE positions SET updated_at = '2020-01-01'")
    for validate in (False, True):
        assert compare(validate=validate) == 0
    assert adjustments(held) == []
    assert held.publisher.events == []
    assert stored(held, "updated_at")[0].year == 2020


def test_a_size_that_stays_different_is_corrected_and_told_with_both_and_the_reason(held, compare):
    shows(held, holding("0.03", 50000))
    assert compare() == 1
    assert stored(held) == (D("0.03"), 50000)
    assert adjustments(held) == [("exchange", D("0.01"), D("0.03"))]
    assert held.publisher.types == ["position_discrepancy"]
    [event] = held.publisher.events
    assert event.body["discrepancy"] == {
        "position_idx": 0,
        "stored_size": "0.01",
        "stored_average_price": "49000",
        "correct_size": "0.03",
        "correct_average_price": "50000",
        "source": "exchange",
        "reason": "the exchange shows another position",
    }
    assert event.body["position"]["size"] == "0.03"
    assert (event.order_id, event.symbol) == (None, "BTCUSDT")
    assert compare() == 0, "once is enough"
    assert len(held.publisher.events) == 1


def test_what_was_earned_stays_when_the_exchange_shows_the_position_closed(held, compare):
    held.ledger.execute("UPDATE positions SET realized_pnl = 7, fees = 3")
    shows(held, a_position())
    assert compare() == 1
    assert stored(held, "size, average_price, realized_pnl, fees") == (0, None, 7, 3)


@pytest.mark.parametrize("looks", range(1, len(PAUSES_S) + 1))
def test_a_difference_that_goes_away_by_itself_is_none(held, compare, looks):
    """The exchange's own parts lag, or an update was on its way."""
    shows(held, holding("0.03"))
    later = lambda: held.exchange.positions.clear()  # noqa: E731
    for _ in range(looks):
        later = lambda act=later: held.exchange.before("position", act)  # noqa: E731
    later()
    assert compare() == 0
    assert held.exchange.count("position") >= looks
    assert adjustments(held) == []


def test_a_fill_that_comes_during_the_looks_explains_the_difference(held, compare):
    held.resting(id="11111111-2222-4333-8444-000000000001", client_order_id="b", exchange_order_id="x-b")
    held.exchange.before("position", lambda: held.exchange.fill("b", D("0.005")))
    assert compare() == 0
    assert stored(held) == (D("0.015"), 49000)
    assert held.publisher.types == ["partially_filled"]
    assert adjustments(held) == []


def test_fills_between_our_questions_are_no_difference(held, compare):
    """The exchange shows each in its position before we ask for it."""
    fills = []

    def fill():
        name = f"theirs-{len(fills)}"
        held.exchange.take(a_request(client_order_id=name))
        held.exchange.fill(name, D("0.001") * (1 + len(fills)))
        fills.append(name)
        if len(fills) <= len(PAUSES_S):
            held.exchange.before("position", fill)

    held.exchange.before("position", fill)
    assert compare() == 0
    assert len(fills) == 1 + len(PAUSES_S)
    assert adjustments(held) == []
    assert held.publisher.types.count("position_discrepancy") == 0
    assert compare() == 0
    assert stored(held)[0] == D("0.025")


def test_an_average_price_alone_is_corrected_without_a_word(held, compare):
    shows(held, holding("0.01", 49500))
    assert compare() == 0
    assert stored(held) == (D("0.01"), 49500)
    assert held.publisher.events == []
    assert [sizes for _, *sizes in adjustments(held)] == [[D("0.01"), D("0.01")]]
    assert compare(validate=True) == 0


def test_a_row_that_somebody_changed_is_set_right_once_and_the_fills_still_add_up(held, compare):
    held.ledger.execute("UPDATE positions SET size = 7")
    assert compare() == 1
    assert adjustments(held) == [("fills", D(7), D("0.01"))]
    assert compare(validate=True) == 0


def test_each_leg_of_a_hedge_is_compared_and_corrected_alone(room, compare):
    room.ledger.inbox.save_position_mode("BTCUSDT", PositionMode.HEDGE)
    room.exchange.mode = PositionMode.HEDGE
    room.resting(position_idx=1)
    room.exchange.fill(OURS, D("0.01"))
    assert compare() == 0
    shows(room, replace(hedged(long="0.01", short="0.02"), long=Leg(size=D("0.01"), average_price=D(49000))))
    assert compare() == 1
    assert stored(room, "mode, size, long_size, long_average_price, short_size, short_average_price") == (
        "hedge",
        0,
        D("0.01"),
        49000,
        D("-0.02"),
        50000,
    )
    assert room.publisher.events[-1].body["discrepancy"]["position_idx"] == 2
    assert compare(validate=True) == 0


def test_a_position_that_moved_to_the_other_mode_is_followed(held, compare):
    shows(held, hedged(long="0.01"))
    assert compare() == 2
    rows = held.ledger.rows("SELECT mode, size, long_size FROM positions ORDER BY mode")
    assert [tuple(row.values()) for row in rows] == [("hedge", 0, D("0.01")), ("one_way", 0, 0)]
    assert held.ledger.row("SELECT position_mode FROM lanes")["position_mode"] == "hedge"
    assert compare(validate=True) == 0


# Recounting


def test_a_stored_size_that_the_fills_do_not_come_to_is_set_right(held, compare):
    held.ledger.execute("UPDATE positions SET size = 5")
    assert compare(validate=True) == 1
    assert stored(held) == (D("0.01"), 49000)
    assert adjustments(held) == [("fills", 5, D("0.01"))]
    assert held.publisher.types == ["position_discrepancy"]
    assert held.publisher.events[0].body["discrepancy"]["reason"] == "the fills add up to another size"
    assert compare(validate=True) == 0


def test_what_the_exchange_once_showed_is_part_of_the_count(held, compare):
    shows(held, holding("0.03", 50000))
    compare()
    assert compare(validate=True) == 0
    assert stored(held) == (D("0.03"), 50000)


def make_old(room):
    """The fills are older than what a comparison asks for."""
    for name, fills in room.exchange.fills.items():
        room.exchange.fills[name] = [
            replace(one, executed_at=one.executed_at - timedelta(days=1)) for one in fills
        ]


def test_executions_that_are_missing_are_fetched_before_the_count(held, compare):
    held.ledger.execute("DELETE FROM executions")
    make_old(held)
    assert compare(validate=True) == 0
    assert held.exchange.count("executions") == 1
    assert len(held.ledger.rows("SELECT 1 FROM executions")) == 1


def test_fills_that_nobody_tells_any_more_prove_nothing(held, compare):
    held.ledger.execute("DELETE FROM executions")
    position = held.exchange.position("BTCUSDT")
    held.exchange.fills.clear()
    shows(held, position)
    assert compare(validate=True) == 0
    assert stored(held) == (D("0.01"), 49000)


# Spot: the wallet is the position


@pytest.fixture
def spot(held):
    held.desk = replace(
        held.desk,
        category=Category.SPOT,
        instrument=lambda symbol: replace(held.exchange.listed[symbol].instrument, category=Category.SPOT),
    )
    return held


@pytest.mark.parametrize(
    ("coins", "size", "price"), [("0.01", "0.01", 49000), ("7", "0.01", 49000), ("0.004", "0.004", 49000)]
)
def test_on_spot_only_a_shortage_is_a_difference(spot, compare, coins, size, price):
    spot.exchange.coins["BTC"] = D(coins)
    assert compare() == (D(coins) < D("0.01"))
    assert stored(spot) == (D(size), price)
    assert spot.exchange.count("position") == 1  # from before it was spot


def test_on_spot_a_coin_that_is_gone_leaves_a_flat_position(spot, compare):
    assert compare() == 1
    assert stored(spot) == (0, None)
    assert compare() == 0


def test_on_spot_a_symbol_that_is_not_held_is_not_asked_for(spot, compare):
    spot.ledger.execute("UPDATE positions SET size = 0, average_price = NULL")
    assert compare() == 0
    assert spot.exchange.count("coin_balance") == 0


def test_on_spot_the_count_leaves_out_what_was_kept_as_a_fee(spot, compare):
    spot.ledger.execute("UPDATE executions SET fee = 0.00001, fee_currency = 'BTC'")
    spot.ledger.execute("UPDATE positions SET size = 0.00999")
    spot.exchange.coins["BTC"] = D("0.00999")
    assert compare(validate=True) == 0
    assert spot.ledger.order(OURS)["status"] == OrderStatus.FILLED


def test_what_the_fills_earned_is_recounted(held, compare):
    held.ledger.execute("UPDATE positions SET realized_pnl = 9999, fees = 3")
    assert compare() == 0  # the exchange is asked for size and price
    assert compare(validate=True) == 1
    fees = held.ledger.row("SELECT sum(fee) AS fees FROM executions")["fees"]
    assert stored(held, "size, realized_pnl, fees") == (D("0.01"), 0, fees)
    [row] = held.ledger.rows("SELECT source, size_before, size_after, reason FROM position_adjustments")
    assert (row["source"], row["size_before"], row["size_after"]) == ("fills", D("0.01"), D("0.01"))
    assert row["reason"].startswith("the fills earned 0 for")
    assert compare(validate=True) == 0


def test_a_price_and_what_was_earned_are_both_set_right(held, compare):
    held.ledger.execute("UPDATE positions SET average_price = 40000, realized_pnl = 9999")
    compare(validate=True)
    assert stored(held, "size, average_price, realized_pnl") == (D("0.01"), 49000, 0)


def test_what_unseen_fills_earned_is_not_made_up(held, compare):
    shows(held, holding("0.03", 50000))
    assert compare() == 1
    held.ledger.execute("UPDATE positions SET realized_pnl = 7")
    assert compare(validate=True) == 0
    assert stored(held, "realized_pnl") == (7,)


def test_what_is_held_is_marked_at_each_comparison(held, compare):
    held.exchange.move_price("BTCUSDT", bid="51000", ask="51001")
    compare()
    assert stored(held, "mark_price") == (held.exchange.market("BTCUSDT").mark,)
    held.exchange.move_price("BTCUSDT", bid="52000", ask="52001")
    held.exchange.trouble("market", Unavailable("away"), times=9)
    assert compare() == 0
    assert held.ledger.row("SELECT reconcile_error FROM lanes")["reconcile_error"] is None


def test_what_is_not_held_costs_no_question(room, compare):
    compare()
    assert room.exchange.count("market") == 0
