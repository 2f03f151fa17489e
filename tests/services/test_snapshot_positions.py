"""Snapshots at today's prices, and warnings of losses that have grown too large."""

from decimal import Decimal as D

import pytest
from structlog.testing import capture_logs

from order_manager.database.snapshots import PositionSnapshots
from order_manager.errors import AccessDenied, Refused, Unavailable
from order_manager.services.snapshot_positions import ASKING_S, snapshot_positions


@pytest.fixture
def taken(room):
    """Runs a round; the clock moves on by five minutes after each."""

    def run(threshold="10"):
        try:
            return snapshot_positions(
                store=PositionSnapshots(room.ledger.engine),
                market=room.exchange.market,
                threshold=D(threshold),
                wake=room.woken.append,
                now=room.clock,
            )
        finally:
            room.clock.advance(300)

    return run


def hold(room, asset="BTCUSDT", mode="one_way", **columns):
    values = {"asset": asset, "mode": mode, **columns}
    names = ", ".join(values)
    room.ledger.execute(
        f"INSERT INTO positions ({names}) VALUES ({', '.join(f':{name}' for name in values)})", **values
    )


def price(room, mark, symbol="BTCUSDT"):
    room.exchange.move_price(symbol, bid=str(mark), ask=str(mark))


def snapshots(room):
    return [row["snapshot"] for row in room.ledger.rows("SELECT * FROM position_snapshots ORDER BY id")]


def told(room):
    bodies = [row["body"] for row in room.ledger.rows("SELECT body FROM order_events ORDER BY id")]
    return [(body["leg"], body["occasion"], body["unrealized_pnl_percent"]) for body in bodies]


def test_a_snapshot_has_the_position_at_todays_price_in_strings(room, taken):
    hold(room, size=D("-0.5"), average_price=D(50000), realized_pnl=D(7), fees=D("0.25"), mark_price=D(1))
    price(room, 51000)
    outcome = taken()
    [snapshot] = snapshots(room)
    for moment in ("created_at", "updated_at"):
        assert snapshot.pop(moment).endswith("Z")
    assert snapshot == {
        "asset": "BTCUSDT",
        "mode": "one_way",
        "side": "short",
        "size": "-0.5",
        "average_entry_price": "50000",
        "long_size": "0",
        "long_average_price": None,
        "short_size": "0.5",
        "short_average_price": "50000",
        "realized_pnl": "6.75",
        "fees": "0.25",
        "unrealized_pnl": "-500",
        "mark_price": "51000",
        "is_mark_price_fresh": True,
        "losses": {},
    }
    assert room.ledger.row("SELECT mark_price FROM positions")["mark_price"] == 51000
    assert (outcome.snapshots, outcome.without_price, outcome.warned, outcome.deleted) == (1, (), (), 0)


def test_what_is_flat_and_unchanged_is_left_out(room, taken):
    hold(room)
    assert taken().snapshots == 1
    assert taken().snapshots == 0
    assert room.exchange.count("market") == 1


def test_both_modes_of_a_symbol_ask_once(room, taken):
    hold(room, size=1, average_price=1)
    hold(room, mode="hedge", long_size=1, long_average_price=1)
    assert taken().snapshots == 2
    assert room.exchange.count("market") == 1


@pytest.mark.parametrize("error", [Unavailable("away"), AccessDenied("key")], ids=repr)
def test_without_the_exchange_the_last_price_stands_and_is_said_to_be_old(room, taken, error):
    hold(room, size=1, average_price=D(100), mark_price=D(80))
    hold(room, "ETHUSDT", size=1, average_price=D(100))
    room.exchange.trouble("market", error)
    outcome = taken()
    assert outcome.without_price == ("BTCUSDT", "ETHUSDT")
    assert room.exchange.count("market") == 1  # who is away is not asked again in this round
    bitcoin, ether = snapshots(room)
    assert (bitcoin["mark_price"], bitcoin["unrealized_pnl"], bitcoin["is_mark_price_fresh"]) == (
        "80",
        "-20",
        False,
    )
    assert (ether["mark_price"], ether["unrealized_pnl"]) == (None, None)
    assert told(room) == []  # a loss is judged at a fresh price only


