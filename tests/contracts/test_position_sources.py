"""The risk checks say the same of what is held whoever tells it: our own books or a Position Manager.

Each test holds something, in one of the two, and sends a signal through the services to the database.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal as D
from typing import Any

import pytest

from order_manager.domain.orders import Side
from order_manager.domain.signals import Signal
from order_manager.embedded import free_port
from order_manager.partners.position_manager import PositionManager
from order_manager.services.view_positions import PositionViews
from tests.partners.pretend import KEY, PretendPositionManager, pretending
from tests.services.conftest import Room, ledger, module_ledger, room

__all__ = ["ledger", "module_ledger", "room"]


@dataclass
class Books:
    """Who knows what is held."""

    room: Room
    pretend: PretendPositionManager | None

    def hold(self, symbol: str, size: str, price: int = 50000) -> None:
        if self.pretend is None:
            self.room.ledger.execute(
                "INSERT INTO positions (asset, mode, size, average_price, mark_price, updated_at)"
                " VALUES (:symbol, 'one_way', :size, :price, :price, now() - interval '1 minute')",
                symbol=symbol,
                size=D(size),
                price=price,
            )
        else:
            self.pretend.hold(symbol, size, price)
            self.pretend.exposure = str(D(self.pretend.exposure) + abs(D(size)) * price)

    def send(self, **changes: Any) -> tuple[str, str | None]:
        """What became of a signal: its state and its code."""
        signal: Signal = self.room.ledger.receive(**changes)
        self.room.work()
        return self.room.state(signal)

    def inputs(self) -> dict[str, Any]:
        return dict(self.room.ledger.row("SELECT decision FROM trading_signals")["decision"]["inputs"])


@pytest.fixture(params=["order_manager", "position_manager"])
def books(request: pytest.FixtureRequest, room: Room) -> Iterator[Books]:
    room.rules(max_exposure=D(50000), max_order_size_ratio=D(1))
    if request.param == "order_manager":
        yield Books(room, None)
        return
    with pretending(free_port()) as pretend:
        manager = PositionManager(pretend.url, api_key=KEY)
        view: Callable[..., Any] = PositionViews(manager=manager, may_fall_back=False, now=room.clock)
        room.desk = replace(room.desk, view=view)
        yield Books(room, pretend)


SELL: dict[str, Any] = {"side": Side.SELL}


def test_a_position_may_grow_up_to_its_limit(books):
    books.hold("BTCUSDT", "0.5")
    books.room.rules(max_position_size=D("0.52"), max_exposure=D(10**9))
    assert books.send(signal_id="fits", notional=1000) == ("executed", None)


def test_a_position_beyond_its_limit_is_refused(books):
    books.hold("BTCUSDT", "0.5")
    books.room.rules(max_position_size=D("0.519"), max_exposure=D(10**9))
    assert books.send(notional=1000) == ("rejected", "max_position_size")


def test_exposure_counts_every_symbol(books):
    books.hold("BTCUSDT", "0.1")
    books.hold("ETHUSDT", "-14", 3000)
    assert books.send(signal_id="too-much", notional=3100) == ("rejected", "max_exposure")
    assert books.send(signal_id="fits", notional=3000) == ("executed", None)


def test_our_open_orders_count_beside_what_is_held(books):
    books.hold("ETHUSDT", "14", 3000)
    books.room.ledger.add_order(
        symbol="SOLUSDT", quantity=D(50), price=D(100), client_order_id="other", signal_id="other"
    )
    assert books.send(signal_id="too-much", notional=3100) == ("rejected", "max_exposure")
    assert books.send(signal_id="fits", notional=3000) == ("executed", None)


def test_a_sell_reduces_what_is_held_and_no_more(books):
    books.hold("BTCUSDT", "0.01")
    assert books.send(**SELL, notional=5000) == ("executed", None)
    [order] = books.room.exchange.placed
    assert (order.quantity, order.reduce_only) == (D("0.01"), True)


def test_a_sell_of_nothing_is_a_short_and_refused(books):
    assert books.send(**SELL) == ("rejected", "short_not_allowed")


def test_a_buy_reduces_a_short(books):
    books.hold("BTCUSDT", "-0.01")
    assert books.send(notional=5000) == ("executed", None)
    [order] = books.room.exchange.placed
    assert (order.quantity, order.reduce_only) == (D("0.01"), True)


def test_the_decision_says_whose_numbers_it_used(books):
    books.hold("BTCUSDT", "0.1")
    books.send()
    inputs = books.inputs()
    assert inputs["position_source"] == ("position_manager" if books.pretend else "order_manager")
    assert inputs["position"] == {"long": "0.1", "short": "0"}
