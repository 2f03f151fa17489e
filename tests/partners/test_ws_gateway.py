"""Subscribed at the gateway: at once, again after a reconnect, and kept so while it comes and goes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.embedded import free_port
from order_manager.partners import ws_gateway
from order_manager.partners.ws_gateway import GatewaySubscriptions

CHANNELS = ["order", "position", "balance"]
GAP = "gateway resubscribed"


class Gateway(ThreadingHTTPServer):
    """Answers with `status`, or with what `statuses` has for a channel."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, status: int = 200) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.status, self.statuses, self.silence_s = status, dict[str, int](), 0.0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.asked.append((self.path, self.headers["X-API-Key"], body))
                time.sleep(gateway.silence_s)
                self.send_response(gateway.statuses.get(body["channel_type"], gateway.status))
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                """Silent."""

        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client that is gone is no news."""


@contextmanager
def a_gateway(**options: Any) -> Iterator[Gateway]:
    with Gateway(**options) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gateway
        finally:
            gateway.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ws_gateway, "RETRY_S", 0.02)
    monkeypatch.setattr(ws_gateway, "START_S", 0.05)
    monkeypatch.setattr(ws_gateway, "TIMEOUT_S", (0.3, 0.3))


def subscriptions(url: str, on_gap: Callable[[str], Any]) -> GatewaySubscriptions:
    return GatewaySubscriptions(url, api_key="gateway-key", service_name="order-manager", on_gap=on_gap)


@contextmanager
def subscribing(url: str, on_gap: Callable[[str], Any]) -> Iterator[GatewaySubscriptions]:
    subscribed = subscriptions(url, on_gap)
    thread = threading.Thread(target=subscribed.run_for_ever)
    thread.start()
    try:
        yield subscribed
        assert thread.is_alive()
    finally:
        subscribed.stop()
        thread.join(3)
        assert not thread.is_alive()


def until(is_so: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.005)


def test_the_defaults_keep_the_promised_times():
    import importlib

    fresh = importlib.util.module_from_spec(ws_gateway.__spec__)
    ws_gateway.__spec__.loader.exec_module(fresh)
    assert fresh.START_S + fresh.RETRY_S + sum(fresh.TIMEOUT_S) < 5 + 1.5
    assert fresh.RETRY_S < 5
    assert fresh.REAFFIRM_S == 60


@pytest.mark.parametrize("status", [200, 201, 409])
def test_it_subscribes_to_each_channel_and_announces_one_gap(status):
    gaps: list[str] = []
    with a_gateway(status=status) as gateway, subscribing(gateway.url + "/", gaps.append):
        until(lambda: gaps)
        time.sleep(0.1)
        assert gateway.asked == [
            (
                "/api/v1/subscriptions",
                "gateway-key",
                {"channel_type": channel, "requesting_service": "order-manager"},
            )
            for channel in CHANNELS
        ]
    assert gaps == [GAP]


def test_a_reconnected_broker_means_to_subscribe_again_now():
    gaps: list[str] = []
    with a_gateway(status=409) as gateway, subscribing(gateway.url, gaps.append) as subscribed:
        until(lambda: gaps)
        subscribed.renew()
        until(lambda: len(gateway.asked) == 6, seconds=1)
        until(lambda: len(gaps) == 2)


def test_it_is_affirmed_again_and_again_without_a_gap(monkeypatch):
    monkeypatch.setattr(ws_gateway, "REAFFIRM_S", 0.02)
    gaps: list[str] = []
    with capture_logs() as logs, a_gateway(status=409) as gateway, subscribing(gateway.url, gaps.append):
        until(lambda: len(gateway.asked) >= 12)
    assert gaps == [GAP]
    assert [line["event"] for line in logs] == ["gateway_subscribed"] * 3


def test_a_gateway_that_had_forgotten_us_is_a_gap(monkeypatch):
    monkeypatch.setattr(ws_gateway, "REAFFIRM_S", 0.02)
    gaps: list[str] = []
    with a_gateway(status=409) as gateway, subscribing(gateway.url, gaps.append):
        until(lambda: len(gateway.asked) >= 6)
        assert gaps == [GAP]
        gateway.statuses["position"] = 201
        until(lambda: len(gaps) == 2)


def test_a_gateway_that_is_away_is_tried_until_it_is_there_and_told_of_once():
    gaps: list[str] = []
    port = free_port()
    with capture_logs() as logs, subscribing(f"http://127.0.0.1:{port}", gaps.append):
        time.sleep(0.3)
        assert gaps == []
        with a_gateway(port=port):
            until(lambda: gaps)
    events = [line["event"] for line in logs]
    assert events == ["gateway_subscription_failed"] * 3 + ["gateway_subscribed"] * 3


def test_a_gateway_that_goes_and_comes_back_is_a_gap(monkeypatch):
    monkeypatch.setattr(ws_gateway, "REAFFIRM_S", 0.02)
    gaps: list[str] = []
    with a_gateway(status=409) as gateway, subscribing(gateway.url, gaps.append):
        until(lambda: gaps)
        gateway.status = 503
        time.sleep(0.2)
        assert gaps == [GAP]
        gateway.status = 409
        until(lambda: len(gaps) == 2)
        time.sleep(0.1)
        assert len(gaps) == 2


def test_a_channel_that_is_refused_does_not_take_the_others_with_it():
    gaps: list[str] = []
    with a_gateway() as gateway:
        gateway.statuses["order"] = 401
        with capture_logs() as logs, subscribing(gateway.url, gaps.append):
            until(lambda: gaps)
            until(lambda: len(gateway.asked) >= 9)
        assert [body["channel_type"] for *_, body in gateway.asked[:3]] == CHANNELS
    failed = [line for line in logs if line["event"] == "gateway_subscription_failed"]
    assert [(line["channel"], line["error"]) for line in failed] == [("order", "HTTP 401: {}")]
    assert gaps == [GAP]


def test_a_redirect_is_no_subscription():
    with a_gateway(status=302) as gateway:
        assert not subscriptions(gateway.url, print).subscribe()


def test_a_gateway_that_does_not_answer_is_not_waited_for_long():
    with a_gateway() as gateway:
        gateway.silence_s = 1.0
        began = time.monotonic()
        assert not subscriptions(gateway.url, print).subscribe()
        assert time.monotonic() - began < 0.9


def test_a_gap_that_could_not_be_announced_is_announced_later():
    gaps: list[str] = []
    failures = [OSError("the database is away")] * 3

    def on_gap(reason: str) -> None:
        if failures:
            raise failures.pop()
        gaps.append(reason)

    with a_gateway() as gateway, subscribing(gateway.url, on_gap):
        until(lambda: gaps)
    assert failures == []
    assert gaps == [GAP]


def test_a_key_that_cannot_be_sent_does_not_end_the_process():
    gateway = GatewaySubscriptions(
        "http://127.0.0.1:1", api_key="bad\nkey", service_name="order-manager", on_gap=print
    )
    assert not gateway.subscribe()
