"""The control path: faults, the ledger, prices, reset."""

import time
from decimal import Decimal

import pytest
import requests

from .client import Client, Control

CREATE = "/v5/order/create"
ORDER = {"qty": "0.001", "price": "49000.00"}


def test_a_lost_answer_leaves_the_order_behind(client: Client, control: Control) -> None:
    control.post("faults", endpoint=CREATE, kind="lost_answer", count=1)
    with pytest.raises(requests.ConnectionError):
        client.create(**ORDER, orderLinkId="lost")
    (row,) = client.rows("/v5/order/realtime", category="linear", symbol="BTCUSDT")
    assert row["orderLinkId"] == "lost"
    assert client.create(**ORDER, orderLinkId="lost")["retCode"] == 110072


def test_a_lost_request_leaves_nothing_behind(client: Client, control: Control) -> None:
    control.post("faults", endpoint=CREATE, kind="lost_request", count=1)
    with pytest.raises(requests.ConnectionError):
        client.create(**ORDER, orderLinkId="lost")
    assert control.get("orders")["orders"] == []
    assert client.create(**ORDER, orderLinkId="lost")["retCode"] == 0
    first, second = control.get("ledger", kind="request")["entries"]
    assert (first["fault"], first["ret_code"], first["body"]["orderLinkId"]) == ("lost_request", None, "lost")
    assert (second["fault"], second["ret_code"]) == ("", 0)


@pytest.mark.parametrize(("kind", "status"), [("http_500", 500), ("http_429", 429), ("html", 502)])
def test_http_faults(client: Client, control: Control, kind: str, status: int) -> None:
    control.post("faults", endpoint=CREATE, kind=kind, count=1)
    with pytest.raises(requests.JSONDecodeError):
        client.create(**ORDER)
    assert client.last.status_code == status
    assert control.get("orders")["orders"] == []


def test_ret_codes_before_and_after(client: Client, control: Control) -> None:
    control.post("faults", endpoint=CREATE, kind="ret_code", ret_code=10006, ret_msg="Too many visits.")
    control.post("faults", endpoint=CREATE, kind="ret_code_after", ret_code=10016)
    refused = client.create(**ORDER, orderLinkId="one")
    assert (refused["retCode"], refused["retMsg"]) == (10006, "Too many visits.")
    assert client.create(**ORDER, orderLinkId="two")["retCode"] == 10016
    assert [row["link_id"] for row in control.get("orders")["orders"]] == ["two"]


def test_delays(client: Client, control: Control) -> None:
    for kind in ("delay", "delay_answer"):
        control.post("faults", endpoint=CREATE, kind=kind, delay_ms=150)
        started = time.monotonic()
        assert client.create(**ORDER)["retCode"] == 0
        assert time.monotonic() - started >= 0.15


