"""The stream against the paper exchange: orders become rows, and whatever breaks is a gap."""

import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.bybit.hosts import private_stream_url
from order_manager.bybit.stream import Timing
from order_manager.bybit.wire import execution, order_report
from order_manager.domain.orders import Category, OrderStatus
from tests.bybit.stream_desk import QUICK, SUBSCRIBED, Desk, following, until
from tests.paper.client import Client, Control
from tests.paper.conftest import running_exchange


class Ledger(Desk):
    """Notes whole rows by topic."""

    def rows(self, told: Any, received_at: Any) -> None:
        self.calls += [(topic, list(rows)) for topic, rows in told.items()]

    def of(self, topic: str) -> list[Any]:
        return [row for name, rows in list(self.calls) if name == topic for row in rows]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_exchange("--price-interval-ms", "0", "--create-limit", "100000") as (url, _):
        yield url


@pytest.fixture
def control(url: str) -> Iterator[Control]:
    control = Control(url)
    control.post("reset")
    control.pin("50000")
    yield control
    control.session.close()


@pytest.fixture
def client(control: Control) -> Iterator[Client]:
    client = Client(control.url)
    yield client
    client.session.close()


def stream_of(url: str) -> str:
    return private_stream_url("paper", paper_url=url)


def test_an_order_and_its_fill_are_rows_that_can_be_read(client):
    desk = Ledger()
    with following(stream_of(client.url), desk, key="KEY", secret="SECRET"):
        until(lambda: desk.told == [SUBSCRIBED])
        order_id = client.market("Buy", "0.010")
        until(lambda: desk.of("execution") and desk.of("position") and desk.of("wallet"))
        until(lambda: any(row["orderStatus"] == "Filled" for row in desk.of("order")))
    reports = [order_report(row, category=Category.LINEAR) for row in desk.of("order")]
    assert {report.exchange_order_id for report in reports} == {order_id}
    assert reports[-1].status is OrderStatus.FILLED
    fills = [execution(row, category=Category.LINEAR) for row in desk.of("execution")]
    assert sum(fill.fill.quantity for fill in fills) == Decimal("0.010")
    assert {row["symbol"] for row in desk.of("position")} == {"BTCUSDT"}


def test_a_broken_stream_comes_back_and_is_a_gap(client, control):
    desk = Ledger()
    with following(stream_of(client.url), desk, key="KEY", secret="SECRET"):
        until(lambda: desk.told == [SUBSCRIBED])
        control.post("stream-faults", kind="disconnect")
        until(lambda: desk.told == [SUBSCRIBED] * 2)
        client.limit("Buy", "0.010", "40000")
        until(lambda: desk.of("order"))


def test_an_exchange_that_refuses_streams_is_tried_until_it_does_not(client, control):
    control.post("stream-faults", kind="refuse", count=3)
    desk = Ledger()
    with following(stream_of(client.url), desk, key="KEY", secret="SECRET"):
        until(lambda: desk.told == [SUBSCRIBED])
    assert control.get("streams")["refused"] >= 3


def test_a_wrong_secret_is_not_subscribed(client):
    desk, refused = Ledger(), threading.Event()
    with following(stream_of(client.url), desk, key="KEY", secret="wrong"):
        assert not refused.wait(0.3)
    assert desk.told == []


def test_a_quiet_stream_is_kept_alive(client, control):
    desk = Ledger()
    timing = Timing(ping_every_s=0.2, pong_within_s=QUICK.pong_within_s * 5)
    with following(stream_of(client.url), desk, key="KEY", secret="SECRET", timing=timing):
        until(lambda: desk.told)
        threading.Event().wait(1.2)
        [connection] = control.get("streams")["connections"]
        assert connection["topics"].keys() == {"order", "execution", "position", "wallet"}
    assert desk.told == [SUBSCRIBED]


def test_a_burst_comes_in_few_calls(client):
    desk = Ledger()
    with following(stream_of(client.url), desk, key="KEY", secret="SECRET"):
        until(lambda: desk.told)
        for _ in range(60):
            client.market("Buy", "0.001")
        until(lambda: len(desk.of("execution")) == 60)


def test_an_exchange_that_freezes_is_noticed_and_used_again_when_it_thaws():
    desk = Ledger()
    with (
        running_exchange("--price-interval-ms", "0") as (url, process),
        capture_logs() as logs,
        following(stream_of(url), desk, key="KEY", secret="SECRET"),
    ):
        until(lambda: desk.told == [SUBSCRIBED])
        process.send_signal(signal.SIGSTOP)
        until(lambda: any(line.get("error_type") == "PeerSilent" for line in logs))
        process.send_signal(signal.SIGCONT)
        until(lambda: desk.told == [SUBSCRIBED] * 2, seconds=8)
