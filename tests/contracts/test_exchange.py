"""The fake exchange and the real client against the paper exchange: what the services rely on is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import count
from typing import Any, Protocol

import pytest
import requests

from order_manager.bybit.client import BybitClient
from order_manager.bybit.transport import Transport
from order_manager.domain.orders import Category, OrderReport, OrderRequest, OrderStatus, OrderType, Side
from order_manager.domain.orders import TimeInForce as Tif
from order_manager.domain.positions import Position, PositionMode
from order_manager.errors import (
    InsufficientBalance,
    LaneLost,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from order_manager.services.ports import Exchange
from tests.fakes import FakeExchange

TOKEN, KEY, SECRET = "control", "contract-key-1", "contract-secret-1"
CREATE = "/v5/order/create"
numbers = count(1)


class Stage(Protocol):
    """An exchange with BTCUSDT at 50000 and nothing else on it, and what its operator can do."""

    exchange: Exchange

    def lose_the_next_create(self, *, applied: bool) -> None: ...

    def be_away(self) -> None: ...

    def move_price(self, price: str) -> None: ...


@dataclass
class FakeStage:
    exchange: FakeExchange

    def lose_the_next_create(self, *, applied: bool) -> None:
        self.exchange.trouble("place_order", OutcomeUnknown("lost"), applied=applied)

    def be_away(self) -> None:
        self.exchange.trouble("place_order", Unavailable("away"), times=9)

    def move_price(self, price: str) -> None:
        self.exchange.move_price("BTCUSDT", bid=price, ask=price)
        for order in self.exchange.open_orders("BTCUSDT"):
            assert order.price is not None
            if (D(price) - order.price) * order.side.sign <= 0:
                remaining = order.quantity - order.filled_quantity
                self.exchange.fill(order.client_order_id, remaining)


@dataclass
class PaperStage:
    exchange: BybitClient
    url: str

    def control(self, path: str, **params: Any) -> None:
        headers = {"X-Control-Token": TOKEN}
        answer = requests.post(f"{self.url}/control/{path}", json=params, headers=headers, timeout=5)
        assert answer.ok, answer.text

    def lose_the_next_create(self, *, applied: bool) -> None:
        self.control("faults", endpoint=CREATE, kind="lost_answer" if applied else "lost_request")

    def be_away(self) -> None:
        self.exchange = a_client("http://127.0.0.1:1")

    def move_price(self, price: str) -> None:
        self.control("price", category="linear", symbol="BTCUSDT", price=price, pin=True)


def a_client(url: str) -> BybitClient:
    transport = Transport(url, api_key=KEY, api_secret=SECRET, read_timeout_s=2.0)
    return BybitClient(
        transport, category=Category.LINEAR, pause=lambda seconds: time.sleep(min(seconds, 1.1))
    )


@pytest.fixture(scope="module")
def paper_url() -> Iterator[str]:
    command = [sys.executable, "-m", "order_manager.paper", "--port", "0", "--control-token", TOKEN]
    command += ["--api-key", KEY, "--api-secret", SECRET, "--price-interval-ms", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("paper exchange on "), line
    yield line.split()[-1]
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    process.stdout.close()


@pytest.fixture(params=["fake", "paper"])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "fake":
        fake = FakeExchange(clock=lambda: datetime.now(UTC))
        fake.coins["USDT"] = fake.balance
        return FakeStage(fake)
    made = PaperStage(a_client(url := request.getfixturevalue("paper_url")), url)
    made.control("reset")
    made.move_price("50000")
    return made


def a_limit(**changes: Any) -> OrderRequest:
    request = OrderRequest(
        client_order_id=f"om-contract-{next(numbers)}",
        symbol="BTCUSDT",
        category=Category.LINEAR,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=Tif.GTC,
        quantity=D("0.010"),
        price=D("40000.0"),
    )
    return replace(request, **changes)


def a_market(**changes: Any) -> OrderRequest:
    return a_limit(order_type=OrderType.MARKET, time_in_force=Tif.IOC, price=None, **changes)


def now() -> datetime:
    return datetime.now(UTC)


def place(stage: Stage, request: OrderRequest) -> Any:
    return stage.exchange.place_order(request, sign_at=now)


def seen(stage: Stage, request: OrderRequest, status: OrderStatus) -> OrderReport:
    """The order's report once it has `status`: an acknowledgement is not a status."""
    for _ in range(200):
        report = stage.exchange.evidence("BTCUSDT", request.client_order_id).report
        if report is not None and report.status is status:
            return report
        time.sleep(0.02)
    raise AssertionError(report)


