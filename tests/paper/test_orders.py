"""Orders through the wire: acknowledged, matched, rested, changed, ended."""

import re
from decimal import Decimal
from typing import Any

import pytest

from .client import Client, Control

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
USDT = Decimal(100_000)


def test_a_market_order_fills_at_the_ask_and_pays_the_taker_fee(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    order_id = client.market("Buy", "0.010", orderLinkId="m-1")
    order = client.order(order_id)
    assert UUID.fullmatch(order_id)
    assert (order["orderStatus"], order["cumExecQty"], order["leavesQty"]) == ("Filled", "0.010", "0.000")
    assert (order["avgPrice"], order["timeInForce"], order["orderLinkId"]) == ("50000.1", "IOC", "m-1")
    assert order["price"] == "50500.00"  # the protective bound, not the trade price
    (fill,) = client.rows("/v5/execution/list", category="linear", orderId=order_id)
    fee = Decimal("0.010") * Decimal("50000.10") * Decimal("0.00055")
    assert (fill["execPrice"], fill["isMaker"], fill["execType"]) == ("50000.10", False, "Trade")
    assert Decimal(fill["execFee"]) == fee
    assert order["cumFeeDetail"] == {"USDT": fill["execFee"]}
    assert Decimal(client.coin()["walletBalance"]) == USDT - fee
    position = client.position()
    assert (position["side"], position["size"], position["avgPrice"]) == ("Buy", "0.010", "50000.1")
    assert Decimal(position["positionIM"]) == Decimal("50.0001")
    assert Decimal(position["unrealisedPnl"]) == Decimal("-0.001")


def test_a_market_order_too_big_for_the_book_fills_partly(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    order = client.order(client.market("Sell", "0.100"))
    assert (order["orderStatus"], order["cumExecQty"]) == ("Cancelled", "0.025")
    assert len(client.rows("/v5/execution/list", category="linear")) == 25


def test_slippage_tolerance_bounds_a_market_order(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    order = client.order(
        client.market("Buy", "0.010", slippageToleranceType="TickSize", slippageTolerance="60")
    )
    assert (order["price"], order["cumExecQty"]) == ("50006.10", "0.002")
    bad = client.create(
        orderType="Market", qty="0.01", slippageToleranceType="Percent", slippageTolerance="11"
    )
    assert bad["retCode"] == 110109


def test_a_limit_order_rests_and_fills_as_maker_when_the_price_crosses(
    client: Client, control: Control
) -> None:
    order_id = client.limit("Buy", "0.010", "49900.00", timeInForce="GTC")
    order = client.order(order_id)
    assert (order["orderStatus"], order["leavesQty"], order["avgPrice"]) == ("New", "0.010", "")
    assert Decimal(client.coin()["totalOrderIM"]) == Decimal("49.9")
    control.pin("49899.90")
    order = client.order(order_id)
    assert (order["orderStatus"], order["avgPrice"]) == ("Filled", "49900")
    (fill,) = client.rows("/v5/execution/list", category="linear", orderId=order_id)
    assert fill["isMaker"]
    assert (fill["feeRate"], fill["execFee"]) == ("0.0002", "0.0998")
    assert client.coin()["totalOrderIM"] == "0"


def test_a_resting_order_can_fill_in_parts(client: Client, control: Control) -> None:
    order_id = client.limit("Sell", "0.010", "50100.00")
    control.pin("50100.10", fill_ratio="0.4")
    order = client.order(order_id)
    assert (order["orderStatus"], order["cumExecQty"], order["leavesQty"]) == (
        "PartiallyFilled",
        "0.004",
        "0.006",
    )
    client.cancel(order_id)
    order = client.order(order_id)
    assert (order["orderStatus"], order["cumExecQty"], order["cancelType"]) == (
        "Cancelled",
        "0.004",
        "CancelByUser",
    )


def test_post_only_that_would_take_is_accepted_then_cancelled(client: Client, control: Control) -> None:
    order = client.order(client.limit("Buy", "0.010", "50000.10", timeInForce="PostOnly"))
    assert order["orderStatus"] == "Cancelled"
    assert order["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"
    assert order["cancelType"] == "UNKNOWN"
    resting = client.order(client.limit("Buy", "0.010", "50000.00", timeInForce="PostOnly"))
    assert resting["orderStatus"] == "New"


@pytest.mark.parametrize(
    ("tif", "price", "qty", "status", "filled", "reason"),
    [
        ("IOC", "49000.00", "0.010", "Cancelled", "0.000", "EC_NoImmediateQtyToFill"),
        ("IOC", "50000.10", "0.010", "Cancelled", "0.002", "EC_NoError"),
        ("IOC", "50100.00", "0.010", "Filled", "0.010", "EC_NoError"),
        ("FOK", "50000.10", "0.010", "Cancelled", "0.000", "EC_NoEnoughQtyToFill"),
        ("FOK", "50100.00", "0.010", "Filled", "0.010", "EC_NoError"),
        ("GTC", "50000.10", "0.010", "PartiallyFilled", "0.002", "EC_NoError"),
    ],
)
def test_time_in_force(
    client: Client, control: Control, tif: str, price: str, qty: str, status: str, filled: str, reason: str
) -> None:
    control.pin("50000", level_qty="0.002")
    order = client.order(client.limit("Buy", qty, price, timeInForce=tif))
    assert (order["orderStatus"], order["cumExecQty"], order["rejectReason"]) == (status, filled, reason)


def test_a_futures_price_beyond_the_limit_moves_to_the_limit(client: Client, control: Control) -> None:
    limits = client.get("/v5/market/price-limit", symbol="BTCUSDT")["result"]
    assert (limits["buyLmt"], limits["sellLmt"]) == ("50500.00", "49500.00")
    assert client.order(client.limit("Buy", "0.001", "60000.00"))["price"] == "50500.00"


def test_amend_changes_the_total_and_matches_again(client: Client, control: Control) -> None:
    order_id = client.limit("Buy", "0.010", "49000.00", orderLinkId="a-1")

    def amend(**body: Any) -> Any:
        return client.post("/v5/order/amend", category="linear", symbol="BTCUSDT", **body)

    assert amend(orderLinkId="a-1", qty="0.020")["result"] == {"orderId": order_id, "orderLinkId": "a-1"}
    assert client.order(order_id)["leavesQty"] == "0.020"
    assert Decimal(client.coin()["totalOrderIM"]) == 98
    assert amend(orderId=order_id, qty="0.020")["retCode"] == 10001
    assert amend(orderId=order_id, qty="0.0205")["retCode"] == 10001
    assert amend(orderId=order_id, qty="1000", price="49000.00")["retCode"] == 110007
    assert amend(orderId=order_id, price="50001.00")["retCode"] == 0
    assert client.order(order_id)["orderStatus"] == "Filled"
    assert amend(orderId=order_id, price="49000.00")["retCode"] == 110001


def test_amend_below_the_filled_quantity_is_refused(client: Client, control: Control) -> None:
    order_id = client.limit("Buy", "0.010", "49900.00")
    control.pin("49899.90", fill_ratio="0.5")
    answer = client.post(
        "/v5/order/amend", category="linear", symbol="BTCUSDT", orderId=order_id, qty="0.005"
    )
    assert answer["retCode"] == 110064


def test_cancel_and_its_refusals(client: Client, control: Control) -> None:
    order_id = client.limit("Buy", "0.010", "49000.00", orderLinkId="c-1")
    assert client.cancel("", orderLinkId="c-1")["result"]["orderId"] == order_id
    assert client.order(order_id)["orderStatus"] == "Cancelled"
    again = client.cancel(order_id)
    assert (again["retCode"], again["result"]) == (110001, {})
    assert client.cancel("no-such-id")["retCode"] == 110001
    assert client.cancel("")["retCode"] == 10001
    assert client.cancel("1", category="spot")["retCode"] == 170213
    other = client.limit("Buy", "0.010", "49000.00")
    assert client.cancel(other, symbol="ETHUSDT")["retCode"] == 110001


def test_cancel_all_by_symbol_and_coin(client: Client, control: Control) -> None:
    btc = [client.limit("Buy", "0.010", "49000.00") for _ in range(2)]
    eth = client.limit("Buy", "0.10", "2990.00", symbol="ETHUSDT")
    assert client.post("/v5/order/cancel-all", category="linear")["retCode"] == 10001
    answer = client.post("/v5/order/cancel-all", category="linear", symbol="BTCUSDT")
    assert [row["orderId"] for row in answer["result"]["list"]] == btc
    assert answer["result"]["success"] == "1"
    answer = client.post("/v5/order/cancel-all", category="linear", settleCoin="USDT")
    assert [row["orderId"] for row in answer["result"]["list"]] == [eth]
    assert client.rows("/v5/order/realtime", category="linear", settleCoin="USDT") == []


def test_a_link_id_is_never_free_again(client: Client, control: Control) -> None:
    order_id = client.limit("Buy", "0.010", "49000.00", orderLinkId="once")
    client.cancel(order_id)
    for body in ({"qty": "0.010"}, {"qty": "1000"}, {"qty": "0.010", "reduceOnly": True}):
        assert client.create(price="49000.00", orderLinkId="once", **body)["retCode"] == 110072
    spot = client.create(category="spot", symbol="BTCUSDT", qty="0.001", price="49900.0", orderLinkId="once")
    assert spot["retCode"] == 170141
    assert len(control.get("orders")["orders"]) == 1


def test_a_refused_create_does_not_use_up_its_link_id(client: Client) -> None:
    assert client.create(qty="1000", price="49000.00", orderLinkId="twice")["retCode"] == 110007
    assert client.create(qty="0.010", price="49000.00", orderLinkId="twice")["retCode"] == 0


def test_five_hundred_active_orders_are_the_most(client: Client) -> None:
    for _ in range(500):
        client.limit("Buy", "0.001", "49000.00")
    answer = client.create(qty="0.001", price="49000.00")
    assert answer["retCode"] == 110020
    answer = client.post("/v5/order/cancel-all", category="linear", symbol="BTCUSDT")
    assert len(answer["result"]["list"]) == 500


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"category": "option"}, 10001, "category"),
        ({"symbol": "NOPEUSDT"}, 10001, "symbol"),
        ({"symbol": ""}, 10001, "symbol"),
        ({"side": "buy"}, 10001, "side"),
        ({"orderType": "Stop"}, 10001, "orderType"),
        ({"timeInForce": "DAY"}, 10001, "timeInForce"),
        ({"qty": "0.0015"}, 10001, "qty"),
        ({"qty": "0"}, 10001, "qty"),
        ({"qty": "-1"}, 10001, "qty"),
        ({"qty": "1e-2"}, 10001, "qty"),
        ({"qty": 0.01}, 10001, "qty"),
        ({"qty": "1191"}, 10001, "qty"),
        ({"qty": "9" * 30}, 10001, "qty"),
        ({"qty": "9999999999999.000000000000000001"}, 10001, "qty"),
        ({"price": "9999999999999.000000000000000001"}, 110003, "price"),
        ({"symbol": ["BTCUSDT"]}, 10001, "symbol"),
        ({"side": {}}, 10001, "side"),
        ({"orderType": "Market", "qty": "501"}, 10001, "qty"),
        ({"price": None}, 10001, "price"),
        ({"price": "49000.05"}, 10001, "price"),
        ({"price": "9999999.00"}, 110003, "price"),
        ({"qty": "0.001", "price": "4000.00"}, 110094, "minimum"),
        ({"qty": "100"}, 110007, "balance"),
        ({"positionIdx": 1}, 10001, "positionIdx"),
        ({"positionIdx": "0"}, 10001, "positionIdx"),
        ({"reduceOnly": True}, 110017, "reduceOnly"),
        ({"reduceOnly": "true"}, 10001, "reduceOnly"),
        ({"orderLinkId": "x" * 37}, 10001, "orderLinkId"),
        ({"orderLinkId": "a b"}, 10001, "orderLinkId"),
        ({"takeProfit": "60000"}, 10001, "takeProfit"),
        ({"triggerPrice": "60000"}, 10001, "triggerPrice"),
    ],
)
def test_linear_parameters_are_checked(client: Client, body: dict[str, Any], code: int, field: str) -> None:
    answer = client.create(**{"qty": "0.010", "price": "49000.00", "timeInForce": "GTC", **body})
    assert answer["retCode"] == code
    assert field in answer["retMsg"]
    assert answer["result"] == {}