def test_a_symbol_that_is_no_longer_listed_does_not_hide_the_others(room, taken):
    hold(room, "AAAUSDT", size=1, average_price=1)
    hold(room, size=1, average_price=1)
    room.exchange.trouble("market", Refused("not listed", ret_code=10001))
    assert taken().without_price == ("AAAUSDT",)
    assert [one["is_mark_price_fresh"] for one in snapshots(room)] == [False, True]


def test_an_exchange_that_takes_too_long_is_not_asked_for_the_rest(room, taken):
    for number in range(3):
        room.exchange.list_symbol(f"S{number}USDT")
        hold(room, f"S{number}USDT", size=1, average_price=50000)
    room.exchange.before("market", lambda: room.clock.advance(ASKING_S + 1))
    assert taken().without_price == ("S1USDT", "S2USDT")


def test_a_loss_is_told_when_it_crosses_when_it_grows_and_every_hour(room, taken):
    hold(room, size=2, average_price=D(100))
    for mark in (91, 89, 85, 79, 79):
        price(room, mark)
        taken()
    assert told(room) == [("long", "crossed", "-11"), ("long", "worsened", "-21")]
    for _ in range(11):
        taken()
    assert told(room)[2:] == [("long", "lasting", "-21")]


def test_a_loss_that_was_over_is_told_again(room, taken):
    hold(room, size=2, average_price=D(100))
    for mark in (89, 95, 89):
        price(room, mark)
        taken()
    assert [occasion for _, occasion, _ in told(room)] == ["crossed", "crossed"]


def test_what_was_told_is_remembered_through_an_outage_of_the_exchange(room, taken):
    hold(room, size=2, average_price=D(100))
    price(room, 89)
    taken()
    room.exchange.trouble("market", Unavailable("away"))
    taken()
    taken()
    assert len(told(room)) == 1


def test_each_leg_of_a_hedge_is_judged_by_itself(room, taken):
    hold(room, mode="hedge", long_size=1, long_average_price=100, short_size=-5, short_average_price=150)
    price(room, 85)
    taken()
    assert told(room) == [("long", "crossed", "-15")]
    price(room, 170)
    taken()
    assert told(room)[1:] == [("short", "crossed", "-13.3333")]


def test_a_warning_is_an_event_in_the_shape_of_the_others_and_its_lane_is_woken(room, taken):
    hold(room, size=2, average_price=D(100))
    price(room, 80)
    with capture_logs() as logs:
        outcome = taken()
    row = room.ledger.row("SELECT * FROM order_events")
    body = dict(row["body"])
    assert (row["event_type"], row["symbol"], row["order_id"], row["signal_id"]) == (
        "position_pnl",
        "BTCUSDT",
        None,
        None,
    )
    for name in ("event_id", "timestamp", "trace_id"):
        assert body.pop(name)
    position, market = body.pop("position"), body.pop("market_conditions")
    assert (position["asset"], position["mark_price"], position["unrealized_pnl"]) == ("BTCUSDT", "80", "-40")
    assert market["mark_price"] == "80"
    assert body == {
        "event_type": "position_pnl",
        "sequence": 1,
        "order": None,
        "leg": "long",
        "occasion": "crossed",
        "unrealized_pnl": "-40",
        "unrealized_pnl_percent": "-20",
        "threshold": "10",
    }
    assert outcome.warned == ("BTCUSDT",)
    assert room.woken == ["BTCUSDT"]
    [line] = [line for line in logs if line["event"] == "unrealized_loss"]
    assert (line["log_level"], line["symbol"], line["unrealized_pnl_percent"]) == (
        "warning",
        "BTCUSDT",
        "-20",
    )


def test_the_lane_publishes_the_warning(room, taken):
    hold(room, size=2, average_price=D(100))
    price(room, 80)
    taken()
    room.run()
    assert room.publisher.types == ["position_pnl"]
    assert room.publisher.events[0].symbol == "BTCUSDT"


def test_snapshots_are_kept_for_thirty_days(room, taken):
    for days in (29, 31):
        room.ledger.execute(
            "INSERT INTO position_snapshots (asset, mode, snapshot, taken_at)"
            " VALUES ('BTCUSDT', 'one_way', '{}', CAST(:now AS timestamptz) - make_interval(days => :days))",
            now=room.clock(),
            days=days,
        )
    assert taken().deleted == 1
    assert len(snapshots(room)) == 1
