"""Discovering: whatever is traded on our account gets a lane."""

import pytest

from order_manager.errors import Unavailable
from order_manager.services.discover_symbols import discover_symbols
from tests.builders import a_request
from tests.fakes import FakeExchange


@pytest.fixture
def discover(ledger):
    ledger.open("BTCUSDT")
    exchange, opened = FakeExchange(), []
    exchange.list_symbol("ETHUSDT")
    exchange.list_symbol("ADAUSDT")

    def run():
        return discover_symbols(store=ledger.inbox, exchange=exchange, open_symbol=opened.append)

    return exchange, opened, run


def test_every_symbol_in_use_without_a_lane_is_opened(discover):
    exchange, opened, run = discover
    for symbol in ("ETHUSDT", "BTCUSDT", "ADAUSDT"):
        exchange.take(a_request(symbol=symbol, client_order_id=symbol))
    assert run() == opened == ["ADAUSDT", "ETHUSDT"]


def test_where_all_have_lanes_nothing_is_opened(discover):
    exchange, opened, run = discover
    exchange.take(a_request())
    assert run() == opened == []


def test_an_exchange_that_is_away_is_asked_again_next_time(discover):
    exchange, opened, run = discover
    exchange.trouble("symbols_in_use", Unavailable("away"))
    with pytest.raises(Unavailable):
        run()
    assert opened == []
