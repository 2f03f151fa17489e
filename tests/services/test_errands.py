"""The small jobs: open a symbol, sweep, publish, refresh, receive."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from structlog.testing import capture_logs

from order_manager.database.inbox import Receipt
from order_manager.domain.orders import Category
from order_manager.domain.positions import PositionMode
from order_manager.errors import Unavailable
from order_manager.messaging.signals import parse_signal
from order_manager.services.open_symbol import open_symbol
from order_manager.services.publish_events import publish_events
from order_manager.services.receive_signal import Routes, SignalReceiver
from order_manager.services.refresh_instruments import refresh_instruments
from order_manager.services.sweep import publish_without_lane, sweep
from tests.builders import NOW, a_signal

# Opening a symbol


def opened(room, symbol):
    return open_symbol(
        symbol,
        store=room.ledger.inbox,
        exchange=room.exchange,
        category=Category.LINEAR,
        wake=room.woken.append,
        now=NOW,
    )


def test_a_listed_symbol_gets_its_lane_its_rules_and_a_wake_up(room):
    room.exchange.list_symbol("ETHUSDT", lot_size="0.01")
    room.exchange.mode = PositionMode.HEDGE
    assert opened(room, "ETHUSDT") is True
    assert "ETHUSDT" in room.ledger.inbox.known_lanes()
    assert room.ledger.inbox.instrument("ETHUSDT", "linear").lot_size == D("0.01")
    assert room.woken == ["ETHUSDT"]
    lane = room.ledger.row("SELECT position_mode FROM lanes WHERE symbol = 'ETHUSDT'")
    assert lane["position_mode"] == "hedge"


def test_opening_twice_is_as_good_as_once(room):
    room.exchange.list_symbol("ETHUSDT")
    opened(room, "ETHUSDT")
    first = room.ledger.inbox.known_lanes()
    opened(room, "ETHUSDT")
    assert room.ledger.inbox.known_lanes() == first


def test_signals_of_a_symbol_that_is_not_listed_are_rejected_each_with_its_event(room):
    for name in ("a", "b"):
        room.ledger.receive(signal_id=name, symbol="NOPEUSDT")
    assert opened(room, "NOPEUSDT") is False
    assert "NOPEUSDT" not in room.ledger.inbox.known_lanes()
    for name in ("a", "b"):
        row = room.ledger.signal(name)
        assert (row["state"], row["code"]) == ("rejected", "unknown_symbol")
        assert "NOPEUSDT" in row["reason"]
    assert room.ledger.events() == ["signal_rejected"] * 2
    assert room.woken == []


def test_an_exchange_that_cannot_be_asked_opens_and_rejects_nothing(room):
    signal = room.ledger.receive(symbol="ETHUSDT")
    room.exchange.trouble("instrument", Unavailable("away"))
    with pytest.raises(Unavailable):
        opened(room, "ETHUSDT")
    assert room.state(signal)[0] == "waiting"
    assert "ETHUSDT" not in room.ledger.inbox.known_lanes()


# Sweeping


class Sweeper:
    def __init__(self, room):
        self.room, self.woken, self.opened = room, [], []

    def __call__(self):
        return sweep(
            store=self.room.ledger.inbox,
            publisher=self.room.publisher,
            wake=self.woken.append,
            open_symbol=self.opened.append,
            older_than_s=1.0,
        )


def age(room, table="trading_signals", column="received_at"):
    room.ledger.execute(f"UPDATE {table} SET {column} = now() - interval '5 seconds'")


def test_a_sweep_wakes_a_forgotten_lane_and_opens_a_forgotten_symbol(room):
    room.ledger.receive(signal_id="a")
    room.ledger.receive(signal_id="b", symbol="ETHUSDT")
    age(room)
    run = Sweeper(room)
    assert run() == 2
    assert (run.woken, run.opened) == (["BTCUSDT"], ["ETHUSDT"])


def test_a_sweep_leaves_what_is_young(room):
    room.ledger.receive()
    run = Sweeper(room)
    assert run() == 0
    assert (run.woken, run.opened) == ([], [])


def test_a_sweep_publishes_events_that_no_lane_will(room):
    room.ledger.receive(symbol="NOPEUSDT")
    opened(room, "NOPEUSDT")
    run = Sweeper(room)
    assert run() == 0
    assert room.publisher.types == ["signal_rejected"]
    assert publish_without_lane(store=room.ledger.inbox, publisher=room.publisher) == 0


def test_a_sweep_without_a_broker_keeps_the_events(room):
    room.ledger.receive(symbol="NOPEUSDT")
    opened(room, "NOPEUSDT")
    room.publisher.is_away = True
    Sweeper(room)()
    room.publisher.is_away = False
    assert publish_without_lane(store=room.ledger.inbox, publisher=room.publisher) == 1


def test_events_of_signals_without_a_symbol_are_published_and_open_nothing(room):
    dead_letter(room, b'{"signal_id": "bad", "signal_type": "hold"}')
    age(room, "order_events", "created_at")
    run = Sweeper(room)
    assert run() == 0
    assert (run.woken, run.opened) == ([], [])
    assert room.publisher.types == ["signal_rejected"]


# Publishing


def test_publishing_returns_how_many_and_publishes_none_twice(room):
    for name in ("a", "b"):
        room.ledger.receive(signal_id=name, notional=D(20000))
    room.publisher.is_away = True
    room.work()
    room.publisher.is_away = False
    with room.lane() as lane:
        assert publish_events(lane, room.publisher) == 2
        assert publish_events(lane, room.publisher) == 0
    assert len(room.publisher.events) == 2


def test_more_events_than_a_page_all_go_out_in_order(room):
    for number in range(205):
        room.ledger.receive(signal_id=f"s-{number:03}", notional=D(20000))
    room.publisher.is_away = True
    room.work(batch=300)
    room.publisher.is_away = False
    with room.lane() as lane:
        assert publish_events(lane, room.publisher) == 205
    names = [event.signal_id for event in room.publisher.events]
    assert names == [f"s-{number:03}" for number in range(205)]


@pytest.mark.parametrize(("error", "is_bug"), [(TypeError("body"), True), (ConnectionError("away"), False)])
def test_a_bug_that_keeps_events_back_is_told_with_its_traceback(room, monkeypatch, error, is_bug):
    def refuse(events):
        raise error

    room.ledger.receive(symbol="NOPEUSDT")
    opened(room, "NOPEUSDT")
    monkeypatch.setattr(room.publisher, "publish", refuse)
    with capture_logs() as logs:
        assert publish_without_lane(store=room.ledger.inbox, publisher=room.publisher) == 0
    [told] = [line for line in logs if line["event"] == "events_kept_back"]
    assert (told["error"], told["exc_info"]) == (repr(error), is_bug)


# Refreshing


def test_refreshing_saves_every_listed_instrument_and_each_lane_s_mode(room):
    room.exchange.list_symbol("ETHUSDT")
    room.exchange.list_symbol("BTCUSDT", lot_size="0.005")
    room.exchange.mode = PositionMode.HEDGE
    assert refresh_instruments(store=room.ledger.inbox, exchange=room.exchange) == 2
    assert room.ledger.inbox.instrument("BTCUSDT", "linear").lot_size == D("0.005")
    assert room.ledger.inbox.instrument("ETHUSDT", "linear") is not None
    assert room.ledger.row("SELECT position_mode FROM lanes")["position_mode"] == "hedge"


def test_refreshing_goes_in_chunks(room):
    for number in range(450):
        room.exchange.list_symbol(f"C{number}USDT")
    assert refresh_instruments(store=room.ledger.inbox, exchange=room.exchange) == 451
    assert room.ledger.row("SELECT count(*) AS n FROM instruments")["n"] == 451


def test_a_refresh_that_fails_leaves_the_old_rules(room):
    room.exchange.trouble("instruments", Unavailable("away"))
    with pytest.raises(Unavailable):
        refresh_instruments(store=room.ledger.inbox, exchange=room.exchange)
    assert room.ledger.inbox.instrument("BTCUSDT", "linear") is not None


# Receiving


class Wires:
    """Where the receiver's wake-ups go."""

    def __init__(self):
        self.sent = []
        self.is_away = False

    def note(self, *what):
        if self.is_away:
            raise ConnectionError("the broker is away")
        self.sent.append(what)

    @property
    def routes(self):
        return Routes(
            execute=lambda signal: self.note("execute", signal.signal_id),
            open_symbol=lambda symbol: self.note("open_symbol", symbol),
            publish_rejections=lambda: self.note("publish_rejections"),
        )


