"""The private stream: authentication, subscriptions, and what it tells about orders and accounts."""

import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from .client import Client, Control
from .conftest import running_exchange
from .stream_client import StreamClient, auth_args

ALL = ("order", "execution", "position", "wallet")


def test_a_client_authenticates_pings_and_subscribes(control: Control) -> None:
    with StreamClient(control.url) as stream:
        answer = stream.ask(op="auth", req_id="a-1", args=auth_args())
        conn_id = answer.pop("conn_id")
        assert conn_id
        assert answer == {"success": True, "ret_msg": "", "req_id": "a-1", "op": "auth"}
        pong = stream.ask(op="ping", req_id="p-1")
        assert (pong["op"], pong["req_id"], pong["conn_id"]) == ("pong", "p-1", conn_id)
        assert abs(int(pong["args"][0]) - time.time() * 1000) < 2000
        assert "req_id" not in stream.ask(op="ping")
        answer = stream.ask(op="subscribe", req_id="s-1", args=list(ALL))
        assert answer == {
            "success": True, "ret_msg": "", "req_id": "s-1", "op": "subscribe", "conn_id": conn_id
        }  # fmt: skip
        stream.settle()
        assert [m for m in stream.messages if "topic" in m] == []  # no snapshot


def test_expires_may_be_text_and_pings_need_no_authentication(control: Control) -> None:
    with StreamClient(control.url) as stream:
        assert stream.ask(op="ping")["op"] == "pong"
        key, expires, sign = auth_args()
        assert stream.ask(op="auth", args=[key, str(expires), sign])["success"] is True


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (lambda: auth_args("NOBODY"), "API key is invalid."),
        (lambda: auth_args(secret="WRONG"), "error sign!"),
        (lambda: auth_args(ahead_ms=-1), "Params Error"),
        (lambda: ["KEY", "soon", "sign"], "Params Error"),
        (lambda: ["KEY", 1.5, "sign"], "Params Error"),
        (lambda: ["KEY"], "Params Error"),
        (lambda: None, "Params Error"),
    ],
)
def test_a_failed_authentication_says_so(control: Control, args: Callable[[], object], message: str) -> None:
    with StreamClient(control.url) as stream:
        answer = stream.ask(op="auth", args=args())
        assert (answer["success"], answer["ret_msg"], answer["op"]) == (False, message, "auth")
        assert stream.ask(op="subscribe", args=["order"])["success"] is False


def test_a_signature_holds_for_its_own_expires_only(control: Control) -> None:
    key, expires, sign = auth_args()
    with StreamClient(control.url) as stream:
        assert stream.ask(op="auth", args=[key, expires + 1, sign])["ret_msg"] == "error sign!"
        assert stream.ask(op="auth", args=[key, expires, sign.upper()])["ret_msg"] == "error sign!"
        assert stream.ask(op="auth", args=[key, expires, sign])["success"] is True
        assert stream.ask(op="auth", args=auth_args())["ret_msg"] == "Repeat auth"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["order", "execution.linear"], "error:all-in-one and categorised topics cannot be in one"),
        (["order", "orders"], "error:handler not found,topic:orders"),
        (["execution.fast"], "error:handler not found"),
        (["wallet.linear"], "error:handler not found"),
        (["order", "order"], "error:already subscribed,topic:order"),
        (["position"], "error:already subscribed,topic:position"),
        ([], "Params Error"),
        ("order", "Params Error"),
    ],
)
def test_a_refused_subscription_subscribes_to_nothing(control: Control, args: object, message: str) -> None:
    with StreamClient(control.url) as stream:
        assert stream.ask(op="subscribe", args=["order"])["ret_msg"] == "Request not authorized"
        stream.login("position")
        answer = stream.ask(op="subscribe", req_id="r", args=args)
        assert (answer["success"], answer["req_id"]) == (False, "r")
        assert answer["ret_msg"].startswith(message)
        (row,) = control.get("streams")["connections"]
        assert row["topics"] == {"position": 0}


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"op":"dance"}', '"ping"'])
def test_nonsense_is_answered(control: Control, text: str) -> None:
    with StreamClient(control.url) as stream:
        stream.send_text(text)
        stream.wait(lambda: len(stream.messages) == 1)
        assert (stream.messages[0]["success"], stream.messages[0]["ret_msg"]) == (False, "error:invalid op")