def test_a_resting_order_is_shown_as_it_was_asked_for(stage):
    request = a_limit()
    acceptance = place(stage, request)
    report = seen(stage, request, OrderStatus.PENDING)
    assert report.exchange_order_id == acceptance.exchange_order_id
    assert report.client_order_id == request.client_order_id
    assert (report.symbol, report.category, report.side) == ("BTCUSDT", Category.LINEAR, Side.BUY)
    assert (report.order_type, report.time_in_force) == (OrderType.LIMIT, Tif.GTC)
    assert (report.quantity, report.price) == (request.quantity, request.price)
    assert (report.filled_quantity, report.fees, report.reason) == (0, 0, None)
    assert not report.average_price
    assert (report.reduce_only, report.position_idx) == (False, 0)
    assert report.updated_at >= report.created_at
    assert [one.client_order_id for one in stage.exchange.open_orders("BTCUSDT")] == [request.client_order_id]


def test_a_market_order_fills_at_the_touch_with_a_fee(stage):
    request = a_market()
    place(stage, request)
    report = seen(stage, request, OrderStatus.FILLED)
    assert report.filled_quantity == D("0.010")
    assert report.average_price is not None
    assert abs(report.average_price - 50000) < 50
    assert report.fees > 0
    fills = stage.exchange.executions("BTCUSDT", request.client_order_id)
    assert sum(one.fill.quantity for one in fills) == report.filled_quantity
    assert sum(one.fill.fee for one in fills) == report.fees
    assert {one.client_order_id for one in fills} == {request.client_order_id}
    assert stage.exchange.open_orders("BTCUSDT") == ()


def test_a_post_only_order_that_would_take_is_cancelled_with_its_reason(stage):
    request = a_limit(time_in_force=Tif.POST_ONLY, price=D("51000.0"))
    place(stage, request)
    report = seen(stage, request, OrderStatus.CANCELLED)
    assert (report.reason, report.filled_quantity) == ("EC_PostOnlyWillTakeLiquidity", 0)


def test_a_resting_order_fills_when_the_price_comes_to_it(stage):
    request = a_limit(price=D("49000.0"))
    place(stage, request)
    seen(stage, request, OrderStatus.PENDING)
    stage.move_price("48900")
    report = seen(stage, request, OrderStatus.FILLED)
    assert report.average_price == 49000


def test_a_cancelled_order_is_cancelled_and_a_second_cancel_finds_nothing(stage):
    request = a_limit()
    place(stage, request)
    stage.exchange.cancel_order("BTCUSDT", request.client_order_id)
    assert seen(stage, request, OrderStatus.CANCELLED).reason == "CancelByUser"
    with pytest.raises(OrderNotFound):
        stage.exchange.cancel_order("BTCUSDT", request.client_order_id)
    with pytest.raises(OrderNotFound):
        stage.exchange.amend_order("BTCUSDT", request.client_order_id, quantity=None, price=D("41000.0"))
    with pytest.raises(OrderNotFound):
        stage.exchange.cancel_order("BTCUSDT", "never-placed")


