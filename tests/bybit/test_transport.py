import json
import socket
import time
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from order_manager.bybit.transport import Transport
from order_manager.errors import (
    AccessDenied,
    ExchangeError,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)
from tests.bybit import pretend
from tests.bybit.pretend import KEY, SECRET, PretendBybit, a_transport, http, ok, ret_code

CREATE, READ = "/v5/order/create", "/v5/order/realtime"

AFTER_SENDING = {
    "reset": pretend.reset,
    "closed keep-alive": pretend.hang_up,
    "truncated": pretend.truncated,
    "read timeout": pretend.stall,
    "read timeout in the body": pretend.stall_in_the_body,
    "byte by byte": pretend.trickle,
    "a page of the CDN": http("<html>bad gateway</html>", status=502),
    "html with 200": http("<html>maintenance</html>"),
    "500": http('{"retCode":0}', status=500),
    "503": http("", status=503),
    "504 with a code": http('{"retCode":10001}', status=504),
    "redirect": http("", status=302, headers={"Location": "/elsewhere"}),
    "no retCode": http('{"retMsg":"OK"}'),
    "retCode as text": http('{"retCode":"0"}'),
    "retCode true": http('{"retCode":true}'),
    "a list": http("[]"),
    "not a number": http('{"retCode":0,"result":{"price":NaN}}'),
    "not utf-8": http(b"\xff\xfe\x00"),
    "bad gzip": http(b"not gzip", headers={"Content-Encoding": "gzip"}),
    "nested": http("[" * 100_000),
}


@pytest.mark.parametrize("answer", AFTER_SENDING.values(), ids=AFTER_SENDING.keys())
def test_a_write_whose_answer_was_lost_is_sent_once_and_its_outcome_is_unknown(
    answer, exchange: PretendBybit
):
    exchange.play(answer)
    with pytest.raises(OutcomeUnknown):
        a_transport(exchange.url).post(CREATE, {"symbol": "BTCUSDT"})
    assert len(exchange.requests) == 1


@pytest.mark.parametrize("answer", AFTER_SENDING.values(), ids=AFTER_SENDING.keys())
def test_a_read_whose_answer_was_lost_may_be_asked_again(answer, exchange: PretendBybit):
    exchange.play(answer)
    with pytest.raises(Unavailable):
        a_transport(exchange.url).get(READ, {"symbol": "BTCUSDT"})
    assert len(exchange.requests) == 1


def test_an_answer_that_trickles_is_given_up_when_the_time_is_over(exchange: PretendBybit):
    exchange.play(pretend.trickle)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="slowly"):
        a_transport(exchange.url, read_timeout_s=0.3).get(READ, {})
    assert time.monotonic() - started < 2


def test_a_keep_alive_that_dies_under_our_request_leaves_the_outcome_open(exchange: PretendBybit):
    exchange.play(ok(), pretend.hang_up)
    transport = a_transport(exchange.url)
    transport.post(CREATE, {})
    with pytest.raises(OutcomeUnknown):
        transport.post(CREATE, {})
    assert len(exchange.requests) == 2
    assert exchange.connections == 1


def test_a_keep_alive_that_was_closed_in_time_is_opened_anew(exchange: PretendBybit):
    exchange.play(http('{"retCode":0}', keep=False), ok())
    transport = a_transport(exchange.url)
    transport.post(CREATE, {})
    time.sleep(0.05)  # until the other side's goodbye is here
    transport.get(READ, {})
    assert exchange.connections == 2


def test_one_connection_serves_many_calls(exchange: PretendBybit):
    exchange.play(*[ok()] * 20)
    transport = a_transport(exchange.url)
    for _ in range(10):
        transport.post(CREATE, {})
        transport.get(READ, {})
    assert exchange.connections == 1
    assert transport.calls == {CREATE: 10, READ: 10}


def test_nothing_was_sent_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unavailable):
        a_transport(f"http://127.0.0.1:{port}").post(CREATE, {})


