"""The reads that reconciliation stands on: by id alone, by window, by settle coin, page by page."""

import time
from typing import Any

import pytest

from .client import Client, Control
from .test_queries import pages

WEEK_MS = 7 * 86_400_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ids(found: list[list[Any]], name: str = "orderId") -> list[str]:
    return [row[name] for part in found for row in part]


@pytest.mark.parametrize(("category", "qty"), [("linear", "0.010"), ("spot", "0.001")])
def test_an_order_id_alone_finds_the_order_and_its_fills(client: Client, category: str, qty: str) -> None:
    unit = {"marketUnit": "baseCoin"} if category == "spot" else {}
    done = client.market("Buy", qty, category=category, **unit)
    client.market("Buy", qty, category=category, **unit)
    (row,) = client.rows("/v5/order/history", category=category, orderId=done)
    assert (row["orderId"], row["orderStatus"], row["orderLinkId"]) == (done, "Filled", "")
    fills = client.rows("/v5/execution/list", category=category, orderId=done)
    assert {fill["orderId"] for fill in fills} == {done}
    scope = {"symbol": "BTCUSDT"} if category == "linear" else {}
    (row,) = client.rows("/v5/order/realtime", category=category, orderId=done, **scope)
    assert row["orderId"] == done
    for path in ("/v5/order/history", "/v5/execution/list"):
        assert client.rows(path, category=category, orderId="unknown") == []


def test_an_order_id_wins_over_an_order_link_id(client: Client) -> None:
    first = client.market("Buy", "0.010", orderLinkId="first")
    client.market("Buy", "0.010", orderLinkId="second")
    for path in ("/v5/order/history", "/v5/execution/list"):
        rows = client.rows(path, category="linear", orderId=first, orderLinkId="second")
        assert {row["orderId"] for row in rows} == {first}


def test_the_fills_of_one_order_come_in_pages(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    order_id = client.market("Buy", "0.007")
    client.market("Buy", "0.002")
    found = pages(client, "/v5/execution/list", category="linear", orderId=order_id, limit=3)
    assert [len(part) for part in found] == [3, 3, 1]
    assert len(set(ids(found, "execId"))) == 7


def test_executions_of_a_symbol_keep_to_their_window_over_pages(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    client.market("Buy", "0.002")
    time.sleep(0.01)
    start = now_ms()
    client.market("Buy", "0.005")
    client.market("Buy", "0.01", symbol="ETHUSDT")
    end = now_ms()
    time.sleep(0.01)
    client.market("Buy", "0.003")
    query = {"category": "linear", "symbol": "BTCUSDT", "startTime": start, "endTime": end}
    found = pages(client, "/v5/execution/list", **query, limit=2)
    assert [len(part) for part in found] == [2, 2, 1]
    times = [int(stamp) for stamp in ids(found, "execTime")]
    assert times == sorted(times, reverse=True)
    assert all(start <= stamp <= end for stamp in times)
    newer = client.rows("/v5/execution/list", category="linear", symbol="BTCUSDT", startTime=end + 1)
    assert len(newer) == 3
    older = client.rows("/v5/execution/list", category="linear", symbol="BTCUSDT", endTime=start - 1)
    assert len(older) == 2


def test_new_fills_between_pages_shift_nothing(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    client.market("Buy", "0.004")
    query = {"category": "linear", "symbol": "BTCUSDT", "limit": "2"}
    first = client.get("/v5/execution/list", **query)["result"]
    client.market("Buy", "0.002")
    second = client.get("/v5/execution/list", cursor=first["nextPageCursor"], **query)["result"]
    assert len({row["execId"] for row in first["list"] + second["list"]}) == 4
    assert second["nextPageCursor"] == ""


@pytest.mark.parametrize(
    ("window", "code"),
    [
        ({"startTime": 1000, "endTime": 1000 + WEEK_MS}, 0),
        ({"startTime": 1000, "endTime": 1001 + WEEK_MS}, 181010),
        ({"startTime": 2000, "endTime": 1000}, 181009),
        ({"endTime": "x"}, 181007),
    ],
)
def test_execution_windows_are_at_most_seven_days(client: Client, window: dict[str, Any], code: int) -> None:
    assert client.get("/v5/execution/list", category="linear", **window)["retCode"] == code


def test_one_end_of_a_window_reaches_seven_days(client: Client) -> None:
    client.market("Buy", "0.010")
    eight_days_ago = now_ms() - 8 * 86_400_000
    assert client.rows("/v5/execution/list", category="linear", startTime=eight_days_ago) == []
    assert len(client.rows("/v5/execution/list", category="linear", endTime=now_ms() + 1000)) == 1
    assert client.rows("/v5/order/history", category="linear", startTime=eight_days_ago) == []


def test_open_orders_of_a_settle_coin_come_in_pages(client: Client) -> None:
    placed = []
    for number in range(4):
        placed.append(client.limit("Buy", "0.001", "49000.00"))
        placed.append(client.limit("Buy", "0.01", f"{2900 + number}.00", symbol="ETHUSDT"))
    client.limit("Buy", "0.001", "49000.0", category="spot")
    query = {"category": "linear", "settleCoin": "USDT"}
    found = pages(client, "/v5/order/realtime", **query, limit=3)
    assert [len(part) for part in found] == [3, 3, 2]
    assert ids(found) == placed[::-1]
    assert client.rows("/v5/order/realtime", category="linear", settleCoin="USDC") == []
    first = client.get("/v5/order/realtime", **query, limit="3")["result"]
    client.cancel(placed[3], symbol="ETHUSDT")
    client.cancel(placed[4])
    rest = client.get("/v5/order/realtime", cursor=first["nextPageCursor"], **query)["result"]["list"]
    assert [row["orderId"] for row in rest] == placed[2::-1]


def test_positions_of_a_settle_coin_leave_out_flat_ones(client: Client) -> None:
    for symbol, qty in (("BTCUSDT", "0.010"), ("ETHUSDT", "0.01"), ("SOLUSDT", "1"), ("XRPUSDT", "100")):
        client.market("Buy", qty, symbol=symbol)
    query = {"category": "linear", "settleCoin": "USDT", "limit": "2"}
    first = client.get("/v5/position/list", **query)["result"]
    client.market("Sell", "0.010", reduceOnly=True)
    second = client.get("/v5/position/list", cursor=first["nextPageCursor"], **query)["result"]
    symbols = [row["symbol"] for row in first["list"] + second["list"]]
    assert symbols == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    assert second["nextPageCursor"] == ""
    rows = client.rows("/v5/position/list", category="linear", settleCoin="USDT")
    assert [row["symbol"] for row in rows] == ["ETHUSDT", "SOLUSDT", "XRPUSDT"]
    assert client.rows("/v5/position/list", category="linear", settleCoin="USDC") == []
    (flat,) = client.rows("/v5/position/list", category="linear", symbol="BTCUSDT", settleCoin="USDT")
    assert (flat["side"], flat["size"]) == ("", "0")


def test_a_position_names_the_fill_that_moved_it_last(client: Client) -> None:
    assert client.position()["seq"] == -1  # never traded
    assert "updatedTime" in client.position()
    for side in ("Buy", "Sell"):
        before = now_ms()
        order_id = client.market(side, "0.010")
        (fill,) = client.rows("/v5/execution/list", category="linear", orderId=order_id)
        row = client.position()
        assert (row["seq"], row["updatedTime"]) == (fill["seq"], fill["execTime"])
        assert before <= int(row["updatedTime"]) <= now_ms()
