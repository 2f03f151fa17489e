import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from order_manager.bybit.encoding import body_text, query_text
from order_manager.bybit.signing import sign_request, sign_stream
from tests.bybit.pretend import PretendBybit, a_transport, ok

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signing_vectors.json").read_text())
REST = VECTORS["rest"] + VECTORS["rest_compact_json"]
DIVERGENCES = VECTORS["rest_divergences"]


def named(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def signature(vector: dict[str, Any]) -> str:
    return sign_request(
        vector["secret"],
        timestamp_ms=int(vector["timestamp"]),
        api_key=vector["api_key"],
        recv_window_ms=int(vector["recv_window"]),
        payload=vector["body"] if vector["method"] == "POST" else vector["query"] or "",
    )


def decoded(query: str) -> tuple[dict[str, str], str]:
    """What a caller would hand in: plain values, and the cursor as the exchange gave it."""
    cursor = next((part[7:] for part in query.split("&") if part.startswith("cursor=")), "")
    return {
        name: value for name, value in parse_qsl(query, keep_blank_values=True) if name != "cursor"
    }, cursor


def test_the_vectors_are_all_there():
    assert {name: len(VECTORS[name]) for name in VECTORS["_about"]["counts"]} == VECTORS["_about"]["counts"]


@named(REST)
def test_a_rest_request_is_signed_as_the_official_client_does(vector):
    assert signature(vector) == vector["signature"]


@named(DIVERGENCES)
def test_what_is_signed_is_what_is_sent(vector):
    assert signature(vector) == vector["signature_from_wire"]


@named(VECTORS["ws_auth"])
def test_a_stream_is_signed_as_the_official_client_does(vector):
    assert sign_stream(vector["secret"], expires_ms=vector["expires"]) == vector["signature"]


@named([vector for vector in VECTORS["rest"] + DIVERGENCES if vector["method"] == "GET"])
def test_the_transport_sends_the_vector_itself(vector, exchange: PretendBybit):
    exchange.play(ok())
    transport = a_transport(
        exchange.url,
        api_key=vector["api_key"],
        api_secret=vector["secret"],
        recv_window_ms=int(vector["recv_window"]),
        now_ms=lambda: int(vector["timestamp"]),
    )
    params, cursor = decoded(vector["query"] or "")
    transport.get(vector["path"], params, cursor=cursor)

    (request,) = exchange.requests
    sent = signature(vector | {"query": request.query})
    assert request.headers["X-BAPI-SIGN"] == sent
    if not cursor or vector["query"].endswith(cursor):
        assert request.query == vector["query"]


@named(VECTORS["rest_compact_json"])
def test_a_body_is_the_compact_json_that_is_signed(vector, exchange: PretendBybit):
    exchange.play(ok())
    transport = a_transport(
        exchange.url,
        api_key=vector["api_key"],
        api_secret=vector["secret"],
        recv_window_ms=int(vector["recv_window"]),
        now_ms=lambda: int(vector["timestamp"]),
    )
    transport.post(vector["path"], json.loads(vector["body"]))

    (request,) = exchange.requests
    assert request.body.decode() == vector["body"]
    assert request.headers["X-BAPI-SIGN"] == vector["signature"]
    assert request.headers["X-BAPI-TIMESTAMP"] == vector["timestamp"]


@pytest.mark.parametrize(
    ("cursor", "sent"),
    [
        ("page_token%3D39380%26", "page_token%3D39380%26"),
        ("132766%3a2%2c132766%3a2", "132766%3A2%2C132766%3A2"),  # the HTTP library writes escapes so
        ("not encoded=1&", "not%20encoded=1%26"),
        ("50%", "50%25"),
        ("a%3Db c", "a%3Db%20c"),
    ],
)
def test_a_cursor_is_sent_as_it_is_signed(cursor, sent, exchange: PretendBybit):
    exchange.play(ok())
    a_transport(exchange.url, now_ms=lambda: 1).get("/v5/order/history", {"a": "b"}, cursor=cursor)

    (request,) = exchange.requests
    assert request.query == f"a=b&cursor={sent}"
    expected = sign_request(
        "test-secret-0123456789abcdefABCDEF",
        timestamp_ms=1,
        api_key="TESTKEY0000000001",
        recv_window_ms=5000,
        payload=request.query,
    )
    assert request.headers["X-BAPI-SIGN"] == expected


def test_decimals_are_written_plainly():
    assert body_text({"qty": Decimal("1E-7"), "price": Decimal("1E+3"), "idx": 0, "on": True}) == (
        '{"qty":"0.0000001","price":"1000","idx":0,"on":true}'
    )
    assert query_text({"qty": Decimal("1E-7"), "on": True}) == "qty=0.0000001&on=true"


@pytest.mark.parametrize("value", [0.1, None])
def test_a_float_is_never_sent(value):
    with pytest.raises(TypeError):
        query_text({"qty": value})
    if value is not None:
        with pytest.raises(TypeError):
            body_text({"qty": value})
