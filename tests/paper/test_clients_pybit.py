"""Bybit's own Python client works here unchanged, but for the address."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pybit.unified_trading
import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket

from .client import Control

ORDER = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "49800"}


@pytest.fixture
def session(control: Control) -> Iterator[HTTP]:
    session = HTTP(api_key="KEY", api_secret="SECRET")
    session.endpoint = control.url
    yield session
    session.client.close()


class Inbox:
    """What a stream told, by topic. `add` is called in the stream's own thread."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    def add(self, message: Any) -> None:
        self._messages.append(message)

    def of(self, topic: str) -> list[Any]:
        return [message for message in self._messages if message["topic"] == topic]

    def wait(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not is_done():
            assert time.monotonic() < deadline, self._messages
            time.sleep(0.01)


@pytest.fixture
def connect(control: Control, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WebSocket]]:
    """Opens streams: connect("linear"), connect("private")."""
    address = control.url.replace("http", "ws", 1)
    monkeypatch.setattr(pybit.unified_trading, "PUBLIC_WSS", address + "/v5/public/{CHANNEL_TYPE}")
    monkeypatch.setattr(pybit.unified_trading, "PRIVATE_WSS", address + "/v5/private")
    opened: list[WebSocket] = []

    def open_stream(channel: str) -> WebSocket:
        # The reading thread looks only as often as ping_timeout whether it should end.
        options = {"testnet": False, "ping_timeout": 0.2, "private_auth_expire": 5}
        stream = WebSocket(channel_type=channel, api_key="KEY", api_secret="SECRET", **options)
        opened.append(stream)
        return stream

    yield open_stream
    for stream in opened:
        stream.exit()
        stream.wst.join(5)
        assert not stream.wst.is_alive()


def pages(call: Callable[..., Any], **params: Any) -> list[list[Any]]:
    """Every page of a list."""
    found, cursor = [], None
    while cursor != "":
        result = call(**params, cursor=cursor)["result"]
        found.append(result["list"])
        cursor = result["nextPageCursor"]
    return found


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_market_data(session: HTTP, category: str) -> None:
    assert int(session.get_server_time()["result"]["timeSecond"]) > 0
    rows = session.get_instruments_info(category=category)["result"]["list"]
    assert {"BTCUSDT", "ETHUSDT"} <= {row["symbol"] for row in rows}
    (ticker,) = session.get_tickers(category=category, symbol="BTCUSDT")["result"]["list"]
    assert float(ticker["lastPrice"]) == 50000
    book = session.get_orderbook(category=category, symbol="BTCUSDT", limit=5)["result"]
    assert len(book["b"]) == len(book["a"]) == 5
    assert session.get_public_trade_history(category=category, symbol="BTCUSDT")["result"]["list"]
    candles = session.get_kline(category=category, symbol="BTCUSDT", interval=1, limit=5)["result"]["list"]
    assert [len(candle) for candle in candles] == [7] * 5


