"""Batch endpoints: each order judged alone, and paid for alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from .client import Client, Control
from .conftest import running_exchange

BATCH = "/v5/order/create-batch"


def an_order(link_id: str, **changes: Any) -> dict[str, Any]:
    order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "49900.0"}
    return {**order, "orderLinkId": link_id, **changes}


def codes(answer: Any) -> list[int]:
    assert (answer["retCode"], answer["retMsg"]) == (0, "OK")
    return [item["code"] for item in answer["retExtInfo"]["list"]]


def test_each_order_has_its_own_answer(client: Client, control: Control) -> None:
    wishes = [an_order("b-1"), an_order("b-1"), an_order("b-2", qty="0.0001"), an_order("b-3"), "text"]
    answer = client.post(BATCH, category="linear", request=wishes)
    assert codes(answer) == [0, 110072, 10001, 0, 10001]
    rows = answer["result"]["list"]
    assert [bool(row["orderId"]) for row in rows] == [True, False, False, True, False]
    assert [row["orderLinkId"] for row in rows] == ["b-1", "b-1", "b-2", "b-3", ""]
    assert rows[0]["createAt"] == str(answer["time"])
    assert rows[0]["category"] == "linear"
    assert [row["link_id"] for row in control.get("orders")["orders"]] == ["b-1", "b-3"]

    amended = client.post(
        "/v5/order/amend-batch",
        category="linear",
        request=[
            {"symbol": "BTCUSDT", "orderId": rows[0]["orderId"], "price": "49800.00"},
            {"symbol": "BTCUSDT", "orderLinkId": "b-3", "qty": "0.002"},
            {"symbol": "BTCUSDT", "orderLinkId": "nope", "qty": "0.002"},
        ],
    )
    assert codes(amended) == [0, 0, 110001]
    assert "createAt" not in amended["result"]["list"][0]
    assert client.order(rows[0]["orderId"])["price"] == "49800.00"

    cancelled = client.post(
        "/v5/order/cancel-batch",
        category="linear",
        request=[{"symbol": "BTCUSDT", "orderLinkId": name} for name in ("b-1", "nope", "b-3")],
    )
    assert codes(cancelled) == [0, 110001, 0]
    assert (cancelled["result"]["list"][1]["orderId"], cancelled["result"]["list"][1]["orderLinkId"]) == (
        "",
        "nope",
    )
    assert client.rows("/v5/order/realtime", category="linear", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"category": "linear", "request": []}, "request"),
        ({"category": "linear", "request": "all"}, "request"),
        ({"category": "linear"}, "request"),
        ({"category": "spot", "request": [an_order(f"n-{n}") for n in range(11)]}, "1 to 10"),
        ({"category": "linear", "request": [an_order(f"n-{n}") for n in range(21)]}, "1 to 20"),
        ({"category": "option", "request": [an_order("o")]}, "category"),
    ],
)
def test_batches_that_are_refused_as_a_whole(client: Client, body: dict[str, Any], word: str) -> None:
    answer = client.post(BATCH, **body)
    assert answer["retCode"] == 10001
    assert word in answer["retMsg"]


@pytest.fixture(scope="module")
def limited_url() -> Iterator[str]:
    with running_exchange("--price-interval-ms", "0") as (url, _):
        yield url


def test_a_batch_uses_one_unit_per_order_and_the_rest_fails(limited_url: str) -> None:
    client = Client(limited_url)
    wishes = [an_order(f"r-{n}") for n in range(8)]
    assert codes(client.post(BATCH, category="linear", request=wishes)) == [0] * 8
    assert client.last.headers["X-Bapi-Limit-Status"] == "2"
    answer = client.post(BATCH, category="linear", request=[an_order(f"s-{n}") for n in range(5)])
    assert codes(answer) == [0, 0, 10006, 10006, 10006]
    refused = client.post(BATCH, category="linear", request=[an_order("t")])
    assert (refused["retCode"], client.last.headers["X-Bapi-Limit-Status"]) == (10006, "0")
    assert int(client.last.headers["X-Bapi-Limit-Reset-Timestamp"]) > refused["time"]
    # Single orders have a budget of their own, and so has the other category.
    client.limit("Buy", "0.001", "49900.00")
    spot = [an_order(f"u-{n}", price="49900.0") for n in range(10)]
    assert codes(client.post(BATCH, category="spot", request=spot)) == [0] * 10
    client.session.close()