def receiver(room, wires=None):
    return SignalReceiver(
        store=room.ledger.inbox,
        parse=lambda body, headers: parse_signal(body, headers=headers),
        routes=(wires or Wires()).routes,
        now=room.clock,
    )


GOOD = b'{"signal_id": "s-1", "signal_type": "buy", "asset": "%s", "amount": 1000.10}'


def dead_letter(room, body, wires=None, **headers):
    receiver(room, wires).handle(body, headers, "signals")


def test_a_signal_is_stored_as_it_came_and_its_lane_woken(room):
    wires = Wires()
    receiver(room, wires).handle(GOOD % b"BTCUSDT", {"trace_id": "t-1"}, "signals")
    row = room.ledger.signal("s-1")
    assert (row["notional"], row["trace_id"], row["state"]) == (D("1000.10"), "t-1", "waiting")
    assert row["body"].encode() == GOOD % b"BTCUSDT"
    assert wires.sent == [("execute", "s-1")]


def test_a_first_signal_for_a_symbol_asks_for_its_lane(room):
    wires = Wires()
    receiver(room, wires).handle(GOOD % b"ETHUSDT", {}, "signals")
    assert wires.sent == [("open_symbol", "ETHUSDT")]


def test_a_lane_that_opened_meanwhile_is_seen(room):
    wires = Wires()
    handle = receiver(room, wires).handle
    handle(GOOD % b"ETHUSDT", {}, "signals")
    room.ledger.open("ETHUSDT")
    handle(GOOD.replace(b"s-1", b"s-2") % b"ETHUSDT", {}, "signals")
    assert wires.sent == [("open_symbol", "ETHUSDT"), ("execute", "s-2")]