def test_an_amendment_changes_what_it_names_and_a_later_moment(stage):
    request = a_limit()
    place(stage, request)
    before = seen(stage, request, OrderStatus.PENDING)
    stage.exchange.amend_order("BTCUSDT", request.client_order_id, quantity=D("0.020"), price=None)
    after = seen(stage, request, OrderStatus.PENDING)
    assert (after.quantity, after.price) == (D("0.020"), D("40000.0"))
    assert after.updated_at > before.updated_at
    assert after.exchange_order_id == before.exchange_order_id


def test_the_same_order_again_is_adopted_and_another_under_its_name_refused(stage):
    request = a_limit()
    first = place(stage, request)
    seen(stage, request, OrderStatus.PENDING)
    assert place(stage, request).exchange_order_id == first.exchange_order_id
    assert len(stage.exchange.open_orders("BTCUSDT")) == 1
    with pytest.raises(Refused):
        place(stage, replace(request, quantity=D("0.020")))


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_is_unknown_and_the_evidence_tells(stage, applied):
    stage.lose_the_next_create(applied=applied)
    request = a_limit()
    with pytest.raises(OutcomeUnknown):
        place(stage, request)
    if applied:
        seen(stage, request, OrderStatus.PENDING)
    else:
        assert stage.exchange.evidence("BTCUSDT", request.client_order_id).report is None


def test_evidence_says_when_it_was_asked(stage):
    before = now()
    evidence = stage.exchange.evidence("BTCUSDT", "never-placed")
    assert evidence.report is None
    assert before <= evidence.asked_at <= now()


def test_an_exchange_that_is_away_has_applied_nothing(stage):
    stage.be_away()
    with pytest.raises(Unavailable):
        place(stage, a_limit())


