"""Positions, modes, leverage, reduce-only, and the arithmetic of the wallet."""

from collections.abc import Callable
from decimal import Decimal

from .client import Client, Control

BALANCE = Decimal(100_000)


def test_closing_a_long_realises_the_difference_less_fees(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    control.pin("51000")
    client.market("Sell", "0.100", reduceOnly=True)
    bought, sold = Decimal("0.1") * Decimal("50000.10"), Decimal("0.1") * Decimal("50999.90")
    fees = (bought + sold) * Decimal("0.00055")
    assert Decimal(client.coin()["walletBalance"]) == BALANCE + sold - bought - fees
    flat = client.position()
    assert (flat["side"], flat["size"], flat["avgPrice"]) == ("", "0", "0")
    assert Decimal(flat["cumRealisedPnl"]) == sold - bought - fees
    assert client.rows("/v5/position/list", category="linear", settleCoin="USDT") == []
    closing = client.rows("/v5/execution/list", category="linear")[0]
    assert closing["closedSize"] == "0.1"


def test_selling_more_than_held_turns_the_position_around(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    client.market("Sell", "0.150")
    position = client.position()
    assert (position["side"], position["size"], position["avgPrice"]) == ("Sell", "0.050", "49999.9")


def test_average_price_weighs_the_fills(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    control.pin("50400", level_qty="1")
    client.market("Buy", "0.300")
    assert client.position()["avgPrice"] == "50300.1"


def test_a_reduce_only_order_is_capped_at_the_position(client: Client, control: Control) -> None:
    client.market("Buy", "0.010")
    order = client.order(client.market("Sell", "0.050", reduceOnly=True))
    assert (order["qty"], order["orderStatus"], order["reduceOnly"]) == ("0.010", "Filled", True)
    assert client.position()["size"] == "0"
    assert client.create(side="Sell", orderType="Market", qty="0.010", reduceOnly=True)["retCode"] == 110017


def test_a_reduce_only_order_on_the_wrong_side_is_refused(client: Client) -> None:
    client.market("Buy", "0.010")
    assert client.create(side="Buy", orderType="Market", qty="0.010", reduceOnly=True)["retCode"] == 110017


def test_qty_zero_closes_everything_with_both_flags(client: Client) -> None:
    client.market("Sell", "0.010")
    body = {"orderType": "Market", "qty": "0"}
    assert client.create(side="Buy", reduceOnly=True, **body)["retCode"] == 10001
    client.placed(side="Buy", reduceOnly=True, closeOnTrigger=True, **body)
    assert client.position()["size"] == "0"


def test_reduce_only_orders_that_no_longer_fit_are_cancelled(client: Client) -> None:
    client.market("Buy", "0.010")
    small = client.limit("Sell", "0.004", "50500.00", reduceOnly=True)
    large = client.limit("Sell", "0.010", "50600.00", reduceOnly=True)
    client.market("Sell", "0.005")
    assert client.order(small)["orderStatus"] == "New"
    order = client.order(large)
    assert (order["orderStatus"], order["cancelType"]) == ("Cancelled", "CancelByReduceOnly")
    client.market("Sell", "0.005")
    assert client.order(small)["cancelType"] == "CancelByReduceOnly"


def test_two_reduce_only_orders_crossed_at_once_never_turn_the_position(
    client: Client, control: Control
) -> None:
    client.market("Buy", "0.010")
    for _ in range(2):
        client.limit("Sell", "0.010", "50100.00", reduceOnly=True)
    control.pin("50200")
    assert client.position()["size"] == "0"


def test_closing_needs_no_margin(new_client: Callable[..., Client]) -> None:
    client = new_client("POOR", balance="510")
    client.market("Buy", "0.100")
    assert client.create(orderType="Market", qty="0.010")["retCode"] == 110007
    client.market("Sell", "0.100")


def test_hedge_mode_keeps_two_legs(new_client: Callable[..., Client]) -> None:
    client = new_client("HEDGER", position_mode="hedge")
    assert client.create(orderType="Market", qty="0.010")["retCode"] == 10001
    client.market("Buy", "0.010", positionIdx=1)
    client.market("Sell", "0.020", positionIdx=2)
    rows = client.rows("/v5/position/list", category="linear", symbol="BTCUSDT")
    assert [(r["positionIdx"], r["side"], r["size"]) for r in rows] == [
        (1, "Buy", "0.010"),
        (2, "Sell", "0.020"),
    ]
    client.market("Sell", "0.010", positionIdx=1, reduceOnly=True)
    assert client.create(side="Sell", orderType="Market", qty="0.010", positionIdx=1)["retCode"] == 110017
    rows = client.rows("/v5/position/list", category="linear", settleCoin="USDT")
    assert [(r["positionIdx"], r["size"]) for r in rows] == [(2, "0.020")]


def test_switching_modes(client: Client) -> None:
    def switch(**body: object) -> int:
        return int(client.post("/v5/position/switch-mode", category="linear", **body)["retCode"])

    assert switch(symbol="BTCUSDT", mode=0) == 110025
    order_id = client.limit("Buy", "0.010", "49000.00")
    assert switch(symbol="BTCUSDT", mode=3) == 110028
    client.cancel(order_id)
    client.market("Buy", "0.010")
    assert switch(symbol="BTCUSDT", mode=3) == 110024
    client.market("Sell", "0.010")
    assert switch(symbol="BTCUSDT", mode=3) == 0
    rows = client.rows("/v5/position/list", category="linear", symbol="BTCUSDT")
    assert [(row["positionIdx"], row["side"]) for row in rows] == [(1, ""), (2, "")]
    assert switch(symbol="BTCUSDT", mode=1) == 10001
    assert switch(mode=3) == 10001
    client.market("Buy", "0.01", symbol="ETHUSDT")
    assert switch(coin="USDT", mode=3) == 0
    assert len(client.rows("/v5/position/list", category="linear", symbol="SOLUSDT")) == 2
    assert len(client.rows("/v5/position/list", category="linear", symbol="ETHUSDT")) == 1


def test_leverage_changes_the_margin_held(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    client.limit("Buy", "0.100", "49000.00")

    def leverage(value: str, sell: str = "") -> int:
        body = {
            "category": "linear",
            "symbol": "BTCUSDT",
            "buyLeverage": value,
            "sellLeverage": sell or value,
        }
        return int(client.post("/v5/position/set-leverage", **body)["retCode"])

    assert leverage("10") == 110043
    assert leverage("20", "10") == 10001
    assert leverage("101") == 10001
    assert leverage("20") == 0
    assert client.position()["leverage"] == "20"
    coin = client.coin()
    assert Decimal(coin["totalPositionIM"]) == Decimal("250.0005")
    assert Decimal(coin["totalOrderIM"]) == 245
    client.market("Buy", "20.000")
    assert leverage("1") == 110012


def test_the_wallet_adds_up(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    client.limit("Buy", "0.100", "49000.00")
    control.pin("50500")
    wallet = client.wallet()
    balance = Decimal(wallet["totalWalletBalance"])
    unrealised = Decimal("0.1") * (Decimal(50_500) - Decimal("50000.10"))
    margin = Decimal("500.001") + 490
    assert Decimal(wallet["totalPerpUPL"]) == unrealised
    assert Decimal(wallet["totalEquity"]) == Decimal(wallet["totalMarginBalance"]) == balance + unrealised
    assert Decimal(wallet["totalInitialMargin"]) == margin
    assert Decimal(wallet["totalAvailableBalance"]) == balance + unrealised - margin
    assert client.get("/v5/account/wallet-balance", accountType="FUND")["retCode"] == 10001
