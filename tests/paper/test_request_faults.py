"""Request faults beyond the simple ones: resets, drips, half answers, dice, races, a clock set wrong."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from .client import Client, Control
from .conftest import running_exchange
from .stream_client import StreamClient

CREATE = "/v5/order/create"
CANCEL = "/v5/order/cancel"
ORDER = {"qty": "0.001", "price": "49000.00"}


@pytest.mark.parametrize("is_processed", [False, True])
def test_a_reset_connection(client: Client, control: Control, is_processed: bool) -> None:
    control.post("faults", endpoint=CREATE, kind="reset", processed=is_processed)
    with pytest.raises(requests.ConnectionError, match=r"[Rr]eset"):
        client.create(**ORDER)
    assert len(control.get("orders")["orders"]) == is_processed
    (entry,) = control.get("ledger", kind="request")["entries"]
    assert (entry["fault"], entry["ret_code"]) == ("reset", 0 if is_processed else None)


def test_half_an_answer(client: Client, control: Control) -> None:
    control.post("faults", endpoint=CREATE, kind="truncated")
    with pytest.raises(requests.JSONDecodeError):
        client.create(**ORDER)
    assert client.last.status_code == 200
    assert client.last.text.startswith('{"retCode":0')
    assert len(control.get("orders")["orders"]) == 1


def test_an_answer_that_drips(client: Client, control: Control) -> None:
    control.post("faults", endpoint="/v5/account/info", kind="trickle", delay_ms=1)
    started = time.monotonic()
    assert client.get("/v5/account/info")["result"]["unifiedMarginStatus"] == 5
    assert time.monotonic() - started > 0.2  # some 300 bytes
    control.post("faults", endpoint=CREATE, kind="trickle", delay_ms=300)
    with client.session.post(client.url + CREATE, data="{}", stream=True, timeout=5) as response:
        assert response.raw.read(2) == b"au"  # "authentication headers are missing"
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "http_error", "status": 503}, 503),
        ({"kind": "http_error", "status": 403}, 403),
        ({"kind": "http_500", "processed": True}, 500),
        ({"kind": "html", "processed": True}, 502),
    ],
)
def test_http_errors(client: Client, control: Control, fault: dict[str, Any], status: int) -> None:
    control.post("faults", endpoint=CREATE, **fault)
    with pytest.raises(requests.JSONDecodeError):
        client.create(**ORDER)
    assert client.last.status_code == status
    assert len(control.get("orders")["orders"]) == int(fault.get("processed", False))


def test_ret_codes_speak_for_themselves(client: Client, control: Control) -> None:
    control.post("faults", endpoint="*", kind="ret_code", ret_code=110072, processed=True)
    answer = client.create(**ORDER)
    assert (answer["retCode"], answer["retMsg"]) == (110072, "OrderLinkedID is duplicate")
    assert len(control.get("orders")["orders"]) == 1
    control.post("faults", endpoint=CREATE, kind="ret_code", ret_code=10006)
    refused = client.create(**ORDER)
    assert refused["retCode"] == 10006
    assert int(client.last.headers["X-Bapi-Limit-Reset-Timestamp"]) == refused["time"] + 1000


def test_dice_repeat_by_seed_until_cleared(client: Client, control: Control) -> None:
    def play() -> list[int]:
        control.post(
            "faults", endpoint="/v5/account/info", kind="ret_code", probability=0.5, seed=3, account="KEY"
        )
        codes = [client.get("/v5/account/info")["retCode"] for _ in range(12)]
        (shown,) = control.get("faults")["faults"]
        assert (shown["left"], shown["applied"]) == (None, sum(code == 10016 for code in codes))
        control.call("DELETE", "faults")
        return codes

    first = play()
    assert set(first) == {0, 10016}
    assert play() == first
    assert client.get("/v5/account/info")["retCode"] == 0


def test_rules_without_end_are_lifted_one_by_one(client: Client, control: Control) -> None:
    shown = control.post("faults", endpoint=CREATE, kind="ret_code", until_cleared=True)
    control.post("faults", endpoint=CREATE, kind="ret_code", ret_code=10000, until_cleared=True)
    assert [client.create(**ORDER)["retCode"] for _ in range(3)] == [10016] * 3
    (rule,) = shown["faults"]
    left = control.call("DELETE", "faults", params={"id": rule["id"]})
    assert [(fault["ret_code"], fault["applied"]) for fault in left["faults"]] == [(10000, 0)]
    assert [(fault["id"], fault["applied"]) for fault in left["spent"]] == [(rule["id"], 3)]
    assert client.create(**ORDER)["retCode"] == 10000
    assert control.get("faults")["applied"] == 4


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "http_error", "status": 200},
        {"kind": "html", "processed": "yes"},
        {"kind": "delay", "processed": True},
        {"kind": "html", "probability": 0},
        {"kind": "html", "probability": "often"},
        {"kind": "cancel_race"},
        {"kind": "delay", "delay_ms": -1},
    ],
)
def test_faults_that_make_no_sense(control: Control, body: dict[str, Any]) -> None:
    answer = control.session.post(
        f"{control.url}/control/faults",
        json={"endpoint": CREATE, **body},
        headers={"X-Control-Token": control.token},
        timeout=5,
    )
    assert answer.status_code == 400


@pytest.fixture
def stream(control: Control) -> Iterator[StreamClient]:
    with StreamClient(control.url) as stream:
        yield stream.login("order", "execution")


def test_a_cancel_that_loses_the_race(client: Client, control: Control, stream: StreamClient) -> None:
    order_id = client.limit("Buy", "0.010", "49900.00")
    control.post("faults", endpoint=CANCEL, kind="cancel_race")
    assert client.cancel(order_id)["retCode"] == 0
    rows = stream.wait_rows("order", 3)
    assert [(row["orderStatus"], row["cancelType"], row["rejectReason"]) for row in rows] == [
        ("New", "UNKNOWN", "EC_NoError"),
        ("Filled", "UNKNOWN", "EC_NoError"),
        ("Filled", "CancelByUser", "EC_OrigClOrdIDDoesNotExist"),
    ]
    assert client.order(order_id)["cancelType"] == "UNKNOWN"
    assert client.position()["size"] == "0.010"
    kinds = [entry["kind"] for entry in control.get("ledger")["entries"]]
    assert kinds[2:5] == ["request", "fill", "cancel_too_late"]
    # Of an order that is filled already, only the second record comes; of an unknown one, a refusal.
    control.post("faults", endpoint="*", kind="cancel_race", count=2)
    assert client.cancel(order_id)["retCode"] == 0
    assert stream.wait_rows("order", 4)[3]["cancelType"] == "CancelByUser"
    assert client.cancel("nope")["retCode"] == 110001
    assert len(client.rows("/v5/execution/list", category="linear", orderId=order_id)) == 1


def test_a_clock_that_is_wrong(client: Client, control: Control) -> None:
    assert control.post("clock", offset_ms=60_000)["offset_ms"] == 60_000
    answer = client.session.get(client.url + "/v5/market/time", timeout=5).json()
    assert 55_000 < answer["time"] - time.time() * 1000 < 65_000
    assert abs(int(answer["result"]["timeNano"]) // 1_000_000 - answer["time"]) < 1000
    assert client.create(**ORDER)["retCode"] == 10002
    client.clock_offset_ms = 60_000
    order_id = client.placed(**ORDER)
    assert int(client.order(order_id)["createdTime"]) > time.time() * 1000 + 55_000
    control.post("clock", offset_ms=-3000)
    client.clock_offset_ms = 0
    assert client.create(**ORDER)["retCode"] == 10002  # we are ahead now
    assert control.get("state")["clock_offset_ms"] == -3000
    control.post("reset")
    assert client.create(**ORDER)["retCode"] == 0


def test_limits_do_not_outlive_a_clock_that_was_ahead() -> None:
    with running_exchange("--price-interval-ms", "0", "--create-limit", "2") as (url, _):
        client, control = Client(url, clock_offset_ms=60_000), Control(url)
        control.post("clock", offset_ms=60_000)
        assert [client.create(**ORDER)["retCode"] for _ in range(3)] == [0, 0, 10006]
        control.post("clock", offset_ms=0)
        client.clock_offset_ms = 0
        assert client.create(**ORDER)["retCode"] == 0
        client.session.close()
        control.session.close()


def test_a_balance_that_is_gone(client: Client, control: Control) -> None:
    assert control.post("balance", account="KEY", coin="USDT", balance="1")["balance"] == "1"
    assert client.create(**ORDER)["retCode"] == 110007
    assert control.post("balance", account="KEY", change="999")["balance"] == "1000"
    assert control.post("balance", account="KEY", change="-900")["balance"] == "100"
    assert client.create(**ORDER)["retCode"] == 0
    assert client.coin()["walletBalance"] == "100"
    facts = [
        (entry["change"], entry["balance"]) for entry in control.get("ledger", kind="control")["entries"]
    ]
    assert facts == [("-99999", "1"), ("999", "1000"), ("-900", "100")]
    for body in (
        {"account": "NOBODY", "balance": "1"},
        {"account": "KEY"},
        {"account": "KEY", "change": "x"},
    ):
        answer = control.session.post(
            f"{control.url}/control/balance",
            json=body,
            headers={"X-Control-Token": control.token},
            timeout=5,
        )
        assert answer.status_code == 400


def test_what_nobody_serves_is_recorded(client: Client, control: Control) -> None:
    assert client.get("/v5/order/nonsense")["retCode"] == 10017
    assert client.last.status_code == 404
    assert client.get(CREATE)["retCode"] == 10017
    client.session.get(client.url + "/v5/market/time", timeout=5)
    entries = control.get("ledger")["entries"]
    assert [(entry["kind"], entry["http_status"], entry["ret_code"]) for entry in entries] == [
        ("request", 404, 10017),
        ("request", 404, 10017),
        ("market_request", 200, 0),
    ]


def test_a_judge_reads_page_by_page(client: Client, control: Control) -> None:
    for _ in range(25):
        client.create(**ORDER)
    since, seen = 0, []
    while entries := (page := control.get("ledger", since=since, limit=7))["entries"]:
        seen += [entry["seq"] for entry in entries]
        since = page["next"]
    assert seen == list(range(page["first"], page["last"] + 1))
    assert len(seen) == 50
