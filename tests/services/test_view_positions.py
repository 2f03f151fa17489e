"""Decisions with a Position Manager that is there, that is away, and that lags behind."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal as D

import pytest
from structlog.testing import capture_logs

from order_manager.domain.orders import Side
from order_manager.embedded import free_port
from order_manager.partners import position_manager
from order_manager.partners.position_manager import PositionManager
from order_manager.services.view_positions import PositionViews
from tests.partners.pretend import KEY, PretendPositionManager, pretending


@pytest.fixture
def pretend() -> Iterator[PretendPositionManager]:
    with pretending(free_port()) as pretend:
        yield pretend


@pytest.fixture
def using(room, pretend, monkeypatch) -> Callable[..., None]:
    """Has the room's desk ask the pretend Position Manager."""
    monkeypatch.setattr(position_manager, "RETRY_S", 0.0)

    def use(fallback: str = "refuse", url: str = pretend.url) -> None:
        manager = PositionManager(url, api_key=KEY)
        view = PositionViews(manager=manager, may_fall_back=fallback == "own", now=room.clock)
        room.desk = replace(room.desk, view=view)

    return use


def own(room, size="0.5", *, minutes_ago=1):
    room.ledger.execute(
        "INSERT INTO positions (asset, mode, size, average_price, mark_price, updated_at)"
        " VALUES ('BTCUSDT', 'one_way', :size, 50000, 50000, now() - make_interval(mins => :minutes))",
        size=D(size),
        minutes=minutes_ago,
    )


def send(room, **changes):
    signal = room.ledger.receive(**changes)
    room.work()
    return room.state(signal)


def source(room, signal_id):
    return room.ledger.signal(signal_id)["decision"]["inputs"]["position_source"]


def test_it_is_asked_before_the_account_is_locked(room, pretend, using):
    using()
    seen = []

    def answer(path: str, real=pretend.answer):
        with room.ledger.engine.connect() as connection:
            locked = "SELECT 1 FROM account_state WHERE id = 1 FOR UPDATE NOWAIT"
            seen.append(connection.exec_driver_sql(locked).scalar())
        return real(path)

    pretend.answer = answer
    assert send(room) == ("executed", None)
    assert seen == [1, 1]


def test_without_one_nothing_is_asked(room, pretend):
    assert send(room) == ("executed", None)
    assert pretend.asked == []


@pytest.mark.parametrize("trouble", ["refused connection", "500", "unreadable"])
def test_while_it_is_away_what_adds_risk_is_refused_and_what_reduces_goes_on(room, pretend, using, trouble):
    using(url=f"http://127.0.0.1:{free_port()}" if trouble == "refused connection" else pretend.url)
    pretend.status = 500 if trouble == "500" else None
    pretend.raw = b"<html>" if trouble == "unreadable" else None
    own(room)
    pretend.hold("BTCUSDT", "0.5")
    with capture_logs() as logs:
        assert send(room, signal_id="buy") == ("rejected", "position_manager_unavailable")
        assert send(room, signal_id="sell", side=Side.SELL) == ("executed", None)
    assert source(room, "sell") == "unavailable"
    assert room.exchange.placed[0].reduce_only
    assert [line["event"] for line in logs].count("position_manager_lost") == 1
    event = room.ledger.row("SELECT body FROM order_events WHERE signal_id = 'buy'")["body"]
    assert event["rejection"]["code"] == "position_manager_unavailable"


def test_it_may_be_done_without(room, pretend, using):
    using("own")
    own(room)
    pretend.status = 503
    assert send(room, signal_id="buy") == ("executed", None)
    assert source(room, "buy") == "order_manager"
    room.rules(max_position_size=D("0.52"))
    assert send(room, signal_id="more") == ("rejected", "max_position_size")


def test_it_counts_again_when_it_is_back(room, pretend, using):
    using()
    pretend.status = 500
    assert send(room, signal_id="early") == ("rejected", "position_manager_unavailable")
    pretend.status = None
    with capture_logs() as logs:
        assert send(room, signal_id="late") == ("executed", None)
    assert [line["event"] for line in logs].count("position_manager_regained") == 1
    assert source(room, "late") == "position_manager"


def test_what_we_have_just_bought_can_be_sold_before_it_has_heard_of_it(room, pretend, using):
    using()
    assert send(room, signal_id="buy") == ("executed", None)
    assert send(room, signal_id="sell", side=Side.SELL) == ("executed", None)
    assert room.exchange.placed[1].reduce_only


def test_what_another_symbol_has_just_bought_counts_before_it_has_heard_of_it(room, pretend, using):
    using()
    room.rules(max_exposure=D(3000), max_order_size_ratio=D(1))
    room.ledger.execute(
        "INSERT INTO positions (asset, mode, size, average_price) VALUES ('ETHUSDT', 'one_way', 1, 2500)"
    )
    assert send(room) == ("rejected", "max_exposure")
