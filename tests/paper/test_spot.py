"""Spot: quote-sized market buys, fees in the bought coin, locked funds, its own error codes."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from .client import Client, Control


def spot(client: Client, **body: Any) -> Any:
    return client.create(category="spot", **body)


def test_a_market_buy_spends_quote_and_pays_its_fee_in_base(client: Client, control: Control) -> None:
    control.pin("50000", category="spot", level_qty="1")
    order_id = client.market("Buy", "200", category="spot")
    assert order_id.isdigit()
    order = client.order(order_id, category="spot")
    bought = Decimal("0.003999")  # 200 / 50000.1, in whole lots of 0.000001
    spent = bought * Decimal("50000.1")
    assert (order["orderStatus"], order["qty"], order["cumExecQty"]) == (
        "PartiallyFilledCanceled",
        "200",
        "0.003999",
    )
    assert Decimal(order["leavesValue"]) == 0
    (fill,) = client.rows("/v5/execution/list", category="spot", orderId=order_id)
    assert (fill["feeCurrency"], Decimal(fill["execFee"])) == ("BTC", bought * Decimal("0.001"))
    assert Decimal(client.coin("BTC")["walletBalance"]) == bought * Decimal("0.999")
    usdt = client.coin("USDT")
    assert Decimal(usdt["walletBalance"]) == 100_000 - spent
    assert usdt["locked"] == "0"


def test_a_market_buy_that_spends_it_all_is_filled(client: Client, control: Control) -> None:
    control.pin("50000", category="spot", level_qty="1")
    order = client.order(client.market("Buy", "5000.01", category="spot"), category="spot")
    assert (order["orderStatus"], order["cumExecQty"]) == ("Filled", "0.100000")


def test_market_unit_base_coin_buys_base(client: Client) -> None:
    order_id = client.market("Buy", "0.01", category="spot", marketUnit="baseCoin")
    order = client.order(order_id, category="spot")
    assert (order["orderStatus"], order["cumExecQty"], order["marketUnit"]) == (
        "Filled",
        "0.010000",
        "baseCoin",
    )


def test_a_sale_pays_its_fee_in_quote(new_client: Callable[..., Client], control: Control) -> None:
    client = new_client("HOLDER", balance={"USDT": "0", "BTC": "1"})
    control.pin("50000", category="spot", level_qty="1")
    client.market("Sell", "0.5", category="spot")
    earned = Decimal("0.5") * Decimal("49999.9")
    assert Decimal(client.coin("USDT")["walletBalance"]) == earned * Decimal("0.999")
    assert client.coin("BTC")["walletBalance"] == "0.5"


def test_limit_orders_lock_their_coin(new_client: Callable[..., Client], control: Control) -> None:
    client = new_client("LOCKER", balance={"USDT": "1000", "BTC": "1"})
    buy = client.limit("Buy", "0.01", "49900.0", category="spot")
    sell = client.limit("Sell", "0.6", "50100.0", category="spot")
    assert client.coin("USDT")["locked"] == "499"
    assert client.coin("BTC")["locked"] == "0.6"
    assert spot(client, side="Sell", qty="0.5", price="50100.0")["retCode"] == 170131
    control.pin("50200", category="spot", fill_ratio="0.5")
    assert client.order(sell, category="spot")["orderStatus"] == "PartiallyFilled"
    assert client.coin("BTC")["locked"] == "0.3"
    client.cancel(sell, category="spot")
    assert client.order(sell, category="spot")["orderStatus"] == "PartiallyFilledCanceled"
    client.post("/v5/order/cancel-all", category="spot")
    assert client.order(buy, category="spot")["orderStatus"] == "Cancelled"
    assert client.coin("USDT")["locked"] == client.coin("BTC")["locked"] == "0"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"symbol": "NOPEUSDT"}, 170121),
        ({"side": "Long"}, 170117),
        ({"orderType": "Stop"}, 170116),
        ({"timeInForce": "DAY"}, 170115),
        ({"qty": None}, 170105),
        ({"qty": "abc"}, 170130),
        ({"qty": "0.0000001"}, 170137),
        ({"qty": "84"}, 170124),
        ({"price": "49900.05"}, 170134),
        ({"price": "50300.0"}, 170193),
        ({"side": "Sell", "price": "49700.0"}, 170194),
        ({"qty": "0.0001", "price": "49900.0"}, 170140),
        ({"qty": "3"}, 170131),
        ({"side": "Sell"}, 170131),
        ({"orderType": "Market", "qty": "4"}, 170140),
        ({"orderType": "Market", "qty": "10.12345678"}, 170148),
        ({"orderType": "Market", "qty": "200000"}, 170131),
        ({"orderFilter": "tpslOrder"}, 170130),
    ],
)
def test_spot_parameters_are_checked(client: Client, body: dict[str, Any], code: int) -> None:
    answer = spot(client, **{"qty": "0.01", "price": "49900.0", **body})
    assert answer["retCode"] == code, answer