def test_nothing_was_sent_to_a_name_that_does_not_resolve():
    with pytest.raises(Unavailable):
        a_transport("http://no-such-host.invalid").post(CREATE, {})


def test_nothing_was_sent_to_a_host_that_does_not_accept_in_time():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        try:
            with pytest.raises(Unavailable, match="imeout"):
                a_transport(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.2).post(CREATE, {})
        finally:
            for one in waiting:
                one.close()


def test_a_handshake_that_fails_half_way_leaves_the_outcome_open(exchange: PretendBybit):
    with pytest.raises(OutcomeUnknown):  # plain HTTP behind an https address
        a_transport(exchange.url.replace("http", "https")).post(CREATE, {})


STATUSES = [
    (http("{}", status=401), AccessDenied),
    (http("<html>forbidden</html>", status=403), AccessDenied),
    (http('{"retCode":10003,"retMsg":"no"}', status=401), AccessDenied),
    (http("", status=404), Refused),
    (http('{"retCode":10001}', status=400), Refused),
    (http("", status=429), RateLimited),
    (ret_code(10003), AccessDenied),
    (ret_code(110007), Refused),
]


@pytest.mark.parametrize(("answer", "error"), STATUSES)
def test_an_answer_that_says_no_is_named(answer, error, exchange: PretendBybit):
    for method in ("post", "get"):
        exchange.play(answer)
        with pytest.raises(error):
            getattr(a_transport(exchange.url), method)(CREATE, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("", status=500), "HTTP 500 without a body"),
        (http(b"\xff\x00 bad\r\n  gateway", status=502), "HTTP 502: \ufffd bad gateway"),
        (http('{"retCode":110074}', status=503), "HTTP 503 without a message (110074)"),
        (ret_code(110074, message="contract is not live\u2026"), "contract is not live\u2026 (110074)"),
        (ret_code(110074, message="a\x00b\ud800"), "a b (110074)"),
        (ret_code(110074), "refused without a message (110074)"),
        (ret_code(110074, message="x" * 1000), "x" * 200 + " (110074)"),
        (ret_code(110074, message="x" * 195 + KEY), "x" * 195 + "*** (110074)"),
    ],
)
def test_what_the_exchange_says_is_readable_and_short(answer, said, exchange: PretendBybit):
    exchange.play(answer)
    with pytest.raises(ExchangeError) as caught:
        a_transport(exchange.url).post(CREATE, {})
    assert caught.value.reason == said


def test_a_banned_address_keeps_silent_for_ten_minutes(exchange: PretendBybit):
    exchange.play(http('{"retMsg":"Access too frequent"}', status=403))
    with pytest.raises(RateLimited) as caught:
        a_transport(exchange.url).post(CREATE, {})
    assert caught.value.retry_after_s == 600


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"X_Bapi_Limit_Reset_Timestamp": "1700000000750"}, 0.75),
        ({"X_Bapi_Limit_Reset_Timestamp": "1699999999000"}, 0.05),
        ({"X_Bapi_Limit_Reset_Timestamp": "1800000000000"}, 10),
        ({"X_Bapi_Limit_Reset_Timestamp": "soon"}, 2),
        ({}, 2),
    ],
)
def test_a_rate_limit_says_how_long_by_the_exchange_s_clock(headers, wait_s, exchange: PretendBybit):
    exchange.play(ret_code(10006, **headers))
    with pytest.raises(RateLimited) as caught:
        a_transport(exchange.url).post(CREATE, {})
    assert caught.value.retry_after_s == wait_s
    assert caught.value.ret_code == 10006


def test_the_account_s_limit_is_read_from_every_answer(exchange: PretendBybit):
    exchange.play(ok(X_Bapi_Limit="20"), ret_code(10006, X_Bapi_Limit="15"), ok(X_Bapi_Limit="x"))
    transport = a_transport(exchange.url)
    transport.post(CREATE, {})
    assert transport.limits == {CREATE: 20}
    with pytest.raises(RateLimited):
        transport.post(CREATE, {})
    transport.post(CREATE, {})
    assert transport.limits == {CREATE: 15}


