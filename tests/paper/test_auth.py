"""Who may call: keys, signatures over the raw bytes, the time window, missing headers."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from order_manager.paper.accounts import Account
from order_manager.paper.auth import Credentials, authenticate, sign
from order_manager.paper.refusals import ApiRefusal

from .client import Client, Control, signature

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signing_vectors.json").read_text())
REST = VECTORS["rest"] + VECTORS["rest_compact_json"]


@pytest.mark.parametrize("vector", REST, ids=[vector["name"] for vector in REST])
def test_signatures_match_the_official_clients(vector: dict[str, Any]) -> None:
    payload = vector["body"] if vector["method"] == "POST" else vector["query"]
    ours = sign(
        vector["secret"],
        vector["timestamp"],
        vector["api_key"],
        vector["recv_window"],
        (payload or "").encode(),
    )
    assert ours == vector["signature"]


@pytest.mark.parametrize(
    ("timestamp", "is_accepted"),
    [(5000, True), (4999, False), (10_000, True), (10_999, True), (11_000, False)],
)
def test_the_time_window_is_exact(timestamp: int, is_accepted: bool) -> None:
    """server - window <= timestamp < server + 1000, at server time 10000 with a window of 5000."""
    account = Account(uid=1, api_key="K", api_secret="S", created_ms=0)
    credentials = Credentials("K", str(timestamp), signature("S", str(timestamp), "K", "5000", ""), "5000")
    if is_accepted:
        assert authenticate(credentials, b"", {"K": account}, 10_000) is account
    else:
        with pytest.raises(ApiRefusal) as refused:
            authenticate(credentials, b"", {"K": account}, 10_000)
        assert refused.value.ret_code == 10002


def test_a_missing_window_header_means_five_seconds() -> None:
    account = Account(uid=1, api_key="K", api_secret="S", created_ms=0)
    credentials = Credentials("K", "9000", signature("S", "9000", "K", "", ""), "")
    assert authenticate(credentials, b"", {"K": account}, 10_000) is account


def test_refused_callers(client: Client) -> None:
    stranger = Client(client.url, key="NOBODY", session=client.session)
    assert stranger.get("/v5/account/info")["retCode"] == 10003
    forger = Client(client.url, secret="WRONG", session=client.session)
    assert forger.get("/v5/account/info")["retCode"] == 10004
    early = Client(client.url, clock_offset_ms=1500, window="60000", session=client.session)
    assert early.get("/v5/account/info")["retCode"] == 10002
    late = Client(client.url, clock_offset_ms=-6000, session=client.session)
    assert late.get("/v5/account/info")["retCode"] == 10002
    late.window = "9" * 5000
    assert late.get("/v5/account/info")["retCode"] == 10002
    late.window = "10000"
    assert late.get("/v5/account/info")["retCode"] == 0
    assert client.session.get(client.url + "/v5/account/info", timeout=5).status_code == 401


def test_the_signature_covers_the_bytes_as_sent(client: Client) -> None:
    query = "category=linear&symbol=BTC%55SDT"  # an escape that a re-encoding would undo
    answer = client.session.get(
        f"{client.url}/v5/position/list?{query}", headers=client.headers(query), timeout=5
    )
    sent = answer.request.path_url.partition("?")[2]
    expected = 0 if sent == query else 10004  # this HTTP library may normalise the escape
    assert answer.json()["retCode"] == expected
    body = '{"category":  "linear","symbol":"BTCUSDT","mode":0}'
    answer = client.session.post(
        client.url + "/v5/position/switch-mode", data=body, headers=client.headers(body), timeout=5
    )
    assert answer.json()["retCode"] == 110025
    answer = client.session.post(
        client.url + "/v5/position/switch-mode",
        data=body.replace("  ", " "),
        headers=client.headers(body),
        timeout=5,
    )
    assert answer.json()["retCode"] == 10004


def test_malformed_requests(client: Client) -> None:
    headers = client.headers("[]")
    answer = client.session.post(client.url + "/v5/order/create", data="[]", headers=headers, timeout=5)
    assert answer.json()["retCode"] == 10001
    headers = client.headers("")
    answer = client.session.get(client.url + "/v5/account/info", data="{}", headers=headers, timeout=5)
    assert answer.status_code == 403
    assert client.session.get(client.url + "/v5/no/such", timeout=5).status_code == 404


def test_a_new_key_works_at_once(new_client: Callable[..., Client], control: Control) -> None:
    assert new_client("FRESH", balance="1").coin()["walletBalance"] == "1"
    answer = requests.get(control.url + "/control/state", headers={"X-Control-Token": "wrong"}, timeout=5)
    assert answer.status_code == 401
    assert time.time() * 1000 - control.get("state")["time_ms"] < 2000
