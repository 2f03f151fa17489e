"""What the account endpoints tell and change: settings, fees, PnL, cash flows, and what is refused."""

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

from .client import Client, Control

POSITION = "/v5/position"


def log(client: Client, **params: Any) -> list[Any]:
    return client.rows("/v5/account/transaction-log", accountType="UNIFIED", **params)


def test_closed_pnl_tells_what_each_closing_order_earned(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    client.market("Buy", "0.100")
    paid = D(client.rows("/v5/execution/list", category="linear", symbol="BTCUSDT")[0]["execFee"])
    control.pin("51000")
    closing = client.market("Sell", "0.040")
    client.market("Sell", "0.080")  # closes 0.060 and opens 0.020 short
    last, first = client.rows(f"{POSITION}/closed-pnl", category="linear", symbol="BTCUSDT")
    assert (first["orderId"], first["side"], first["closedSize"]) == (closing, "Sell", "0.04")
    assert (last["closedSize"], last["qty"], last["fillCount"]) == ("0.06", "0.08", "1")
    assert D(first["avgEntryPrice"]) == D("50000.1")
    assert D(first["avgExitPrice"]) == D("50999.9")
    assert D(first["openFee"]) == paid * 4 / 10
    assert D(first["closeFee"]) == D("0.04") * D("50999.9") * D("0.00055")
    gross = D("0.04") * (D("50999.9") - D("50000.1"))
    assert D(first["closedPnl"]) == gross - D(first["openFee"]) - D(first["closeFee"])
    assert D(first["openFee"]) + D(last["openFee"]) == paid
    # All that was earned less all fees is what the wallet gained, but for the fee of the new short.
    opening = D("0.02") * D("50999.9") * D("0.00055")
    earned = D(first["closedPnl"]) + D(last["closedPnl"])
    assert D(client.coin()["walletBalance"]) == 100_000 + earned - opening
    assert client.rows(f"{POSITION}/closed-pnl", category="linear", symbol="ETHUSDT") == []
    page = client.get(f"{POSITION}/closed-pnl", category="linear", limit=1)["result"]
    rest = client.get(f"{POSITION}/closed-pnl", category="linear", limit=1, cursor=page["nextPageCursor"])
    assert [row["orderId"] for row in rest["result"]["list"]] == [closing]
    assert rest["result"]["nextPageCursor"] == ""


def test_the_transaction_log_adds_up_to_the_wallet(client: Client, control: Control) -> None:
    client.market("Buy", "0.100")
    client.market("Sell", "0.050")
    client.placed(category="spot", orderType="Market", qty="500")
    control.post("balance", account="KEY", coin="USDT", change="-100.5")
    rows = log(client, limit=50)
    assert [row["type"] for row in rows] == ["TRANSFER_OUT", *["TRADE"] * (len(rows) - 2), "TRANSFER_IN"]
    for coin in ("USDT", "BTC"):
        changes = [row for row in rows if row["currency"] == coin]
        assert D(changes[0]["cashBalance"]) == D(client.coin(coin)["walletBalance"])
        total = D(0)
        for row in reversed(changes):
            total += D(row["change"])
            assert D(row["cashBalance"]) == total
            assert D(row["change"]) == D(row["cashFlow"]) - D(row["fee"])
    paged: list[Any] = []
    cursor = ""
    while True:
        result = client.get("/v5/account/transaction-log", limit=2, cursor=cursor)["result"]
        paged += result["list"]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    assert paged == rows
    assert {row["category"] for row in log(client, category="spot")} == {"spot"}
    assert {row["currency"] for row in log(client, currency="BTC")} == {"BTC"}
    assert [row["change"] for row in log(client, type="TRANSFER_OUT")] == ["-100.5"]


def test_how_a_price_beyond_the_limit_is_met_is_the_accounts_choice(client: Client) -> None:
    def action(category: str, moves: bool) -> None:
        body = {"category": category, "modifyEnable": moves}
        assert client.post("/v5/account/set-limit-px-action", **body)["retCode"] == 0

    high = {"qty": "0.001", "price": "60000.0", "timeInForce": "PostOnly"}
    assert client.order(client.placed(**high))["price"] == "50500.00"  # moved, as futures usually are
    assert client.create(**high, category="spot")["retCode"] == 170193
    action("linear", False)
    action("spot", True)
    assert (
        client.get("/v5/account/user-setting-config")["result"] | {"lpaSpot": True, "lpaPerp": True}
        == (client.get("/v5/account/user-setting-config")["result"])
    )
    assert client.create(**high)["retCode"] == 110121
    assert client.create(**{**high, "side": "Sell", "price": "40000"})["retCode"] == 110120
    moved = client.placed(**high, category="spot")
    assert client.order(moved, category="spot")["price"] == "50250.0"


def test_there_is_cross_margin_only(client: Client) -> None:
    path = "/v5/account/set-margin-mode"
    assert client.post(path, setMarginMode="REGULAR_MARGIN")["retCode"] == 0
    refused = client.post(path, setMarginMode="ISOLATED_MARGIN")
    assert refused["retCode"] == 3400045
    assert "ISOLATED_MARGIN" in refused["result"]["reasons"][0]["reasonMsg"]
    assert client.post(path, setMarginMode="NONE")["retCode"] == 10001


@pytest.mark.parametrize(
    ("path", "body", "code", "word"),
    [
        (
            "trading-stop",
            {"takeProfit": "60000", "tpslMode": "Full", "positionIdx": 0},
            10001,
            "zero position",
        ),
        ("trading-stop", {"takeProfit": "high", "positionIdx": 0}, 10001, "takeProfit"),
        ("trading-stop", {"positionIdx": 0}, 34040, "not modified"),
        ("trading-stop", {"stopLoss": "1", "positionIdx": 1}, 10001, "positionIdx"),
        ("trading-stop", {"stopLoss": "1", "positionIdx": 0, "tpslMode": "Some"}, 10001, "tpslMode"),
        ("set-auto-add-margin", {"autoAddMargin": 1}, 110076, "isolated"),
        ("add-margin", {"margin": "10"}, 110015, "cross"),
        ("switch-isolated", {"tradeMode": 1, "buyLeverage": "10", "sellLeverage": "10"}, 100028, "unified"),
        ("set-tpsl-mode", {"tpSlMode": "Full"}, 100028, "unified"),
    ],
)
def test_what_positions_cannot_do_here(
    client: Client, path: str, body: dict[str, Any], code: int, word: str
) -> None:
    answer = client.post(f"{POSITION}/{path}", category="linear", symbol="BTCUSDT", **body)
    assert answer["retCode"] == code
    assert word in answer["retMsg"]


def test_a_stop_on_a_position_is_refused_by_name(client: Client) -> None:
    client.market("Buy", "0.001")
    body = {"category": "linear", "symbol": "BTCUSDT", "stopLoss": "40000", "positionIdx": 0}
    answer = client.post(f"{POSITION}/trading-stop", **body)
    assert (answer["retCode"], "stopLoss is not supported" in answer["retMsg"]) == (10001, True)


def test_leverage_and_mode_without_a_position(client: Client, new_client: Callable[..., Client]) -> None:
    (row,) = client.rows(f"{POSITION}/symbol-info", category="linear", symbol="BTCUSDT")
    assert row == {"symbol": "BTCUSDT", "leverage": "10", "positionIdx": 0}
    hedger = new_client("HEDGER", position_mode="hedge")
    rows = hedger.rows(f"{POSITION}/symbol-info", category="linear", symbol="BTCUSDT")
    assert [row["positionIdx"] for row in rows] == [1, 2]


def test_margin_trading_is_off(client: Client) -> None:
    refused = client.create(category="spot", qty="0.001", price="49900", isLeverage=1)
    assert (refused["retCode"], "isLeverage" in refused["retMsg"]) == (170036, True)
    client.placed(category="spot", qty="0.001", price="49900", isLeverage=0)


@pytest.mark.parametrize(
    ("path", "params", "key"),
    [
        ("/v5/account/collateral-info", {"currency": "USDT"}, "list"),
        ("/v5/account/query-dcp-info", {}, "dcpInfos"),
        ("/v5/account/smp-group", {}, "smpGroup"),
        ("/v5/account/instruments-info", {"category": "linear", "symbol": "BTCUSDT"}, "list"),
        ("/v5/asset/coin/query-info", {}, "rows"),
        ("/v5/asset/coin/query-info", {"coin": "BTC"}, "rows"),
        (
            "/v5/asset/transfer/query-account-coins-balance",
            {"accountType": "FUND", "coin": "USDT"},
            "balance",
        ),
        ("/v5/account/fee-rate", {"category": "inverse"}, "list"),
        ("/v5/account/fee-rate", {"symbol": "BTCUSDT"}, "list"),
        ("/v5/order/realtime", {"category": "inverse"}, "list"),
        ("/v5/order/history", {"category": "option"}, "list"),
        ("/v5/execution/list", {"category": "option"}, "list"),
        ("/v5/position/list", {"category": "inverse"}, "list"),
        ("/v5/position/closed-pnl", {"category": "inverse"}, "list"),
    ],
)
def test_reads_that_clients_make_along_the_way(
    client: Client, path: str, params: dict[str, str], key: str
) -> None:
    answer = client.get(path, **params)
    assert answer["retCode"] == 0
    assert key in answer["result"]


def test_what_a_spot_order_may_be_at_most(client: Client) -> None:
    path, params = "/v5/order/spot-borrow-check", {"category": "spot", "symbol": "BTCUSDT"}
    buy = client.get(path, side="Buy", **params)["result"]
    assert (buy["spotMaxTradeQty"], buy["maxTradeAmount"], buy["borrowCoin"]) == ("2", "100000", "USDT")
    assert client.get(path, side="Sell", **params)["result"]["maxTradeQty"] == "0"
    assert client.get(path, side="Up", **params)["retCode"] == 170117


def test_the_funding_account_is_empty(client: Client) -> None:
    path = "/v5/asset/transfer/query-account-coins-balance"
    held = client.get(path, accountType="UNIFIED")["result"]["balance"]
    assert [(row["coin"], row["walletBalance"]) for row in held] == [("USDT", "100000")]
    assert client.get(path, accountType="FUND", coin="USDT")["result"]["balance"][0]["walletBalance"] == "0"
    assert client.get(path, accountType="SPOT")["retCode"] == 10001
