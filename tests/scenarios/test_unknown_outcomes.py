"""Answers that never came: what was sent is found again, sent again, or waited for, and nothing twice."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from order_manager.domain.identity import client_order_id
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.judge import disagreements
from tests.scenarios.signals import limit_signal, market_signal

CREATE, REALTIME, CANCEL = "/v5/order/create", "/v5/order/realtime", "/v5/order/cancel"


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    with house_on_redis(
        ORDERMANAGER_EXCHANGE_TIMEOUT="1",
        ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY="0.1",
        ORDERMANAGER_CANCEL_OPPOSITE_ORDERS_ONLY="true",
    ) as house:
        house.publish(*(market_signal(f"open-{symbol}", symbol) for symbol in ("BTCUSDT", "ETHUSDT")))
        house.wait_for_end("open-BTCUSDT", "open-ETHUSDT")
        yield house


@pytest.fixture(autouse=True)
def no_faults_left(house: House) -> Iterator[None]:
    yield
    house.paper.clear_faults()


def created_events(house: House, link_id: str) -> int:
    return house.count(
        "order_events e JOIN orders o ON o.id = e.order_id"
        " WHERE o.client_order_id = :link AND e.event_type = 'created'",
        link=link_id,
    )


def attempts_for(house: House, link_id: str) -> list[dict[str, Any]]:
    return [entry for entry in house.paper.attempts(CREATE) if entry["body"]["orderLinkId"] == link_id]


def orders_for(house: House, link_id: str) -> list[dict[str, Any]]:
    return [row for row in house.paper.orders() if row["link_id"] == link_id]


def run(house: House, name: str, *, timeout_s: float = 20) -> str:
    """Send one market signal to its end; returns its link id."""
    house.publish(market_signal(name, "BTCUSDT"))
    (row,) = house.wait_for_end(name, timeout_s=timeout_s)
    assert row["state"] == "executed", row
    return client_order_id(name, attempt=1, slice_number=0)


ACCEPTED = [
    pytest.param("lost_answer", {}, id="the connection is closed"),
    pytest.param("ret_code_after", {"ret_code": 10016}, id="an internal error is answered"),
    pytest.param("ret_code_after", {"ret_code": 999999}, id="an unknown code is answered"),
    pytest.param("delay_answer", {"delay_ms": 1500}, id="the answer comes after the time-out"),
]
NOT_ACCEPTED = [
    pytest.param("lost_request", {}, id="the connection is closed"),
    pytest.param("html", {}, id="a page of HTML"),
    pytest.param("delay", {"delay_ms": 1500}, id="the request arrives after its receive window"),
]
REFUSED_FOR_NOW = [
    pytest.param("ret_code", {"ret_code": 10006}, id="10006"),
    pytest.param("http_429", {}, id="HTTP 429"),
]


@pytest.mark.parametrize(("kind", "options"), ACCEPTED)
def test_an_order_whose_answer_was_lost_is_adopted_and_announced_once(
    house: House, kind: str, options: dict[str, Any]
) -> None:
    house.paper.fault(CREATE, kind, **options)
    link = run(house, f"accepted-{kind}-{options}")

    assert len(orders_for(house, link)) == 1
    assert len(attempts_for(house, link)) == 1
    assert created_events(house, link) == 1
    (order,) = house.rows("SELECT * FROM orders WHERE client_order_id = :link", link=link)
    assert order["exchange_order_id"] == orders_for(house, link)[0]["order_id"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), NOT_ACCEPTED)
def test_an_order_that_never_arrived_is_sent_again_under_its_name_after_the_evidence_window(
    house: House, kind: str, options: dict[str, Any]
) -> None:
    house.paper.fault(CREATE, kind, **options)
    link = run(house, f"not-accepted-{kind}")

    assert len(orders_for(house, link)) == 1
    first, *_, last = attempts_for(house, link)
    assert len(attempts_for(house, link)) == 2
    assert last["time_ms"] - first["time_ms"] > 3000 - options.get("delay_ms", 0)  # window and margin
    assert created_events(house, link) == 1


@pytest.mark.parametrize(("kind", "options"), REFUSED_FOR_NOW)
def test_an_order_refused_for_too_many_requests_is_sent_again_at_once(
    house: House, kind: str, options: dict[str, Any]
) -> None:
    house.paper.fault(CREATE, kind, **options)
    link = run(house, f"refused-{kind}")

    assert len(orders_for(house, link)) == 1
    assert len(attempts_for(house, link)) == 2
    assert created_events(house, link) == 1


def test_a_resting_order_whose_answer_was_lost_ends_its_signal_at_once(house: House) -> None:
    house.paper.fault(CREATE, "lost_answer")
    house.publish(limit_signal("resting", "SOLUSDT", price=140, spread=2, amount=500))
    house.wait_for_end("resting")

    (row,) = house.rows("SELECT * FROM orders WHERE signal_id = 'resting'")
    assert (row["status"], len(orders_for(house, row["client_order_id"]))) == ("pending", 1)


def test_while_an_outcome_is_unknown_the_symbol_waits_and_the_others_go_on(house: House) -> None:
    # A lane is compared with the exchange before its first signal, so it has to have been opened before.
    house.publish(market_signal("earlier", "XRPUSDT"))
    house.wait_for_end("earlier")
    wait_until(
        lambda: house.count("lanes WHERE symbol = 'XRPUSDT' AND must_reconcile") == 0, what="the comparison"
    )
    house.paper.fault(CREATE, "lost_answer")
    house.paper.fault(REALTIME, "http_500", count=1000)
    house.publish(market_signal("doubt-1", "BTCUSDT"))
    wait_until(lambda: bool(house.rows("SELECT 1 FROM lanes WHERE retry_at IS NOT NULL")), what="a block")
    later = [market_signal(f"doubt-{number}", "BTCUSDT") for number in (2, 3, 4)]
    house.publish(*later, market_signal("elsewhere", "XRPUSDT"))

    # Another symbol is in doubt too as soon as it has to look at its open orders, so this one has none.
    wait_until(lambda: house.count("orders WHERE signal_id = 'elsewhere'") == 1, what="the other symbol")
    assert house.paper.order(client_order_id("elsewhere", attempt=1, slice_number=0)) is not None
    time.sleep(3.5)  # longer than the evidence window: a worse design would conclude something here
    states = house.rows("SELECT state FROM trading_signals WHERE signal_id LIKE 'doubt-%' ORDER BY seq")
    assert [row["state"] for row in states] == ["planned", "waiting", "waiting", "waiting"]

    house.paper.clear_faults()
    house.wait_for_end("doubt-1", "doubt-2", "doubt-3", "doubt-4")
    links = [client_order_id(f"doubt-{number}", attempt=1, slice_number=0) for number in (1, 2, 3, 4)]
    assert [row["link_id"] for row in house.paper.orders() if row["link_id"] in links] == links


def test_signals_that_arrive_while_the_exchange_is_down_are_executed_in_order_afterwards(
    house: House,
) -> None:
    names = [f"down-{symbol}-{number}" for number in range(4) for symbol in ("BTCUSDT", "ETHUSDT")]
    house.paper.stop()
    try:
        house.publish(*(market_signal(name, name.split("-")[1]) for name in names))
        wait_until(
            lambda: house.count("lanes WHERE retry_at IS NOT NULL") >= 2,
            what="both lanes to wait",
            timeout_s=15,
        )
        time.sleep(3)
        ended = "trading_signals WHERE signal_id LIKE 'down-%' AND state NOT IN ('waiting', 'planned')"
        assert house.count(ended) == 0
    finally:
        house.paper.start()

    rows = house.wait_for_end(*names, timeout_s=30)
    assert {row["state"] for row in rows} == {"executed"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        links = [client_order_id(name, attempt=1, slice_number=0) for name in names if symbol in name]
        assert [row["link_id"] for row in house.paper.orders() if row["link_id"] in links] == links


def test_a_cancel_whose_answer_was_lost_is_confirmed_before_the_new_order(house: House) -> None:
    house.paper.set_price("DOGEUSDT", "0.15")
    house.publish(limit_signal("rest", "DOGEUSDT", price="0.14", spread="0.001"))
    house.wait_for_end("rest")
    house.paper.fault(CANCEL, "lost_answer")
    house.publish(market_signal("after", "DOGEUSDT"))
    house.wait_for_end("after")

    old = client_order_id("rest", attempt=1, slice_number=0)
    new = client_order_id("after", attempt=1, slice_number=0)
    happened = [
        (entry["kind"], entry["link_id"])
        for entry in house.paper.ledger(kind="order_created,order_cancelled")
        if entry["symbol"] == "DOGEUSDT"
    ]
    assert happened == [("order_created", old), ("order_cancelled", old), ("order_created", new)]


def test_with_the_opposite_only_setting_a_limit_order_leaves_those_of_its_own_side(house: House) -> None:
    house.paper.set_price("ETHUSDT", "3000.00")
    house.publish(
        *(limit_signal(f"buy-{price}", "ETHUSDT", price=price, spread=30) for price in (2900, 2910))
    )
    house.wait_for_end("buy-2900", "buy-2910")
    mine = (
        "SELECT signal_id FROM orders WHERE symbol = 'ETHUSDT' AND status = 'pending' AND price IS NOT NULL"
    )
    assert {row["signal_id"] for row in house.rows(mine)} == {"buy-2900", "buy-2910"}
    house.publish(limit_signal("sell", "ETHUSDT", price=3100, spread=30, side="sell", amount=900))
    house.wait_for_end("sell")

    assert {row["signal_id"] for row in house.rows(mine)} == {"sell"}


def test_after_all_that_the_database_says_what_the_exchange_says(house: House) -> None:
    house.reconcile()
    wait_until(lambda: not disagreements(house), what="agreement", timeout_s=15, pause_s=0.3)
    assert disagreements(house) == []
    assert all(Decimal(row["fees"]) >= 0 for row in house.rows("SELECT fees FROM orders"))
