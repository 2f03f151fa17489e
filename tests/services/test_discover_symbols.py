"""Discovering: whatever is traded on our account gets a lane."""

from decimal import Decimal as D

import pytest

from order_manager.domain.orders import Side
from order_manager.domain.positions import PositionMode
from order_manager.errors import Unavailable
from order_manager.services.discover_symbols import discover_symbols
from tests.builders import a_request, an_instrument
from tests.fakes import Clock, FakeExchange


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def discover(ledger, clock):
    ledger.open("BTCUSDT")
    exchange, opened = FakeExchange(clock=clock), []
    exchange.list_symbol("ETHUSDT")
    exchange.list_symbol("ADAUSDT")

    def open_symbol(symbol):
        exchange.instrument(symbol)
        ledger.inbox.open_lane(an_instrument(symbol=symbol), PositionMode.ONE_WAY)
        opened.append(symbol)

    def run():
        return discover_symbols(store=ledger.inbox, exchange=exchange, open_symbol=open_symbol, now=clock)

    return exchange, opened, run


def test_every_symbol_in_use_without_a_lane_is_opened(discover):
    exchange, opened, run = discover
    for symbol in ("ETHUSDT", "BTCUSDT", "ADAUSDT"):
        exchange.take(a_request(symbol=symbol, client_order_id=symbol))
    assert run() == opened == ["ADAUSDT", "ETHUSDT"]
    assert run() == []


def test_where_all_have_lanes_nothing_is_opened(discover):
    exchange, opened, run = discover
    exchange.take(a_request())
    assert run() == opened == []


def test_a_symbol_that_was_traded_since_the_last_look_is_opened_though_all_is_over(discover, ledger, clock):
    exchange, opened, run = discover
    traded(exchange, "ETHUSDT")
    clock.advance(600)
    assert run() == [], "what was before the first look is not ours to tell"
    looked_at = ledger.inbox.discovered_at()
    clock.advance(600)
    traded(exchange, "ADAUSDT")
    clock.advance(600)
    assert run() == opened == ["ADAUSDT"]
    row = ledger.row("SELECT reconciled_at FROM lanes WHERE symbol = 'ADAUSDT'")
    assert row["reconciled_at"] == looked_at, "its lane is compared from the last look on"
    assert ledger.inbox.discovered_at() == clock()


def traded(exchange, symbol):
    """Bought and sold again."""
    for name, side in ((f"{symbol}-in", Side.BUY), (f"{symbol}-out", Side.SELL)):
        exchange.take(a_request(symbol=symbol, client_order_id=name, side=side))
        exchange.fill(name, D("0.01"))


def test_one_that_cannot_be_opened_keeps_nobody_waiting_and_is_found_again(discover, ledger):
    exchange, opened, run = discover
    for symbol in ("ETHUSDT", "ADAUSDT"):
        exchange.take(a_request(symbol=symbol, client_order_id=symbol))
    exchange.trouble("instrument", Unavailable("away"))
    with pytest.raises(Unavailable):
        run()
    assert opened == ["ETHUSDT"]
    assert ledger.inbox.discovered_at() is None
    assert run() == ["ADAUSDT"]


def test_an_exchange_that_is_away_is_asked_again_next_time(discover):
    exchange, opened, run = discover
    exchange.trouble("symbols_in_use", Unavailable("away"))
    with pytest.raises(Unavailable):
        run()
    assert opened == []