def test_instruments_come_in_pages(session: HTTP) -> None:
    found = pages(session.get_instruments_info, category="linear", limit=2)
    assert [len(page) for page in found] == [2, 2, 1]


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_an_order_from_placing_to_cancelling(session: HTTP, category: str) -> None:
    placed = session.place_order(category=category, **ORDER, orderLinkId="mine")["result"]
    names = {"category": category, "symbol": "BTCUSDT"}
    (row,) = session.get_open_orders(**names)["result"]["list"]
    assert (row["orderId"], row["orderLinkId"]) == (placed["orderId"], "mine")
    session.amend_order(**names, orderId=placed["orderId"], qty=0.02, price="49700")
    (row,) = session.get_open_orders(**names, orderLinkId="mine")["result"]["list"]
    assert (float(row["qty"]), float(row["price"])) == (0.02, 49700)
    session.cancel_order(**names, orderLinkId="mine")
    assert session.get_open_orders(**names)["result"]["list"] == []
    (row,) = session.get_order_history(**names, orderId=placed["orderId"])["result"]["list"]
    assert row["orderStatus"] == "Cancelled"
    with pytest.raises(InvalidRequestError) as refused:
        session.cancel_order(**names, orderId=placed["orderId"])
    assert refused.value.status_code == (110001 if category == "linear" else 170213)


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_open_orders_and_history_in_pages_and_cancelling_all(session: HTTP, category: str) -> None:
    names = {"category": category, "symbol": "BTCUSDT"}
    ids = [session.place_order(category=category, **ORDER)["result"]["orderId"] for _ in range(5)]
    found = pages(session.get_open_orders, **names, limit=2)
    assert [row["orderId"] for page in found for row in page] == ids[::-1]
    cancelled = session.cancel_all_orders(**names)["result"]
    assert {row["orderId"] for row in cancelled["list"]} == set(ids)
    found = pages(session.get_order_history, **names, limit=2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert {row["orderId"] for page in found for row in page} == set(ids)


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_batches(session: HTTP, category: str) -> None:
    wrong = {**ORDER, "symbol": "NOPEUSDT"}
    answer = session.place_batch_order(category=category, request=[ORDER, wrong, ORDER])
    assert [bool(one["code"]) for one in answer["retExtInfo"]["list"]] == [False, True, False]
    ids = [row["orderId"] for row in answer["result"]["list"] if row["orderId"]]
    amended = [{"symbol": "BTCUSDT", "orderId": one, "price": "49700"} for one in ids]
    session.amend_batch_order(category=category, request=amended)
    rows = session.get_open_orders(category=category, symbol="BTCUSDT")["result"]["list"]
    assert [float(row["price"]) for row in rows] == [49700, 49700]
    session.cancel_batch_order(category=category, request=[{"symbol": "BTCUSDT", "orderId": i} for i in ids])
    assert session.get_open_orders(category=category, symbol="BTCUSDT")["result"]["list"] == []


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_executions_in_pages(session: HTTP, category: str) -> None:
    for _ in range(5):
        session.place_order(
            category=category,
            symbol="BTCUSDT",
            side="Buy",
            orderType="Market",
            qty="0.01",
            marketUnit="baseCoin",
        )
    found = pages(session.get_executions, category=category, limit=2)
    rows = [row for page in found for row in page]
    assert len({row["execId"] for row in rows}) == len(rows) >= 5
    assert all(len(page) == 2 for page in found[:-1])
    assert sum(float(row["execQty"]) for row in rows) == pytest.approx(0.05)
    (fee,) = session.get_fee_rates(category=category, symbol="BTCUSDT")["result"]["list"]
    assert float(rows[0]["feeRate"]) == float(fee["takerFeeRate"])


def test_positions_balance_and_leverage(session: HTTP) -> None:
    names = {"category": "linear", "symbol": "BTCUSDT"}
    session.set_leverage(**names, buyLeverage="5", sellLeverage="5")
    session.place_order(**names, side="Buy", orderType="Market", qty="0.01")
    (leg,) = session.get_positions(**names)["result"]["list"]
    assert (leg["side"], float(leg["size"]), leg["leverage"]) == ("Buy", 0.01, "5")
    (account,) = session.get_wallet_balance(accountType="UNIFIED")["result"]["list"]
    assert float(account["totalInitialMargin"]) > 0
    assert session.get_account_info()["result"]["unifiedMarginStatus"] in (5, 6)
    session.place_order(**names, side="Sell", orderType="Market", qty="0.01", reduceOnly=True)
    (closed,) = session.get_closed_pnl(category="linear")["result"]["list"]
    assert (closed["symbol"], float(closed["closedSize"])) == ("BTCUSDT", 0.01)
    assert session.get_transaction_log(category="linear")["result"]["list"]
    assert session.get_api_key_information()["result"]["apiKey"] == "KEY"
    with pytest.raises(InvalidRequestError) as refused:
        session.set_leverage(**names, buyLeverage="5", sellLeverage="5")
    assert refused.value.status_code == 110043


def test_hedge_mode_holds_both_sides(session: HTTP) -> None:
    session.switch_position_mode(category="linear", symbol="ETHUSDT", mode=3)
    for side, idx in (("Buy", 1), ("Sell", 2)):
        session.place_order(
            category="linear", symbol="ETHUSDT", side=side, orderType="Market", qty="0.1", positionIdx=idx
        )
    legs = session.get_positions(category="linear", symbol="ETHUSDT")["result"]["list"]
    assert {(leg["positionIdx"], leg["side"]) for leg in legs} == {(1, "Buy"), (2, "Sell")}


def test_an_order_above_the_balance_is_refused(session: HTTP) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        session.place_order(category="spot", **{**ORDER, "qty": "80"})
    assert refused.value.status_code == 170131


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_public_streams(
    session: HTTP, control: Control, connect: Callable[..., WebSocket], category: str
) -> None:
    inbox = Inbox()
    stream = connect(category)
    for subscribe in (
        partial(stream.trade_stream, ["BTCUSDT", "ETHUSDT"]),
        partial(stream.orderbook_stream, 50, "BTCUSDT"),
        partial(stream.kline_stream, 1, "BTCUSDT"),
        partial(stream.ticker_stream, "BTCUSDT"),
    ):
        assert stream.is_connected()  # it would wait for ever
        subscribe(inbox.add)
    book, ticker, trades = "orderbook.50.BTCUSDT", "tickers.BTCUSDT", "publicTrade.BTCUSDT"
    inbox.wait(lambda: bool(inbox.of(book) and inbox.of(ticker)))
    control.pin("50500", category=category)
    session.place_order(category=category, symbol="BTCUSDT", side="Buy", orderType="Market", qty="10")
    inbox.wait(lambda: float(inbox.of(ticker)[-1]["data"]["lastPrice"]) == 50500)
    inbox.wait(lambda: len(inbox.of(trades)) > 0 and len(inbox.of(book)) > 1)
    shown = session.get_orderbook(category=category, symbol="BTCUSDT", limit=50)["result"]
    merged = inbox.of(book)[-1]["data"]  # pybit has applied the deltas
    assert (dict(merged["b"]), dict(merged["a"])) == (dict(shown["b"]), dict(shown["a"]))
    assert inbox.of(trades)[-1]["data"][-1]["S"] == "Buy"
    assert inbox.of("kline.1.BTCUSDT")[0]["data"][0]["confirm"] is False

    stream.unsubscribe(ticker)
    inbox.wait(lambda: ticker not in stream.callback_directory)
    count = len(inbox.of(ticker))
    control.pin("50600", category=category)
    inbox.wait(lambda: len(inbox.of(book)) > 2)
    assert len(inbox.of(ticker)) == count


def test_private_streams(session: HTTP, control: Control, connect: Callable[..., WebSocket]) -> None:
    inbox = Inbox()
    stream = connect("private")
    for subscribe in (
        stream.order_stream,
        stream.execution_stream,
        stream.position_stream,
        stream.wallet_stream,
    ):
        assert stream.is_connected()  # it would wait for ever
        subscribe(inbox.add)
    while len(control.get("streams")["connections"][0]["topics"]) < 4:
        time.sleep(0.01)
    ids = [
        session.place_order(category=category, symbol="BTCUSDT", side="Buy", orderType="Market", qty=qty)[
            "result"
        ]["orderId"]
        for category, qty in (("linear", "0.01"), ("spot", "100"))
    ]
    inbox.wait(lambda: len(inbox.of("order")) == len(inbox.of("wallet")) == 2)
    assert [message["data"][0]["orderId"] for message in inbox.of("order")] == ids
    assert [message["data"][0]["orderId"] for message in inbox.of("execution")] == ids
    assert [message["data"][0]["side"] for message in inbox.of("position")] == ["Buy"]