@pytest.mark.parametrize(
    ("request_of", "error"),
    [(lambda: a_limit(quantity=D("200.000")), Refused), (lambda: a_limit(quantity=D("0.00001")), Refused)],
    ids=["too much", "no whole lot"],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(stage, request_of, error):
    request = request_of()
    with pytest.raises(error):
        place(stage, request)
    assert stage.exchange.evidence("BTCUSDT", request.client_order_id).report is None


def test_an_order_beyond_the_balance_says_so(stage):
    with pytest.raises(InsufficientBalance):
        place(stage, a_limit(quantity=D("90.000")))


def test_a_signature_that_is_forbidden_sends_nothing(stage):
    def lost() -> datetime:
        raise LaneLost("gone")

    request = a_limit()
    with pytest.raises(LaneLost):
        stage.exchange.place_order(request, sign_at=lost)
    assert stage.exchange.evidence("BTCUSDT", request.client_order_id).report is None


def test_what_is_listed_and_its_prices(stage):
    instrument = stage.exchange.instrument("BTCUSDT")
    assert instrument is not None
    assert instrument.symbol == "BTCUSDT"
    assert (instrument.lot_size, instrument.tick_size) == (D("0.001"), D("0.1"))
    assert instrument.is_trading
    assert stage.exchange.instrument("NOPEUSDT") is None
    assert "BTCUSDT" in {one.symbol for one in stage.exchange.instruments()}
    market = stage.exchange.market("BTCUSDT")
    assert market.bid <= market.last <= market.ask
    assert abs((now() - market.at).total_seconds()) < 5


def held(stage: Stage, size: str) -> Position:
    """The position once it has `size`."""
    for _ in range(200):
        position = stage.exchange.position("BTCUSDT")
        if position is not None and position.net.size == D(size):
            return position
        time.sleep(0.02)
    raise AssertionError(position)


def test_the_position_is_what_was_bought_and_sold(stage):
    flat = stage.exchange.position("BTCUSDT")
    assert flat == Position(symbol="BTCUSDT", mode=PositionMode.ONE_WAY)
    place(stage, a_market(quantity=D("0.030")))
    position = held(stage, "0.030")
    assert position.mode is PositionMode.ONE_WAY
    assert position.net.average_price is not None
    assert abs(position.net.average_price - 50000) < 50
    place(stage, a_market(quantity=D("0.050"), side=Side.SELL))
    held(stage, "-0.020")
    place(stage, a_market(quantity=D("0.020")))
    assert held(stage, "0").net.average_price is None


def test_executions_since_a_moment_are_of_every_order_and_each_its_own(stage):
    began_at = now() - timedelta(seconds=5)
    requests = [a_market(), a_market(side=Side.SELL), a_limit()]
    for request in requests:
        place(stage, request)
    reports = [seen(stage, request, OrderStatus.FILLED) for request in requests[:2]]
    booked = stage.exchange.executions_since("BTCUSDT", began_at)
    assert {one.exchange_order_id for one in booked} == {report.exchange_order_id for report in reports}
    for report, request in zip(reports, requests, strict=False):
        mine = [one for one in booked if one.exchange_order_id == report.exchange_order_id]
        assert tuple(mine) == tuple(stage.exchange.executions("BTCUSDT", request.client_order_id))
        assert sum(one.fill.quantity for one in mine) == report.filled_quantity
        assert all(one.is_trade and one.executed_at >= began_at for one in mine)
    assert stage.exchange.executions_since("BTCUSDT", now() + timedelta(seconds=30)) == ()


def test_an_order_goes_by_the_exchanges_name_as_well(stage):
    request = a_limit()
    name = place(stage, request).exchange_order_id
    report = seen(stage, request, OrderStatus.PENDING)
    assert stage.exchange.evidence("BTCUSDT", "", exchange_order_id=name).report == report
    assert stage.exchange.executions("BTCUSDT", "", exchange_order_id=name) == ()
    stage.exchange.cancel_order("BTCUSDT", "", exchange_order_id=name)
    assert seen(stage, request, OrderStatus.CANCELLED).exchange_order_id == name
    with pytest.raises(OrderNotFound):
        stage.exchange.cancel_order("BTCUSDT", "", exchange_order_id=name)


def test_a_name_that_the_exchange_never_gave_has_no_order(stage):
    name = "11111111-2222-4333-8444-555555555555"
    assert stage.exchange.evidence("BTCUSDT", "", exchange_order_id=name).report is None
    assert stage.exchange.executions("BTCUSDT", "", exchange_order_id=name) == ()
    with pytest.raises(OrderNotFound):
        stage.exchange.cancel_order("BTCUSDT", "", exchange_order_id=name)


def test_a_symbol_is_in_use_while_an_order_is_open_or_a_position_held(stage):
    assert stage.exchange.symbols_in_use() == frozenset()
    request = a_limit()
    place(stage, request)
    seen(stage, request, OrderStatus.PENDING)
    assert stage.exchange.symbols_in_use() == {"BTCUSDT"}
    stage.exchange.cancel_order("BTCUSDT", request.client_order_id)
    seen(stage, request, OrderStatus.CANCELLED)
    assert stage.exchange.symbols_in_use() == frozenset()
    place(stage, a_market())
    held(stage, "0.010")
    assert stage.exchange.symbols_in_use() == {"BTCUSDT"}


def test_a_symbol_that_was_traded_is_named_after_all_is_over(stage):
    began = stage.exchange.market("BTCUSDT").at
    place(stage, a_market())
    held(stage, "0.010")
    place(stage, a_market(client_order_id="out", side=Side.SELL))
    held(stage, "0")
    assert stage.exchange.symbols_in_use() == frozenset()
    assert stage.exchange.symbols_in_use(began) == {"BTCUSDT"}


def test_the_wallet_tells_what_it_holds_of_a_coin(stage):
    assert stage.exchange.coin_balance("USDT") == 100_000
    place(stage, a_limit())  # and what an order locks is held
    assert stage.exchange.coin_balance("USDT") == 100_000
    assert stage.exchange.coin_balance("BTC") == 0


def test_the_account_has_a_balance_and_a_mode(stage):
    assert stage.exchange.available_balance() > 0
    assert stage.exchange.position_mode("BTCUSDT") is PositionMode.ONE_WAY