def test_a_duplicate_that_still_waits_wakes_its_lane_again(room):
    """Perhaps we died between the inbox and the wake-up."""
    wires = Wires()
    wires.is_away = True
    with pytest.raises(ConnectionError):
        receiver(room, wires).handle(GOOD % b"BTCUSDT", {}, "signals")
    wires.is_away = False
    receiver(room, wires).handle(GOOD % b"BTCUSDT", {}, "signals")
    assert wires.sent == [("execute", "s-1")]
    assert room.ledger.row("SELECT count(*) AS n FROM trading_signals")["n"] == 1


@pytest.mark.parametrize("state", ["executed", "rejected"])
def test_a_duplicate_of_what_has_ended_is_dropped(room, state):
    room.ledger.receive(signal_id="s-1")
    room.ledger.execute("UPDATE trading_signals SET state = :state", state=state)
    wires = Wires()
    receiver(room, wires).handle(GOOD % b"BTCUSDT", {}, "signals")
    assert wires.sent == []
    assert room.ledger.signal("s-1")["state"] == state


def test_a_failed_signal_that_is_sent_again_is_retried(room):
    room.ledger.receive(signal_id="s-1")
    room.ledger.execute("UPDATE trading_signals SET state = 'failed'")
    wires = Wires()
    receiver(room, wires).handle(GOOD % b"BTCUSDT", {}, "signals")
    row = room.ledger.signal("s-1")
    assert (row["state"], row["attempt"], row["notional"]) == ("waiting", 2, D("1000.10"))
    assert wires.sent == [("execute", "s-1")]


def test_what_is_no_signal_is_kept_whole_with_its_reason(room):
    wires = Wires()
    dead_letter(room, b"\xff\x00 rubbish", wires, trace_id="t-1")
    letter = room.ledger.row("SELECT * FROM dead_letters")
    assert bytes(letter["body"]) == b"\xff\x00 rubbish"
    assert (letter["queue"], letter["code"], letter["state"]) == ("signals", "invalid_encoding", "new")
    assert letter["headers"] == {"trace_id": "t-1"}
    assert room.ledger.events() == []  # nobody's id could be read
    assert wires.sent == []


def test_a_bad_signal_with_a_readable_id_is_rejected_to_its_sender(room):
    wires = Wires()
    dead_letter(room, b'{"signal_id": "s-9", "signal_type": "hold"}', wires, trace_id="t-1")
    event = room.ledger.row("SELECT * FROM order_events")
    assert (event["event_type"], event["signal_id"], event["trace_id"]) == ("signal_rejected", "s-9", "t-1")
    assert event["body"]["rejection"]["field"] == "signal_type"
    assert wires.sent == [("publish_rejections",)]


BODIES = [b"rubbish", b'{"signal_id": "s-9", "signal_type": "hold"}', GOOD % b"BTCUSDT"]
HEADERS = [
    {"trace_id": "x" * 101},
    {"trace_id": "a\x00b"},
    {"trace_id": "\ud800"},
    {"note\x00": "a\x00b"},
    {"trace_id": 5, "x-death": [{"count": 1}]},
]


@pytest.mark.parametrize("headers", HEADERS, ids=repr)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_no_header_can_stop_the_line(room, body, headers):
    """A message that raises comes again for ever, and everything behind it waits."""
    receiver(room).handle(body, headers, "signals")
    kept = room.ledger.row(
        "SELECT (SELECT count(*) FROM dead_letters) + (SELECT count(*) FROM trading_signals) AS n"
    )
    assert kept["n"] == 1


def test_a_retried_signal_goes_to_the_end_of_its_line(room):
    room.ledger.receive(signal_id="first")
    room.ledger.receive(signal_id="second")
    room.ledger.execute("UPDATE trading_signals SET state = 'failed' WHERE signal_id = 'first'")
    assert room.ledger.inbox.receive(a_signal(signal_id="first"), "{}").receipt is Receipt.RETRIED
    with room.lane() as lane:
        assert [one.signal.signal_id for one in lane.waiting(10)] == ["second", "first"]


def test_the_clock_of_these_tests_moves_only_when_told(room):
    before = room.clock()
    room.desk.pause(3)
    assert room.clock() - before == timedelta(seconds=3)