def test_faults_apply_in_order_to_what_they_match(client: Client, control: Control) -> None:
    control.post("faults", endpoint="/v5/order/cancel", kind="http_500", count=1)
    control.post("faults", endpoint=CREATE, kind="ret_code", ret_code=10001, count=2)
    control.post("faults", endpoint=CREATE, kind="ret_code", ret_code=10002, count=1)
    control.post("faults", endpoint="*", kind="http_500", account="OTHER")
    assert [client.create(**ORDER)["retCode"] for _ in range(4)] == [10001, 10001, 10002, 0]
    shown = control.get("faults")
    assert shown["applied"] == 3
    assert [(f["endpoint"], f["left"]) for f in shown["faults"]] == [("/v5/order/cancel", 1), ("*", 1)]
    assert control.call("DELETE", "faults") == {"faults": [], "applied": 0}
    assert client.cancel("x")["retCode"] == 110001


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"endpoint": CREATE, "kind": "nonsense"}),
        ("faults", {"kind": "html"}),
        ("faults", {"endpoint": CREATE, "kind": "html", "count": 0}),
        ("price", {"symbol": "NOPE", "price": "1"}),
        ("price", {"symbol": "BTCUSDT", "price": "1.05"}),
        ("price", {"symbol": "BTCUSDT", "price": 50000.5}),
        ("instruments", {"category": "linear", "symbol": "BTCUSDT", "status": "Odd"}),
        ("instruments", {"category": "linear", "symbol": "BTCUSDT", "colour": "1"}),
        ("accounts", {"api_key": "K"}),
        ("accounts", {"api_key": "K", "api_secret": "S", "position_mode": "both"}),
    ],
)
def test_control_requests_that_make_no_sense(control: Control, path: str, body: dict[str, object]) -> None:
    headers = {"X-Control-Token": control.token}
    answer = control.session.post(f"{control.url}/control/{path}", json=body, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_ledger_tells_the_story_in_order(client: Client, control: Control) -> None:
    start = control.get("state")["ledger_seq"]
    order_id = client.limit("Buy", "0.010", "49900.00", orderLinkId="story")
    control.pin("49899.90", fill_ratio="0.5")
    client.cancel(order_id)
    client.cancel(order_id)
    told = control.get("ledger", since=start)
    assert [entry["kind"] for entry in told["entries"]] == [
        "request",
        "order_created",
        "fill",
        "request",
        "order_cancelled",
        "request",
    ]
    seqs = [entry["seq"] for entry in told["entries"]]
    assert seqs == list(range(start + 1, start + 7))
    assert told["next"] == seqs[-1]
    created, fill, cancelled = told["entries"][1], told["entries"][2], told["entries"][4]
    assert (created["link_id"], created["qty"], created["account"]) == ("story", "0.01", "KEY")
    assert (fill["qty"], fill["status"], fill["is_maker"]) == ("0.005", "PartiallyFilled", True)
    assert (cancelled["status"], cancelled["cum_qty"]) == ("Cancelled", "0.005")
    codes = [entry["ret_code"] for entry in told["entries"] if entry["kind"] == "request"]
    assert codes == [0, 0, 110001]
    one = control.get("ledger", since=start, kind="fill,order_cancelled", account="KEY", limit=1)
    assert [entry["kind"] for entry in one["entries"]] == ["fill"]
    rest = control.get("ledger", since=one["next"], kind="fill,order_cancelled")
    assert [entry["kind"] for entry in rest["entries"]] == ["order_cancelled"]
    assert control.get("ledger", since=start, account="NOBODY")["entries"] == []


def test_refused_requests_are_recorded_too(client: Client, control: Control) -> None:
    forger = Client(client.url, secret="WRONG", session=client.session)
    forger.create(**ORDER)
    client.session.get(client.url + "/v5/account/info", timeout=5)
    first, second = control.get("ledger", kind="request")["entries"]
    assert (first["ret_code"], first["endpoint"], first["method"]) == (10004, CREATE, "POST")
    assert (second["ret_code"], second["http_status"], second["account"]) == (None, 401, "")


def test_views_of_orders_fills_and_positions(client: Client, control: Control) -> None:
    client.market("Buy", "0.010", orderLinkId="v-1")
    client.limit("Sell", "1", "3010.00", symbol="ETHUSDT")
    first, second = control.get("orders", account="KEY")["orders"]
    assert (first["link_id"], first["status"], first["cum_exec_qty"]) == ("v-1", "Filled", "0.01")
    assert (second["symbol"], second["status"], second["qty"]) == ("ETHUSDT", "New", "1")
    assert len(control.get("orders", symbol="ETHUSDT")["orders"]) == 1
    (fill,) = control.get("fills")["fills"]
    assert (fill["link_id"], fill["qty"], fill["side"]) == ("v-1", "0.01", "Buy")
    position = control.get("positions")["positions"][0]
    assert (position["symbol"], position["size"]) == ("BTCUSDT", "0.01")
    assert Decimal(position["fees"]) == Decimal(fill["fee"])


def test_reset_goes_back_to_the_start(client: Client, control: Control) -> None:
    client.market("Buy", "0.010", orderLinkId="again")
    control.post("accounts", api_key="EXTRA", api_secret="S")
    seq = control.get("state")["ledger_seq"]
    control.post("reset")
    state = control.get("state")
    assert [account["api_key"] for account in state["accounts"]] == ["KEY"]
    assert state["accounts"][0]["coins"] == {"USDT": "100000"}
    assert state["ledger_seq"] >= seq
    assert control.get("ledger")["entries"] == []
    assert client.position()["size"] == "0"
    client.market("Buy", "0.010", orderLinkId="again")
