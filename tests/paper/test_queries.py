"""Reading: market data, order lists and their pages, executions, settings."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from .client import Client, Control


def public(control: Control, path: str, **params: Any) -> Any:
    return control.session.get(f"{control.url}/v5/market/{path}", params=params, timeout=5).json()


def pages(client: Client, path: str, **params: Any) -> list[list[Any]]:
    found: list[list[Any]] = []
    cursor = ""
    while True:
        result = client.get(path, cursor=cursor, **params)["result"]
        found.append(result["list"])
        cursor = result["nextPageCursor"]
        if not cursor:
            return found


def test_time_is_now(control: Control) -> None:
    answer = public(control, "time")
    assert abs(answer["time"] - time.time() * 1000) < 2000
    assert answer["result"]["timeNano"].startswith(answer["result"]["timeSecond"])


def test_instruments_have_the_documented_shape(control: Control) -> None:
    (linear,) = public(control, "instruments-info", category="linear", symbol="BTCUSDT")["result"]["list"]
    assert linear["priceFilter"]["tickSize"] == "0.10"
    assert linear["lotSizeFilter"]["qtyStep"] == "0.001"
    assert linear["lotSizeFilter"]["minNotionalValue"] == "5"
    (spot,) = public(control, "instruments-info", category="spot", symbol="BTCUSDT")["result"]["list"]
    assert spot["lotSizeFilter"]["basePrecision"] == "0.000001"
    assert spot["lotSizeFilter"]["minOrderAmt"] == "5"
    for category in ("linear", "spot"):
        rows = public(control, "instruments-info", category=category)["result"]["list"]
        symbols = {row["symbol"] for row in rows}
        assert symbols == {"BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"}
    assert public(control, "instruments-info", category="linear", symbol="NO")["retCode"] == 10001
    assert public(control, "instruments-info", category="spot", status="Odd")["retCode"] == 10001
    assert public(control, "instruments-info", category="inverse")["result"]["list"] == []


def test_instruments_come_in_pages(control: Control) -> None:
    url = f"{control.url}/v5/market/instruments-info?category=linear&limit=2"
    seen: list[str] = []
    cursor = ""
    while True:
        suffix = f"&cursor={cursor}" if cursor else ""
        result = requests.get(url + suffix, timeout=5).json()["result"]
        seen += [row["symbol"] for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
        assert "%3D" in cursor
    assert len(seen) == len(set(seen)) == 5


def test_a_delisted_instrument_leaves_the_list_and_takes_no_orders(client: Client, control: Control) -> None:
    control.post("instruments", category="linear", symbol="XRPUSDT", status="Closed")
    rows = public(control, "instruments-info", category="linear")["result"]["list"]
    assert "XRPUSDT" not in {row["symbol"] for row in rows}
    rows = public(control, "instruments-info", category="linear", status="Closed")["result"]["list"]
    assert [row["symbol"] for row in rows] == ["XRPUSDT"]
    answer = client.create(symbol="XRPUSDT", orderType="Market", qty="100")
    assert answer["retCode"] == 110074


def test_a_new_instrument_can_be_listed(client: Client, control: Control) -> None:
    control.post("instruments", category="linear", symbol="NEWUSDT", start_price="20")
    client.market("Buy", "1", symbol="NEWUSDT")
    assert client.position("NEWUSDT")["size"] == "1.00"


def test_tickers_and_book_agree(control: Control) -> None:
    for category in ("linear", "spot"):
        (ticker,) = public(control, "tickers", category=category, symbol="BTCUSDT")["result"]["list"]
        book = public(control, "orderbook", category=category, symbol="BTCUSDT", limit=5)["result"]
        assert book["b"][0] == [ticker["bid1Price"], ticker["bid1Size"]]
        assert book["a"][0] == [ticker["ask1Price"], ticker["ask1Size"]]
        assert [float(row[0]) for row in book["a"]] == sorted(float(row[0]) for row in book["a"])
        assert float(book["b"][0][0]) < float(ticker["lastPrice"]) < float(book["a"][0][0])
        assert len(public(control, "tickers", category=category)["result"]["list"]) == 5
    assert len(public(control, "orderbook", category="spot", symbol="BTCUSDT")["result"]["a"]) == 1
    trades = public(control, "recent-trade", category="linear", symbol="BTCUSDT")["result"]["list"]
    assert trades[0]["price"] == "50000.00"


def test_realtime_pages_newest_first(client: Client) -> None:
    placed = [client.limit("Buy", "0.001", "49000.00") for _ in range(7)]
    found = pages(client, "/v5/order/realtime", category="linear", symbol="BTCUSDT", limit=3)
    assert [len(part) for part in found] == [3, 3, 1]
    assert [row["orderId"] for part in found for row in part] == placed[::-1]


def test_an_order_created_between_pages_shifts_nothing(client: Client) -> None:
    placed = [client.limit("Buy", "0.001", "49000.00") for _ in range(4)]
    query = {"category": "linear", "symbol": "BTCUSDT", "limit": 2}
    first = client.get("/v5/order/realtime", **query)["result"]
    client.limit("Buy", "0.001", "49000.00")
    second = client.get("/v5/order/realtime", cursor=first["nextPageCursor"], **query)["result"]
    assert [row["orderId"] for row in second["list"]] == placed[1::-1]


def test_a_cursor_decoded_or_encoded_twice_is_refused(client: Client) -> None:
    for _ in range(2):
        client.limit("Buy", "0.001", "49000.00")
    query = {"category": "linear", "symbol": "BTCUSDT", "limit": 1}
    cursor = client.get("/v5/order/realtime", **query)["result"]["nextPageCursor"]
    for wrong in (unquote(cursor), cursor.replace("%", "%25")):
        assert client.get("/v5/order/realtime", cursor=wrong, **query)["retCode"] == 10001


def test_realtime_needs_a_scope_for_linear_but_not_for_spot(client: Client) -> None:
    assert client.get("/v5/order/realtime", category="linear")["retCode"] == 10001
    assert client.get("/v5/order/realtime", category="linear", orderLinkId="x")["retCode"] == 10001
    assert client.get("/v5/order/realtime", category="spot")["retCode"] == 0
    assert client.get("/v5/order/realtime", category="linear", symbol="BTCUSDT", limit=51)["retCode"] == 10001


def test_realtime_shows_recently_closed_orders_on_request(client: Client, control: Control) -> None:
    closed = client.market("Buy", "0.010", orderLinkId="done")
    open_order = client.limit("Buy", "0.010", "49000.00")
    query = {"category": "linear", "symbol": "BTCUSDT"}
    assert [r["orderId"] for r in client.rows("/v5/order/realtime", **query)] == [open_order]
    assert [r["orderId"] for r in client.rows("/v5/order/realtime", openOnly=1, **query)] == [closed]
    assert len(client.rows("/v5/order/realtime", orderLinkId="done", **query)) == 1
    assert client.rows("/v5/order/realtime", orderLinkId="unknown", **query) == []
    control.post("wipe-recent")
    assert client.rows("/v5/order/realtime", orderLinkId="done", **query) == []
    assert client.rows("/v5/order/realtime", openOnly=1, **query) == []
    assert len(client.rows("/v5/order/history", orderLinkId="done", **query)) == 1


def test_realtime_forgets_the_501st_closed_order(client: Client) -> None:
    first = client.limit("Buy", "0.001", "49000.00", orderLinkId="first")
    client.cancel(first)
    query = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "first"}
    for _ in range(499):
        client.limit("Buy", "0.001", "40000.00", timeInForce="IOC")
    assert len(client.rows("/v5/order/realtime", **query)) == 1
    client.limit("Buy", "0.001", "40000.00", timeInForce="IOC")
    assert client.rows("/v5/order/realtime", **query) == []
    assert len(client.rows("/v5/order/history", **query)) == 1


def test_history_holds_closed_orders_only(client: Client) -> None:
    filled = client.market("Buy", "0.010")
    cancelled = client.limit("Buy", "0.010", "49000.00")
    client.cancel(cancelled)
    client.limit("Buy", "0.010", "49000.00")
    found = pages(client, "/v5/order/history", category="linear", limit=1)
    assert [row["orderId"] for part in found for row in part] == [cancelled, filled]
    rows = client.rows("/v5/order/history", category="linear", orderStatus="Filled")
    assert [row["orderId"] for row in rows] == [filled]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"orderStatus": "New"}, 181017),
        ({"startTime": "1000", "endTime": str(1000 + 7 * 86_400_000 + 1)}, 181010),
        ({"startTime": "2000", "endTime": "1000"}, 181009),
        ({"startTime": "x"}, 181006),
        ({"limit": "0"}, 10001),
        ({"category": "swap"}, 10001),
    ],
)
def test_history_parameters_are_checked(client: Client, params: dict[str, str], code: int) -> None:
    assert client.get("/v5/order/history", **{"category": "linear", **params})["retCode"] == code


def test_history_keeps_to_its_window(client: Client) -> None:
    client.market("Buy", "0.010")
    old = str(int(time.time() * 1000) - 3_600_000)
    assert client.rows("/v5/order/history", category="linear", endTime=old) == []
    assert len(client.rows("/v5/order/history", category="linear", startTime=old)) == 1


def test_executions_page_newest_first(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    client.market("Buy", "0.005", orderLinkId="five")
    client.market("Buy", "0.01", symbol="ETHUSDT")
    found = pages(client, "/v5/execution/list", category="linear", symbol="BTCUSDT", limit=2)
    prices = [row["execPrice"] for part in found for row in part]
    assert [len(part) for part in found] == [2, 2, 1]
    assert prices == sorted(prices, reverse=True)
    assert len({row["seq"] for part in found for row in part}) == 1
    assert len(client.rows("/v5/execution/list", category="linear", orderLinkId="five")) == 5
    assert len(client.rows("/v5/execution/list", category="linear")) == 6
    assert client.rows("/v5/execution/list", category="spot") == []
    assert client.rows("/v5/execution/list", category="linear", execType="Funding") == []


def test_positions_need_a_scope(client: Client) -> None:
    assert client.get("/v5/position/list", category="linear")["retCode"] == 10001
    assert client.get("/v5/position/list", category="spot", symbol="BTCUSDT")["retCode"] == 10001
    client.market("Buy", "0.010")
    client.market("Buy", "0.01", symbol="ETHUSDT")
    found = pages(client, "/v5/position/list", category="linear", settleCoin="USDT", limit=1)
    assert [row["symbol"] for part in found for row in part] == ["BTCUSDT", "ETHUSDT"]


def test_account_settings(client: Client) -> None:
    info = client.get("/v5/account/info")["result"]
    assert (info["unifiedMarginStatus"], info["marginMode"]) == (5, "REGULAR_MARGIN")
    (rate,) = client.rows("/v5/account/fee-rate", category="linear", symbol="BTCUSDT")
    assert rate == {"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}
    spot = client.get("/v5/account/fee-rate", category="spot")["result"]
    assert spot["category"] == "spot"
    key = client.get("/v5/user/query-api")["result"]
    assert (key["apiKey"], key["readOnly"]) == ("KEY", 0)
    assert "Order" in key["permissions"]["ContractTrade"]


def test_accounts_do_not_see_each_other(client: Client, new_client: Callable[..., Client]) -> None:
    order_id = client.limit("Buy", "0.010", "49000.00", orderLinkId="mine")
    other = new_client("OTHER", balance="5")
    assert other.cancel(order_id)["retCode"] == 110001
    assert other.rows("/v5/order/realtime", category="linear", symbol="BTCUSDT") == []
    assert other.coin()["walletBalance"] == "5"