def test_a_resting_order_is_told_with_its_position_and_wallet(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login(*ALL)
        before = time.time() * 1000
        order_id = client.limit("Buy", "0.010", "49000.00", orderLinkId="rest")
        (row,) = stream.wait_rows("order", 1)
        rest_row = client.order(order_id)
        assert {name: row[name] for name in rest_row} == rest_row
        assert (row["category"], row["orderStatus"], row["closedPnl"]) == ("linear", "New", "0")
        (message,) = stream.told("order")
        assert list(message) == ["id", "topic", "creationTime", "data"]
        assert abs(message["creationTime"] - before) < 5000
        (leg,) = stream.wait_rows("position", 1)
        rest_leg = client.position()
        assert leg.pop("entryPrice") == rest_leg.pop("avgPrice")
        assert leg.pop("category") == "linear"
        assert leg == rest_leg
        (wallet,) = stream.wait_rows("wallet", 1)
        assert wallet == client.wallet()
        assert stream.told("execution") == []


def test_amending_and_cancelling_are_told_and_the_position_each_time(
    client: Client, control: Control
) -> None:
    with StreamClient(control.url) as stream:
        stream.login(*ALL)
        order_id = client.limit("Buy", "0.010", "49000.00")
        names = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
        client.post("/v5/order/amend", **names, qty="0.020")
        client.cancel(order_id)
        rows = stream.wait_rows("order", 3)
        assert [(r["orderStatus"], r["qty"]) for r in rows] == [
            ("New", "0.010"), ("New", "0.020"), ("Cancelled", "0.020")
        ]  # fmt: skip
        assert (rows[2]["cancelType"], rows[2]["rejectReason"]) == ("CancelByUser", "EC_PerCancelRequest")
        assert [leg["size"] for leg in stream.wait_rows("position", 3)] == ["0", "0", "0"]


def test_a_market_order_tells_its_fills_in_one_message_and_its_final_state(
    client: Client, control: Control
) -> None:
    control.pin("50000", level_qty="0.001")
    with StreamClient(control.url) as stream:
        stream.login(*ALL)
        order_id = client.market("Buy", "0.003", orderLinkId="m")
        (row,) = stream.wait_rows("order", 1)
        assert (row["orderStatus"], row["cumExecQty"], row["leavesQty"]) == ("Filled", "0.003", "0.000")
        fills = stream.wait_rows("execution", 3)
        assert len(stream.told("execution")) == 1
        assert {(f["category"], f["orderId"], f["orderLinkId"]) for f in fills} == {("linear", order_id, "m")}
        assert len({fill["seq"] for fill in fills}) == 1
        rest = client.rows("/v5/execution/list", category="linear", orderId=order_id)[::-1]
        for fill, other in zip(fills, rest, strict=True):
            shared = other.keys() - {"execFeeV2", "extraFees", "stopOrderType"}
            assert {name: fill[name] for name in shared} == {name: other[name] for name in shared}
        (leg,) = stream.wait_rows("position", 1)
        assert (leg["size"], leg["seq"]) == ("0.003", fills[0]["seq"])
        assert leg["entryPrice"] == client.position()["avgPrice"]
        assert "avgPrice" not in leg
        (wallet,) = stream.wait_rows("wallet", 1)
        assert wallet["coin"][0]["walletBalance"] == client.coin()["walletBalance"]


def test_a_closing_fill_tells_its_pnl(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login("order", "execution")
        client.market("Buy", "0.010")
        control.pin("51000")
        client.market("Sell", "0.010", reduceOnly=True)
        opening, closing = stream.wait_rows("execution", 2)
        assert (opening["execPnl"], opening["closedSize"]) == ("0", "0")
        gross = (Decimal(closing["execPrice"]) - Decimal(opening["execPrice"])) * Decimal("0.010")
        assert (Decimal(closing["execPnl"]), closing["closedSize"]) == (gross, "0.01")
        net = gross - Decimal(closing["execFee"])
        assert Decimal(stream.wait_rows("order", 2)[1]["closedPnl"]) == net


def test_partial_fills_of_a_resting_order_are_told_one_by_one(client: Client, control: Control) -> None:
    client.limit("Buy", "0.010", "49900.00")
    with StreamClient(control.url) as stream:
        stream.login("order", "execution", "position")
        control.pin("49899.90", fill_ratio="0.5")
        control.pin("49899.90")
        rows = stream.wait_rows("order", 2)
        assert [(r["orderStatus"], r["cumExecQty"]) for r in rows] == [
            ("PartiallyFilled", "0.005"), ("Filled", "0.010")
        ]  # fmt: skip
        fills = stream.wait_rows("execution", 2)
        assert [(f["isMaker"], f["leavesQty"]) for f in fills] == [(True, "0.005"), (True, "0.000")]
        assert len(stream.wait_rows("position", 2)) == 2


@pytest.mark.parametrize("time_in_force", ["PostOnly", "IOC", "FOK"])
def test_an_order_that_ends_on_arrival_is_new_first(
    client: Client, control: Control, time_in_force: str
) -> None:
    price = "50100.00" if time_in_force == "PostOnly" else "49000.00"
    with StreamClient(control.url) as stream:
        stream.login("order")
        client.limit("Buy", "0.010", price, timeInForce=time_in_force)
        assert [row["orderStatus"] for row in stream.wait_rows("order", 2)] == ["New", "Cancelled"]


def test_a_market_order_cut_short_ends_cancelled_with_its_fills(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.001")
    with StreamClient(control.url) as stream:
        stream.login("order", "execution")
        client.market("Buy", "0.100")
        (row,) = stream.wait_rows("order", 1)
        assert (row["orderStatus"], row["cumExecQty"]) == ("Cancelled", "0.025")
        stream.wait_rows("execution", 25)


def test_spot_orders_have_no_position_and_their_own_words(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login(*ALL)
        client.market("Buy", "100", category="spot", marketUnit="quoteCoin")
        (row,) = stream.wait_rows("order", 1)
        assert (row["category"], row["feeCurrency"]) == ("spot", "BTC")
        assert not row.keys() & {"createType", "basePrice"}
        (fill,) = stream.wait_rows("execution", 1)
        assert (fill["category"], fill["marketUnit"], fill["execPnl"]) == ("spot", "quoteCoin", "0")
        (wallet,) = stream.wait_rows("wallet", 1)
        assert {coin["coin"] for coin in wallet["coin"]} == {"USDT", "BTC"}
        assert stream.told("position") == []


def test_categorised_topics_tell_their_category_only(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login()
        topics = ["order.spot", "execution.linear", "position.linear", "order.inverse", "wallet"]
        assert stream.ask(op="subscribe", args=topics)["success"] is True
        client.market("Buy", "100", category="spot")
        client.market("Buy", "0.010")
        assert stream.wait_rows("order.spot", 1)[0]["category"] == "spot"
        assert stream.wait_rows("execution.linear", 1)[0]["category"] == "linear"
        assert len(stream.wait_rows("position.linear", 1)) == 1
        assert len(stream.wait_rows("wallet", 2)) == 2
        assert {m["topic"] for m in stream.messages if "topic" in m} == {*topics} - {"order.inverse"}


def test_both_kinds_of_topic_in_two_requests_double_the_news(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login("order", "order.linear")
        client.limit("Buy", "0.010", "49000.00")
        assert stream.wait_rows("order", 1) == stream.wait_rows("order.linear", 1)


def test_unsubscribing_ends_a_topic(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login("order", "wallet")
        answer = stream.ask(op="unsubscribe", req_id="u", args=["order"])
        assert (answer["success"], answer["op"], answer["req_id"]) == (True, "unsubscribe", "u")
        assert stream.ask(op="unsubscribe", args=["order"])["success"] is False
        client.limit("Buy", "0.010", "49000.00")
        stream.wait_rows("wallet", 1)
        assert stream.told("order") == []


def test_accounts_hear_of_themselves_only(
    client: Client, control: Control, new_client: Callable[..., Client]
) -> None:
    other = new_client("OTHER")
    with StreamClient(control.url) as mine, StreamClient(control.url) as theirs:
        mine.login("order")
        theirs.login("order", key="OTHER", secret="s-OTHER")
        order_id = client.limit("Buy", "0.010", "49000.00")
        other_id = other.limit("Buy", "0.010", "49000.00")
        assert [row["orderId"] for row in mine.wait_rows("order", 1)] == [order_id]
        assert [row["orderId"] for row in theirs.wait_rows("order", 1)] == [other_id]


def test_every_connection_of_an_account_hears_the_same(client: Client, control: Control) -> None:
    with StreamClient(control.url) as one, StreamClient(control.url) as two:
        one.login("order")
        two.login("order", "wallet")
        client.limit("Buy", "0.010", "49000.00")
        one.wait_rows("order", 1)
        two.wait_rows("order", 1)
        assert one.told("order") == two.told("order")


def test_a_reduce_only_order_that_lost_its_position_is_told(client: Client, control: Control) -> None:
    client.market("Buy", "0.010")
    closing = client.limit("Sell", "0.010", "50400.00", reduceOnly=True)
    with StreamClient(control.url) as stream:
        stream.login("order")
        sold = client.market("Sell", "0.010")
        rows = {row["orderId"]: row for row in stream.wait_rows("order", 2)}
        assert rows[sold]["orderStatus"] == "Filled"
        assert (rows[closing]["orderStatus"], rows[closing]["cancelType"]) == (
            "Cancelled", "CancelByReduceOnly"
        )  # fmt: skip


def test_cancel_all_packs_many_rows_into_few_messages(client: Client, control: Control) -> None:
    placed = [client.limit("Buy", "0.001", "49000.00") for _ in range(25)]
    with StreamClient(control.url) as stream:
        stream.login("order", "position")
        client.post("/v5/order/cancel-all", category="linear", symbol="BTCUSDT")
        assert [row["orderId"] for row in stream.wait_rows("order", 25)] == placed
        assert len(stream.told("order")) == 2
        assert len({message["id"] for message in stream.told("order")}) == 2
        stream.wait_rows("position", 1)


def test_an_order_is_told_when_it_reaches_the_market_not_before() -> None:
    options = ("--price-interval-ms", "0", "--ack-delay-ms", "300")
    with running_exchange(*options) as (url, _), StreamClient(url) as stream:
        client = Client(url)
        stream.login("order", "position")
        client.limit("Buy", "0.010", "40000.00", orderLinkId="slow")
        stream.settle()
        assert [m for m in stream.messages if "topic" in m] == []
        (row,) = stream.wait_rows("order", 1)
        assert (row["orderLinkId"], row["orderStatus"]) == ("slow", "New")
        client.session.close()


def test_what_the_stream_told_last_is_what_reads_say(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="0.004")
    with StreamClient(control.url) as stream:
        stream.login(*ALL)
        for step in range(8):
            client.limit("Buy", "0.010", f"{49990 - step}.00")
            client.limit("Sell", "0.010", f"{50010 + step}.00")
            client.market("Buy" if step % 3 else "Sell", "0.007")
            client.market("Buy", "50", category="spot")
            control.pin(f"{50000 + (step - 4) * 3}", fill_ratio="0.5")
        client.post("/v5/order/cancel-all", category="linear", symbol="BTCUSDT")
        stream.settle()
        for category in ("linear", "spot"):
            told = {row["orderId"]: row for row in stream.rows("order") if row["category"] == category}
            closed = client.rows("/v5/order/history", category=category, limit=50)
            assert {row["orderId"] for row in closed} == told.keys()
            for row in closed:
                assert {name: told[row["orderId"]].get(name, row[name]) for name in row} == row
            fills = {row["execId"] for row in stream.rows("execution") if row["category"] == category}
            assert fills == {
                row["execId"] for row in client.rows("/v5/execution/list", category=category, limit=100)
            }
        leg, rest_leg = stream.rows("position")[-1], client.position()
        assert (leg["size"], leg["entryPrice"], leg["seq"]) == (
            rest_leg["size"], rest_leg["avgPrice"], rest_leg["seq"]
        )  # fmt: skip
        assert stream.rows("wallet")[-1]["coin"] == client.wallet()["coin"]


def test_connections_survive_a_reset_and_are_listed(client: Client, control: Control) -> None:
    with StreamClient(control.url) as stream:
        stream.login("order", "wallet")
        control.post("reset")
        client.limit("Buy", "0.010", "40000.00")
        stream.wait_rows("order", 1)
        (row,) = control.get("streams")["connections"]
        assert (row["account"], row["topics"]["order"], row["queued"]) == ("KEY", 1, 0)
        assert row["conn_id"] == stream.answers()[0]["conn_id"]
    deadline = time.monotonic() + 5
    while control.get("streams")["connections"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert control.get("streams")["connections"] == []
