"""The public streams: subscribing, and what each topic tells."""

import time
from decimal import Decimal
from typing import Any

import pytest

from .client import Client, Control
from .conftest import running_exchange
from .stream_client import StreamClient

LINEAR, SPOT = "/v5/public/linear", "/v5/public/spot"


def subscribe(stream: StreamClient, *topics: str) -> None:
    answer = stream.ask(op="subscribe", args=list(topics))
    assert answer["success"] is True, answer


def test_pongs_have_the_public_shapes(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as stream:
        pong = stream.ask(op="ping")
        conn_id = pong.pop("conn_id")
        assert conn_id
        assert pong == {"success": True, "ret_msg": "pong", "req_id": "", "op": "ping"}
        assert stream.ask(op="ping", req_id="7")["req_id"] == "7"
    with StreamClient(control.url, path=SPOT) as stream:
        assert stream.ask(op="ping").keys() == {"success", "ret_msg", "conn_id", "op"}
        assert stream.ask(op="ping", req_id="7")["req_id"] == "7"


def test_answers_to_subscriptions_differ_by_category(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as stream:
        answer = stream.ask(op="subscribe", args=["tickers.BTCUSDT"])
        assert (answer["success"], answer["ret_msg"], answer["req_id"]) == (True, "", "")
        assert stream.ask(op="unsubscribe", req_id="u", args=["tickers.BTCUSDT"])["req_id"] == "u"
    with StreamClient(control.url, path=SPOT) as stream:
        answer = stream.ask(op="subscribe", req_id="s", args=["tickers.BTCUSDT"])
        assert (answer["success"], answer["ret_msg"], answer["req_id"]) == (True, "subscribe", "s")


@pytest.mark.parametrize(
    ("path", "args", "message"),
    [
        (LINEAR, ["tickers.BTCUSDT", "tickers.NOPEUSDT"], "error:handler not found,topic:tickers.NOPEUSDT"),
        (LINEAR, ["orderbook.30.BTCUSDT"], "error:handler not found,topic:orderbook.30.BTCUSDT"),
        (LINEAR, ["orderbook.BTCUSDT"], "error:handler not found,topic:orderbook.BTCUSDT"),
        (LINEAR, ["tickers.1.BTCUSDT"], "error:handler not found,topic:tickers.1.BTCUSDT"),
        (LINEAR, ["tickers.btcusdt"], "error:handler not found,topic:tickers.btcusdt"),
        (LINEAR, ["kline.2.BTCUSDT"], "error:handler not found,topic:kline.2.BTCUSDT"),
        (LINEAR, ["order"], "error:handler not found,topic:order"),
        (LINEAR, [""], "error:handler not found,topic:"),
        (LINEAR, ["tickers.BTCUSDT"] * 2, "error:already subscribed,topic:tickers.BTCUSDT"),
        (LINEAR, [], "Params Error"),
        (SPOT, ["tickers.NOPEUSDT"], "Invalid symbol :[tickers.NOPEUSDT]"),
        (SPOT, ["dance.BTCUSDT"], "error:handler not found,topic:dance.BTCUSDT"),
        (SPOT, [f"tickers.{n}" for n in range(11)], "args size >10"),
        (LINEAR, ["x" * 21_001], "error:args over 21000 characters"),
    ],
)
def test_a_refused_subscription_subscribes_to_nothing(
    control: Control, path: str, args: list[str], message: str
) -> None:
    with StreamClient(control.url, path=path) as stream:
        answer = stream.ask(op="subscribe", args=args)
        assert (answer["success"], answer["ret_msg"]) == (False, message)
        control.pin("51000")
        control.pin("51000", category="spot")
        stream.settle()
        assert stream.messages == stream.answers()


def test_other_ops_and_paths_are_refused(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as stream:
        assert stream.ask(op="auth", args=[])["ret_msg"] == "error:invalid op"
        assert stream.ask(op="unsubscribe", args=["tickers.BTCUSDT"])["success"] is True  # nothing to leave
    assert control.session.get(f"{control.url}/v5/public/option", timeout=5).status_code == 404


def book_after(messages: list[Any]) -> dict[str, dict[str, str]]:
    """The book that a client has which applies every message."""
    sides: dict[str, dict[str, str]] = {}
    last = 0
    for message in messages:
        data = message["data"]
        assert data["u"] == last + 1 or message["type"] == "snapshot"
        last = data["u"]
        if message["type"] == "snapshot":
            sides = {"b": {}, "a": {}}
        for name, side in sides.items():
            for price, qty in data[name]:
                if qty == "0":
                    del side[price]
                else:
                    side[price] = qty
    return sides


@pytest.mark.parametrize(("path", "category"), [(LINEAR, "linear"), (SPOT, "spot")])
def test_applying_the_deltas_gives_the_book(
    client: Client, control: Control, path: str, category: str
) -> None:
    topic = "orderbook.50.BTCUSDT"
    with StreamClient(control.url, path=path) as stream:
        subscribe(stream, topic)
        for step in range(5):
            control.pin(str(50001 + step), category=category)
            stream.wait(lambda n=step + 2: len(stream.told(topic)) == n)  # type: ignore[misc]
        messages = stream.told(topic)
        assert [m["type"] for m in messages] == ["snapshot"] + ["delta"] * 5
        rest = client.get("/v5/market/orderbook", category=category, symbol="BTCUSDT", limit=50)["result"]
        book = book_after(messages)
        for name, highest_first in (("b", True), ("a", False)):
            prices = sorted(book[name], key=Decimal, reverse=highest_first)
            assert [[price, book[name][price]] for price in prices] == rest[name]
        assert messages[-1]["data"]["seq"] == rest["seq"]


def test_who_joins_later_begins_where_the_others_are(control: Control) -> None:
    topic = "orderbook.50.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as one, StreamClient(control.url, path=LINEAR) as two:
        subscribe(one, topic)
        control.pin("50001")
        one.wait(lambda: len(one.told(topic)) == 2)
        subscribe(two, topic)
        control.pin("50002")
        one.wait(lambda: len(one.told(topic)) == 3)
        two.wait(lambda: len(two.told(topic)) == 2)
        assert two.told(topic)[0]["data"]["u"] == one.told(topic)[1]["data"]["u"]
        assert two.told(topic)[1] == one.told(topic)[2]
        assert book_after(one.told(topic)) == book_after(two.told(topic))


def test_level_1_is_snapshots_only_and_repeated_when_nothing_changes(control: Control) -> None:
    topic = "orderbook.1.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as stream, StreamClient(control.url, path=SPOT) as spot:
        subscribe(stream, topic)
        subscribe(spot, topic)
        control.pin("50001")
        stream.wait(lambda: len(stream.told(topic)) == 3, timeout=6)
        first, changed, repeated = stream.told(topic)
        assert [m["type"] for m in stream.told(topic)] == ["snapshot"] * 3
        assert [len(m["data"]["b"]) for m in stream.told(topic)] == [1, 1, 1]
        assert changed["data"]["u"] == first["data"]["u"] + 1
        assert repeated["data"] == changed["data"]
        assert repeated["ts"] - changed["ts"] >= 3000
        assert len(spot.told(topic)) == 1  # not on spot, and its price did not move


def test_a_linear_ticker_tells_what_differs(client: Client, control: Control) -> None:
    topic = "tickers.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, topic)
        control.pin("50100")
        control.pin("50050")
        stream.wait(lambda: stream.told(topic)[-1]["data"].get("lastPrice") == "50050.00")
        first, *deltas = stream.told(topic)
        assert first["type"] == "snapshot"
        assert {m["type"] for m in deltas} == {"delta"}
        row = first["data"] | {name: value for m in deltas for name, value in m["data"].items()}
        assert deltas[-1]["data"]["symbol"] == "BTCUSDT"
        assert "fundingRate" not in deltas[-1]["data"]
        rest = client.rows("/v5/market/tickers", category="linear", symbol="BTCUSDT")[0]
        assert {name: rest[name] for name in row if name != "tickDirection"} == {
            name: value for name, value in row.items() if name != "tickDirection"
        }
        assert first.keys() == {"topic", "type", "data", "cs", "ts"}


def test_a_spot_ticker_is_whole_each_time(control: Control) -> None:
    topic = "tickers.BTCUSDT"
    with StreamClient(control.url, path=SPOT) as stream:
        subscribe(stream, topic)
        control.pin("50100", category="spot")
        stream.wait(lambda: len(stream.told(topic)) == 2)
        one, two = stream.told(topic)
        assert one["type"] == two["type"] == "snapshot"
        assert one["data"].keys() == two["data"].keys()
        assert not two["data"].keys() & {"bid1Price", "markPrice"}
        assert two["data"]["lastPrice"] == "50100.0"


def test_fills_are_public_trades_of_the_takers_side(client: Client, control: Control) -> None:
    topic = "publicTrade.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, topic)
        client.market("Buy", "0.010")
        client.limit("Buy", "0.020", "49900.00")
        client.market("Buy", "0.01", symbol="ETHUSDT")
        control.pin("49899.90")
        taken, made = stream.wait_rows(topic, 2)
        fills = client.rows("/v5/execution/list", category="linear", symbol="BTCUSDT")
        assert [made["i"], taken["i"]] == [fill["execId"] for fill in fills]
        assert (taken["S"], taken["v"], taken["p"]) == ("Buy", "0.01", "50000.10")
        assert (made["S"], made["v"], made["p"], made["L"]) == ("Sell", "0.02", "49900.00", "MinusTick")
        assert made.keys() == {"T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq"}


def test_spot_trades_have_no_tick_direction(client: Client, control: Control) -> None:
    with StreamClient(control.url, path=SPOT) as stream:
        subscribe(stream, "publicTrade.BTCUSDT")
        client.market("Buy", "100", category="spot")
        (row,) = stream.wait_rows("publicTrade.BTCUSDT", 1)
        assert "L" not in row


def test_price_limits_are_told_at_once_and_when_they_change(client: Client, control: Control) -> None:
    topic = "priceLimit.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, topic)
        control.pin("51000")
        stream.wait(lambda: len(stream.told(topic)) == 2)
        message = stream.told(topic)[1]
        rest = client.get("/v5/market/price-limit", symbol="BTCUSDT")["result"]
        assert message["data"] == {name: rest[name] for name in ("symbol", "buyLmt", "sellLmt")}


def test_the_open_candle_is_told_every_second(control: Control) -> None:
    topic = "kline.1.BTCUSDT"
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, topic)
        stream.wait(lambda: len(stream.told(topic)) == 2)
        row = stream.told(topic)[0]["data"][-1]
        assert row["end"] - row["start"] == 59_999
        assert (row["close"], row["interval"], row["confirm"]) == ("50000.00", "1", False)
        assert row["start"] <= time.time() * 1000 <= row["end"] + 60_000


def test_a_reset_sends_snapshots_that_count_from_one(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, "orderbook.50.BTCUSDT", "tickers.BTCUSDT")
        control.post("reset")
        stream.wait(lambda: len(stream.told("tickers.BTCUSDT")) == 2)
        again = stream.told("orderbook.50.BTCUSDT")[1]
        assert (again["type"], again["data"]["u"]) == ("snapshot", 1)
        assert [m["type"] for m in stream.told("tickers.BTCUSDT")] == ["snapshot", "snapshot"]


def test_unsubscribing_ends_a_topic(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as stream:
        subscribe(stream, "tickers.BTCUSDT", "orderbook.1.BTCUSDT")
        assert stream.ask(op="unsubscribe", args=["tickers.BTCUSDT"])["success"] is True
        control.pin("51000")
        stream.wait(lambda: len(stream.told("orderbook.1.BTCUSDT")) == 2)
        assert len(stream.told("tickers.BTCUSDT")) == 1


def test_public_connections_are_listed_and_can_be_cut(control: Control) -> None:
    with StreamClient(control.url, path=LINEAR) as one, StreamClient(control.url, path=SPOT) as two:
        subscribe(one, "tickers.BTCUSDT")
        assert two.ask(op="ping")["success"] is True
        rows = {row["account"]: row["topics"] for row in control.get("streams")["connections"]}
        assert rows == {"linear": {"tickers.BTCUSDT": 1}, "spot": {}}
        assert control.post("stream-faults", kind="disconnect", account="linear")["disconnected"] == 1
        one.wait_closed()
        two.settle()


def test_moving_prices_are_told_as_they_move() -> None:
    interval = ("--price-interval-ms", "20")
    with running_exchange(*interval) as (url, process), StreamClient(url, path=LINEAR) as stream:
        topics = ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT", "kline.1.BTCUSDT"]
        subscribe(stream, *topics)
        stream.wait(lambda: all(len(stream.told(topic)) > 1 for topic in topics))
        stream.wait(lambda: len(stream.rows("publicTrade.BTCUSDT")) > 20)
        book_after(stream.told("orderbook.50.BTCUSDT"))
        ids = [row["i"] for row in stream.rows("publicTrade.BTCUSDT")]
        numbers = [int(name.rpartition("-")[2]) for name in ids]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        began = time.monotonic()
        process.terminate()
        assert process.wait(5) == 0
        assert time.monotonic() - began < 2
        stream.wait_closed()
        assert stream.close_code == 1001