def test_numbers_are_never_floats(exchange: PretendBybit):
    exchange.play(http('{"retCode":0,"result":{"price":0.1,"big":12345678901234567890}}'))
    result = a_transport(exchange.url).get(READ, {}).result
    assert result == {"price": Decimal("0.1"), "big": 12345678901234567890}
    assert isinstance(result["price"], Decimal)


def test_an_envelope_needs_only_its_code(exchange: PretendBybit):
    exchange.play(http('{"retCode":0,"result":null}'))
    reply = a_transport(exchange.url, now_ms=lambda: 5).get(READ, {})
    assert reply.result == {}
    assert reply.time_ms == 5


def test_a_get_has_no_body_and_public_data_no_key(exchange: PretendBybit):
    exchange.play(ok(), ok())
    transport = a_transport(exchange.url)
    transport.get("/v5/market/time", {}, signed=False)
    transport.get(READ, {"symbol": "BTCUSDT"})
    public, private = exchange.requests
    assert public.target == "/v5/market/time"
    assert "Content-Length" not in private.headers
    assert "Content-Type" not in private.headers
    assert not [name for name in public.headers if name.upper().startswith("X-BAPI")]
    assert private.headers["X-BAPI-API-KEY"] == KEY
    assert private.headers["X-BAPI-RECV-WINDOW"] == "5000"


def test_every_attempt_has_a_fresh_timestamp_with_the_offset(exchange: PretendBybit):
    exchange.play(ok(), ok())
    clock = iter([1000, 2000])
    transport = a_transport(exchange.url, now_ms=lambda: next(clock))
    transport.post(CREATE, {})
    transport.offset_ms = -300
    transport.post(CREATE, {})
    assert [request.headers["X-BAPI-TIMESTAMP"] for request in exchange.requests] == ["1000", "1700"]


def test_no_proxy_of_the_environment_comes_between(exchange: PretendBybit, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    exchange.play(ok())
    a_transport(exchange.url).get(READ, {})


def test_calls_are_reported_with_their_outcome(exchange: PretendBybit):
    seen: list[tuple[str, str, float]] = []
    exchange.play(ok(), ret_code(10016))
    transport = a_transport(exchange.url, on_call=lambda *call: seen.append(call))
    transport.post(CREATE, {})
    with pytest.raises(OutcomeUnknown):
        transport.post(CREATE, {})
    assert [(endpoint, outcome) for endpoint, outcome, _ in seen] == [
        (CREATE, "ok"),
        (CREATE, "OutcomeUnknown"),
    ]
    assert all(0 < seconds < 5 for *_, seconds in seen)


def test_a_failure_is_one_line_without_secrets(exchange: PretendBybit):
    leak = json.dumps({"retCode": 10004, "retMsg": f"error sign! origin_string[1{KEY}5000{SECRET}]"})
    exchange.play(http(leak, headers={"Traceid": "abc123"}))
    with capture_logs() as logs, pytest.raises(AccessDenied) as caught:
        a_transport(exchange.url).post(CREATE, {})
    (line,) = logs
    assert line["event"] == "exchange_call_failed"
    assert (line["endpoint"], line["ret_code"], line["exchange_trace_id"]) == (CREATE, 10004, "abc123")
    assert line["latency_ms"] >= 0
    assert KEY not in str(logs) + str(caught.value)
    assert SECRET not in str(logs) + str(caught.value)


def test_success_is_said_at_debug_only(exchange: PretendBybit):
    exchange.play(ok())
    with capture_logs() as logs:
        a_transport(exchange.url).post(CREATE, {})
    assert {line["log_level"] for line in logs} <= {"debug"}


def test_closing_ends_the_connections(exchange: PretendBybit):
    exchange.play(ok())
    transport: Transport = a_transport(exchange.url)
    transport.get(READ, {})
    transport.close()
