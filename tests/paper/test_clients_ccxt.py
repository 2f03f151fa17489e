"""ccxt works here unchanged, but for the address: its REST client and its streams."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from .client import Control

LINEAR, SPOT = "BTC/USDT:USDT", "BTC/USDT"
TWO_A_PAGE = {"paginate": True, "maxEntriesPerRequest": 2}
BOTH = pytest.mark.parametrize("symbol", [LINEAR, SPOT])
CATEGORY = {LINEAR: "linear", SPOT: "spot"}


def config(url: str) -> dict[str, Any]:
    address = url.replace("http", "ws", 1)
    private = f"{address}/v5/private"
    streams = {
        "public": {category: f"{address}/v5/public/{category}" for category in ("linear", "spot")},
        "private": {"spot": {"unified": private}, "contract": private},
    }
    return {
        "apiKey": "KEY",
        "secret": "SECRET",
        "enableRateLimit": False,
        "urls": {"api": {"public": url, "private": url, "ws": streams}},
    }


@pytest.fixture
def exchange(control: Control) -> Iterator[ccxt.bybit]:
    exchange = ccxt.bybit(config(control.url))
    yield exchange
    exchange.session.close()


@pytest.fixture
def streaming(control: Control) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Runs a scenario with a streaming client, which it closes."""

    def run(scenario: Callable[[Any], Awaitable[None]]) -> None:
        async def whole() -> None:
            exchange = ccxt.pro.bybit(config(control.url))
            try:
                async with asyncio.timeout(8):
                    await scenario(exchange)
            finally:
                await exchange.close()

        asyncio.run(whole())

    return run


def price(symbol: str) -> float:
    return 49800 if symbol == LINEAR else 49900


def test_markets(exchange: ccxt.bybit) -> None:
    markets = exchange.load_markets()
    linear, spot = markets[LINEAR], markets[SPOT]
    assert (linear["swap"], linear["linear"], linear["settle"]) == (True, True, "USDT")
    assert (linear["precision"]["price"], linear["precision"]["amount"]) == (0.1, 0.001)
    assert linear["limits"]["leverage"]["max"] == 100
    assert (spot["spot"], spot["precision"]["amount"]) == (True, 0.000001)
    assert exchange.currencies["BTC"]["code"] == "BTC"


@BOTH
def test_market_data(exchange: ccxt.bybit, symbol: str) -> None:
    ticker = exchange.fetch_ticker(symbol)
    assert ticker["last"] == 50000
    assert ticker["bid"] < ticker["last"] < ticker["ask"]
    assert symbol in exchange.fetch_tickers([symbol])
    book = exchange.fetch_order_book(symbol, 10)
    assert (len(book["bids"]), len(book["asks"])) == (10, 10)
    assert exchange.fetch_trades(symbol, limit=1)[0]["price"] > 0
    candles = exchange.fetch_ohlcv(symbol, "1m", limit=5)
    assert [len(candle) for candle in candles] == [6] * 5
    week = 7 * 24 * 3600 * 1000
    since = exchange.milliseconds() - week
    longer = exchange.fetch_ohlcv(symbol, "1h", since, 1000, {"paginate": True})
    assert len(longer) == pytest.approx(7 * 24, abs=1)


@BOTH
def test_an_order_from_placing_to_cancelling(exchange: ccxt.bybit, symbol: str) -> None:
    rest = price(symbol)
    order = exchange.create_order(symbol, "limit", "buy", 0.01, rest, {"clientOrderId": "mine"})
    (shown,) = exchange.fetch_open_orders(symbol)
    assert (shown["id"], shown["clientOrderId"], shown["status"]) == (order["id"], "mine", "open")
    exchange.edit_order(order["id"], symbol, "limit", "buy", 0.02, rest - 100)
    shown = exchange.fetch_open_order(order["id"], symbol)
    assert (shown["amount"], shown["price"]) == (0.02, rest - 100)
    exchange.cancel_order(order["id"], symbol)
    assert exchange.fetch_open_orders(symbol) == []
    (shown,) = exchange.fetch_canceled_orders(symbol)
    assert (shown["id"], shown["status"]) == (order["id"], "canceled")
    with pytest.raises(ccxt.OrderNotFound):
        exchange.cancel_order(order["id"], symbol)


@BOTH
def test_many_orders_at_once_and_in_pages(exchange: ccxt.bybit, symbol: str) -> None:
    wishes = [
        {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.001, "price": price(symbol) - step}
        for step in range(5)
    ]
    ids = {order["id"] for order in exchange.create_orders(wishes)}
    paged = exchange.fetch_open_orders(symbol, params=TWO_A_PAGE)
    assert {order["id"] for order in paged} == ids
    exchange.cancel_orders(sorted(ids)[:2], symbol)
    exchange.cancel_all_orders(symbol)
    paged = exchange.fetch_canceled_and_closed_orders(symbol, params=TWO_A_PAGE)
    assert {order["id"] for order in paged} == ids


