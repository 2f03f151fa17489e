"""Receiving what the exchange tells: kept for its lane, or set aside with its reason."""

import json
from decimal import Decimal as D
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.bybit import wire, wire_account
from order_manager.bybit.wire_account import BalanceRule
from order_manager.database.updates import UpdateStore
from order_manager.domain.orders import Category
from order_manager.services.receive_updates import UpdateReceiver
from tests.builders import at

LINEAR = Category.LINEAR


class Hall:
    """A receiver on a real database, and whom it called."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.woken: list[str] = []
        self.opened: list[str] = []
        self.compared = 0
        self.receiver = UpdateReceiver(
            store=UpdateStore(ledger.engine),
            dead_letters=ledger.inbox,
            readers={
                "order": partial(wire.order_report, category=LINEAR),
                "execution": partial(wire.execution, category=LINEAR),
                "position": partial(wire_account.position_report, category=LINEAR),
            },
            read_balance=partial(wire_account.available_balance, rule=BalanceRule.ACCOUNT, coin="USDT"),
            category="linear",
            wake=self.woken.append,
            open_symbol=self.opened.append,
            reconcile=self.compare,
        )

    def compare(self) -> None:
        self.compared += 1

    def receive(self, topic: str, *rows: Any, seconds: float = 0) -> None:
        self.receiver.receive({topic: rows}, source="stream", received_at=at(seconds))

    def kept(self) -> list[tuple[str, str]]:
        rows = self.ledger.rows("SELECT symbol, kind FROM exchange_updates ORDER BY id")
        return [(row["symbol"], row["kind"]) for row in rows]

    def to_be_compared(self) -> list[str]:
        query = "SELECT symbol FROM lanes WHERE reconcile_requested_at IS NOT NULL ORDER BY symbol"
        return [row["symbol"] for row in self.ledger.rows(query)]


@pytest.fixture
def hall(ledger) -> Hall:
    ledger.open("BTCUSDT", "ETHUSDT")
    return Hall(ledger)


def an_order(**changes):
    order = {
        "orderId": "x-1",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "orderStatus": "New",
        "qty": "0.1",
        "createdTime": "1700000000000",
        "updatedTime": "1700000000000",
    }
    return order | changes


FILL = {
    "execId": "e-1",
    "orderId": "x-1",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "execQty": "1",
    "execPrice": "2",
}
FILL |= {"execTime": "1700000000000"}
LEG = {"symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "1", "entryPrice": "2"}


def test_what_is_told_is_kept_and_its_lanes_are_woken_once(hall):
    hall.receive("order", an_order(), an_order(symbol="ETHUSDT"), an_order())
    assert hall.kept() == [("BTCUSDT", "order"), ("ETHUSDT", "order"), ("BTCUSDT", "order")]
    hall.receive("execution", FILL)
    hall.receive("position", LEG)
    assert hall.kept()[3:] == [("BTCUSDT", "execution"), ("BTCUSDT", "position")]
    assert (hall.woken, hall.opened) == (["BTCUSDT", "ETHUSDT"], [])


def test_what_is_told_together_is_stored_in_one_go(hall):
    hall.receiver.receive(
        {"order": [an_order()], "execution": [FILL], "position": [LEG]}, source="stream", received_at=at(0)
    )
    assert hall.kept() == [("BTCUSDT", "order"), ("BTCUSDT", "execution"), ("BTCUSDT", "position")]
    moments = hall.ledger.rows("SELECT DISTINCT xmin::text FROM exchange_updates")
    assert len(moments) == 1
    assert hall.woken == ["BTCUSDT"]


def test_a_symbol_without_a_lane_is_opened_and_woken_once_it_has_one(hall):
    hall.receive("order", an_order(symbol="XRPUSDT"))
    assert (hall.woken, hall.opened) == ([], ["XRPUSDT"])
    hall.ledger.open("XRPUSDT")
    hall.ledger.inbox.discard_updates("XRPUSDT")
    hall.receive("order", an_order(symbol="XRPUSDT"))
    assert (hall.woken, hall.opened) == (["XRPUSDT"], ["XRPUSDT"])


def test_another_categorys_namesake_is_not_ours(hall):
    hall.receive("order", an_order(category="spot"), an_order(category="linear"), an_order())
    assert len(hall.kept()) == 2
    hall.receive("order", an_order(category="option", orderStatus="Odd"))
    hall.receive("order")
    assert hall.ledger.rows("SELECT 1 FROM dead_letters") == []


def test_what_cannot_be_read_is_kept_whole_and_its_symbol_compared_with_the_exchange(hall):
    bad = an_order(orderStatus="Odd", qty=D("0.10"), symbol="ETHUSDT")
    hall.receive("order", an_order(), bad, an_order())
    assert len(hall.kept()) == 2
    letter = hall.ledger.row("SELECT * FROM dead_letters")
    assert (letter["queue"], letter["code"], letter["field"]) == (
        "stream.order",
        "unreadable_update",
        "orderStatus",
    )
    assert json.loads(bytes(letter["body"])) == bad | {"qty": "0.10"}
    assert hall.to_be_compared() == ["ETHUSDT"]
    assert hall.woken == ["ETHUSDT", "BTCUSDT"]


@pytest.mark.parametrize("changes", [{"symbol": "XRPUSDT"}, {"symbol": None}, {"symbol": 7}])
def test_what_cannot_be_read_of_no_lane_of_ours_is_kept_all_the_same(hall, changes):
    hall.receive("order", an_order(orderStatus="Odd", **changes))
    assert len(hall.ledger.rows("SELECT 1 FROM dead_letters")) == 1
    assert (hall.woken, hall.to_be_compared()) == ([], [])


def test_what_cannot_be_stored_is_raised_and_leaves_nothing_half(hall):
    too_long = an_order(symbol="X" * 41)
    with pytest.raises(Exception, match="too long"):
        hall.receive("order", an_order(), too_long)
    assert (hall.kept(), hall.woken, hall.opened) == ([], [], [])


def test_a_broker_that_is_away_is_raised_and_what_is_stored_wakes_nobody_twice(hall):
    """It comes again, or the sweep finds what waits."""

    def away(symbol: str) -> None:
        raise ConnectionError("the broker is away")

    hall.receiver._wake = away
    with pytest.raises(ConnectionError):
        hall.receive("order", an_order())
    assert hall.kept() == [("BTCUSDT", "order")]
    assert hall.ledger.inbox.forgotten(older_than_s=1.0) == [("BTCUSDT", True)]


def test_a_gap_has_every_lane_compared_and_unknown_symbols_looked_for(hall):
    with capture_logs() as logs:
        hall.receiver.gap("reconnected")
    assert hall.to_be_compared() == ["BTCUSDT", "ETHUSDT"]
    assert (sorted(hall.woken), hall.compared) == (["BTCUSDT", "ETHUSDT"], 1)
    assert [line["reason"] for line in logs if line["event"] == "reconciliation_requested"] == ["reconnected"]


# The wallet


def balance(hall):
    return hall.ledger.row("SELECT available_balance FROM account_state")["available_balance"]


def test_the_wallets_last_word_is_the_balance(hall):
    hall.receive("wallet", {"totalAvailableBalance": "5"}, {"totalAvailableBalance": "7.5"})
    assert balance(hall) == D("7.5")
    assert hall.kept() == []


def test_the_wallet_is_read_once_a_second(hall):
    for seconds, amount in [(0, "1"), (0.9, "2"), (-5, "3"), (1.0, "4"), (1.5, "5")]:
        hall.receive("wallet", {"totalAvailableBalance": amount}, seconds=seconds)
        assert balance(hall) == (1 if seconds < 1 else 4)
    hall.receive("wallet", seconds=9)


def test_a_wallet_that_cannot_be_read_is_logged_and_the_next_is_read_at_once(hall):
    with capture_logs() as logs:
        hall.receive("wallet", {"totalAvailableBalance": "much"})
    assert [line["event"] for line in logs] == ["wallet_unreadable"]
    hall.receive("wallet", {"totalAvailableBalance": "7"}, seconds=0.1)
    assert balance(hall) == 7
