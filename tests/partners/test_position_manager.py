"""What the Position Manager is asked, how its answers are read, and what counts as none."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.domain.portfolio import Holding
from order_manager.domain.positions import PositionMode
from order_manager.embedded import free_port
from order_manager.errors import PositionManagerAway
from order_manager.partners import position_manager
from order_manager.partners.holdings import Unreadable, exposure_from, holding_from, holdings_from
from order_manager.partners.position_manager import PositionManager
from tests.partners.pretend import KEY, PretendPositionManager, pretending

PAGE = Path(__file__).parents[2] / "docs" / "position-manager.md"


@pytest.fixture
def pretend() -> Iterator[PretendPositionManager]:
    with pretending(free_port()) as pretend:
        yield pretend


@pytest.fixture
def client(pretend: PretendPositionManager, monkeypatch: pytest.MonkeyPatch) -> PositionManager:
    monkeypatch.setattr(position_manager, "TIMEOUT_S", (0.2, 0.2))
    monkeypatch.setattr(position_manager, "RETRY_S", 0.3)
    return PositionManager(pretend.url + "/", api_key=KEY)


def holding(**body: Any) -> Holding:
    return holding_from({"asset": "BTCUSDT", **body})


# Reading


def test_the_examples_of_the_page_are_understood():
    one_way, hedge, exposure = (
        json.loads(block, parse_float=D)
        for block in re.findall(r"```json\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    )
    short = holding_from(one_way)
    assert (short.long_size, short.short_size, short.short_average_price) == (0, D("0.25"), D(60000))
    assert (short.exposure, short.mark_price) == (D(14750), D(59000))
    assert (short.realized_pnl, short.unrealized_pnl, short.fees) == (D("12.5"), D(250), D("3.75"))
    assert short.updated_at.isoformat() == "2026-11-21T07:33:00+00:00"
    both = holding_from(hedge)
    assert (both.mode, both.long_size, both.short_size) == (PositionMode.HEDGE, D("2.5"), D(1))
    assert (both.long_average_price, both.short_average_price) == (D(3000), D("3100.5"))
    assert exposure_from(exposure) == D("22500.75")


@pytest.mark.parametrize(
    ("body", "sizes"),
    [
        ({"size": "0.5"}, ("0.5", "0")),
        ({"size": -2}, ("0", "2")),
        ({"size": "2", "side": "short"}, ("0", "2")),
        ({"size": "2", "side": "Sell"}, ("0", "2")),
        ({"size": "2", "side": "long"}, ("2", "0")),
        ({"size": 0}, ("0", "0")),
        ({"size": "1", "long_size": "3", "short_size": "2"}, ("3", "2")),
        ({"long_size": "3"}, ("3", "0")),
        ({"short_size": "-2"}, ("0", "2")),
    ],
)
def test_a_size_is_signed_or_by_side(body, sizes):
    found = holding(**body)
    assert (found.long_size, found.short_size) == (D(sizes[0]), D(sizes[1]))


def test_a_json_number_keeps_its_digits():
    body = json.loads('{"size": 0.10000000000000000001, "average_entry_price": 3}', parse_float=D)
    assert holding(**body).long_size == D("0.10000000000000000001")
    assert holding(**body).long_average_price == 3


def test_what_is_only_shown_may_be_odd():
    found = holding(size="1", mode="sideways", updated_at="yesterday", created_at=5, colour="red", fees="")
    assert (found.mode, found.updated_at, found.created_at, found.fees) == (None, None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "1",
        {},
        {"size": None},
        {"size": "a lot"},
        {"size": "NaN"},
        {"size": "Infinity"},
        {"size": "1e400000"},
        {"size": "1e-400000"},
        {"size": True},
        {"size": 0.5},  # a float has lost digits already
        {"size": ["1"]},
        {"size": "1", "exposure": "x"},
        {"size": "1", "asset": "ETHUSDT"},
        {"size": "1", "asset": ""},
    ],
    ids=repr,
)
def test_what_a_decision_needs_is_read_strictly(body):
    with pytest.raises(Unreadable):
        holding_from(body, "BTCUSDT")


def test_a_list_is_bare_or_named_and_comes_sorted():
    listed = [{"asset": "ETHUSDT", "size": "1"}, {"asset": "BTCUSDT", "size": "2"}]
    for body in (listed, {"positions": listed}):
        assert [one.symbol for one in holdings_from(body)] == ["BTCUSDT", "ETHUSDT"]
    for body in ({}, {"positions": {}}, "x", [{"size": "1"}]):
        with pytest.raises(Unreadable):
            holdings_from(body)
    for body in ({}, [], {"total_exposure": None}, {"total_exposure": "x"}):
        with pytest.raises(Unreadable):
            exposure_from(body)


@pytest.mark.parametrize(
    ("mode", "net", "long", "short"),
    [(PositionMode.ONE_WAY, D("1.5"), 0, 0), (PositionMode.HEDGE, 0, D(2), D("-0.5"))],
)
def test_a_holding_becomes_a_position_of_the_accounts_mode(mode, net, long, short):
    found = holding(long_size="2", long_average_price="100", short_size="0.5", short_average_price="120")
    position = found.as_position(mode)
    assert (position.net.size, position.long.size, position.short.size) == (net, long, short)
    assert (position.long_size, position.short_size) == ((net, 0) if net else (D(2), D("0.5")))
    if net:
        assert position.net.average_price == 100


# Asking


def test_it_is_asked_with_the_key_and_404_is_flat(client, pretend):
    pretend.hold("BTCUSDT", "0.5")
    pretend.exposure = 25000.5
    assert client.holding("BTCUSDT").long_size == D("0.5")
    assert client.find("ETHUSDT") is None
    assert client.holding("ETHUSDT") == Holding(symbol="ETHUSDT")
    assert [one.symbol for one in client.holdings()] == ["BTCUSDT"]
    assert client.total_exposure() == D("25000.5")
    assert pretend.keys == {KEY}
    assert client.find("A/../B?c") is None
    assert pretend.asked[-1] == "/api/v1/positions/A%2F..%2FB%3Fc"


@pytest.mark.parametrize("status", [301, 400, 401, 500, 503])
def test_any_other_status_is_no_answer(client, pretend, status):
    pretend.status = status
    with pytest.raises(PositionManagerAway, match=str(status)):
        client.holding("BTCUSDT")


def test_a_404_where_something_must_be_is_no_answer(client, pretend):
    pretend.status = 404
    for ask in (client.holdings, client.total_exposure):
        with pytest.raises(PositionManagerAway):
            ask()


@pytest.mark.parametrize("raw", [b"", b"<html>", b"\xff", b'{"size": NaN}', b"[" * 100_000, b"null"])
def test_what_cannot_be_read_is_no_answer(client, pretend, raw):
    pretend.raw, pretend.status = raw, 200
    with pytest.raises(PositionManagerAway, match="unreadable"):
        client.holding("BTCUSDT")


def test_a_connection_that_was_closed_meanwhile_is_tried_once_more(client, pretend):
    assert client.find("BTCUSDT") is None
    pretend.drop = 1
    assert client.find("BTCUSDT") is None
    pretend.drop = 2
    with pytest.raises(PositionManagerAway):
        client.find("BTCUSDT")


def test_who_does_not_answer_in_time_is_not_asked_again_at_once(client, pretend):
    pretend.delay_s = 0.5
    began = time.monotonic()
    with pytest.raises(PositionManagerAway):
        client.find("BTCUSDT")
    assert time.monotonic() - began < 0.4
    asked = len(pretend.asked)
    pretend.delay_s = 0
    with pytest.raises(PositionManagerAway, match=r"within the last 0\.3 s"):
        client.find("BTCUSDT")
    assert len(pretend.asked) == asked
    time.sleep(0.3)
    assert client.find("BTCUSDT") is None


def test_nobody_there_is_no_answer():
    with pytest.raises(PositionManagerAway):
        PositionManager(f"http://127.0.0.1:{free_port()}", api_key="").find("BTCUSDT")


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(client, pretend):
    def ask(times: int) -> None:
        for _ in range(times):
            with suppress(PositionManagerAway):
                client.find("BTCUSDT")

    with capture_logs() as logs:
        ask(2)
        pretend.status = 500
        ask(3)
        pretend.status = None
        ask(3)
        pretend.status = 500
        ask(1)
    assert [line["event"] for line in logs] == [
        "position_manager_lost",
        "position_manager_regained",
        "position_manager_lost",
    ]