@BOTH
def test_fills_are_trades_and_closed_orders(exchange: ccxt.bybit, symbol: str) -> None:
    ids = [exchange.create_order(symbol, "market", "buy", 0.001, 50000)["id"] for _ in range(3)]
    exchange.create_order(symbol, "market", "sell", 0.001)
    # A spot market buy spends quote, and ends cancelled with less than a lot's worth unspent.
    closed = exchange.fetch_canceled_and_closed_orders(symbol)
    assert [order["filled"] for order in closed] == pytest.approx([0.001] * 4, rel=0.01)
    assert len(exchange.fetch_closed_orders(symbol)) == (4 if symbol == LINEAR else 1)
    trades = exchange.fetch_my_trades(symbol, params=TWO_A_PAGE)
    assert len(trades) == 4
    (trade,) = exchange.fetch_order_trades(ids[0], symbol)
    assert (trade["order"], trade["takerOrMaker"], trade["side"]) == (ids[0], "taker", "buy")
    assert trade["fee"]["currency"] == ("USDT" if symbol == LINEAR else "BTC")
    assert exchange.fetch_trading_fee(symbol)["taker"] == pytest.approx(trade["fee"]["rate"])


def test_balance_positions_and_leverage(exchange: ccxt.bybit) -> None:
    assert exchange.fetch_balance()["USDT"]["free"] == 100000
    exchange.set_leverage(5, LINEAR)
    exchange.create_order(LINEAR, "market", "buy", 0.01)
    (position,) = exchange.fetch_positions([LINEAR])
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.01, 5)
    assert exchange.fetch_position(LINEAR)["entryPrice"] == position["entryPrice"]
    assert exchange.fetch_leverage(LINEAR)["longLeverage"] == 5
    exchange.create_order(LINEAR, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert exchange.fetch_positions() == []
    (closed,) = exchange.fetch_positions_history([LINEAR])
    assert closed["symbol"] == LINEAR
    assert exchange.fetch_balance()["USDT"]["total"] < 100000
    exchange.create_order(SPOT, "market", "buy", 0.01, 50000)
    assert exchange.fetch_balance()["BTC"]["free"] == pytest.approx(0.01, rel=0.01)


def test_hedge_mode_holds_both_sides(exchange: ccxt.bybit) -> None:
    symbol = "ETH/USDT:USDT"
    exchange.set_position_mode(True, symbol)
    for side in ("buy", "sell"):
        exchange.create_order(symbol, "market", side, 0.1, None, {"hedged": True})
    legs = exchange.fetch_positions([symbol])
    assert {(leg["side"], leg["contracts"], leg["hedged"]) for leg in legs} == {
        ("long", 0.1, True), ("short", 0.1, True)
    }  # fmt: skip


def test_refusals_have_their_own_errors(exchange: ccxt.bybit) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        exchange.create_order(LINEAR, "limit", "buy", 100, 49800)
    with pytest.raises(ccxt.InsufficientFunds):
        exchange.create_order(SPOT, "limit", "buy", 50, 49900)
    stranger = ccxt.bybit(config(exchange.urls["api"]["public"]) | {"apiKey": "NOBODY"})
    with pytest.raises(ccxt.AuthenticationError):
        stranger.fetch_balance()
    stranger.session.close()


@BOTH
def test_public_streams(
    control: Control, streaming: Callable[[Callable[[Any], Awaitable[None]]], None], symbol: str
) -> None:
    async def scenario(exchange: Any) -> None:
        book = await exchange.watch_order_book(symbol)
        assert book["asks"][0][0] == pytest.approx(50000, abs=1)
        assert (await exchange.watch_ticker(symbol))["last"] == 50000
        assert len(await exchange.watch_ohlcv(symbol, "1m")) == 1
        trades = asyncio.ensure_future(exchange.watch_trades(symbol))
        ticked = asyncio.ensure_future(exchange.watch_ticker(symbol))
        later = asyncio.ensure_future(exchange.watch_order_book(symbol))
        await asyncio.to_thread(control.pin, "50500", category=CATEGORY[symbol])
        shown = await later
        assert shown["asks"][0][0] == pytest.approx(50500, abs=1)
        assert (await exchange.fetch_order_book(symbol, 25))["bids"] == shown["bids"]
        assert (await ticked)["last"] == 50500
        await exchange.create_order(symbol, "market", "buy", 0.01, 50500)
        (trade,) = await trades
        assert (trade["side"], trade["amount"]) == ("buy", pytest.approx(0.01, rel=0.01))
        await exchange.un_watch_ticker(symbol)
        await exchange.un_watch_order_book(symbol, {"limit": 50})

    streaming(scenario)


def test_private_streams(streaming: Callable[[Callable[[Any], Awaitable[None]]], None]) -> None:
    async def scenario(exchange: Any) -> None:
        await exchange.load_markets()
        assert await exchange.watch_positions([LINEAR]) == []
        for symbol in (LINEAR, SPOT):
            calls = [
                exchange.watch_orders(symbol),
                exchange.watch_my_trades(symbol),
                exchange.watch_balance(),
            ]
            if symbol == LINEAR:
                calls.append(exchange.watch_positions([symbol]))
            waiting = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0.3)  # until all are subscribed
            placed = await exchange.create_order(symbol, "market", "buy", 0.01, 50000)
            (order,), (trade,), balance, *legs = await asyncio.gather(*waiting)
            assert order["id"] == trade["order"] == placed["id"]
            assert order["filled"] == trade["amount"] == pytest.approx(0.01, rel=0.01)
            assert balance["USDT"]["total"] < 100000
            for (leg,) in legs:
                assert (leg["side"], leg["contracts"]) == ("long", 0.01)

    streaming(scenario)
