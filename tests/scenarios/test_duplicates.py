"""Once and no more: repeated signals, split ones, and orders that make way for others."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from order_manager.domain.identity import client_order_id
from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.signals import limit_signal, market_signal

CREATE, AMEND, CANCEL = "/v5/order/create", "/v5/order/amend", "/v5/order/cancel"
ALL_TELLING = {"created", "signal_rejected", "signal_failed"}


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    with house_on_redis(
        ORDERMANAGER_ORDER_EXECUTION_TIMEOUT="1.5",
        ORDERMANAGER_BYBIT_API_RETRY_BASE_DELAY="0.1",
        ORDERMANAGER_MAX_SINGLE_ORDER_SIZE="2000",
        ORDERMANAGER_ENABLE_ORDER_SPLITTING="true",
        ORDERMANAGER_ENABLE_ORDER_AMENDING="true",
        exchange_options=("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0"),
    ) as house:
        yield house


@pytest.fixture(autouse=True)
def no_faults_left(house: House) -> Iterator[None]:
    yield
    house.paper.clear_faults()


def told(house: House, signal_id: str) -> list[str]:
    """How the signal's outcomes were announced, in order."""
    rows = house.rows("SELECT event_type FROM order_events WHERE signal_id = :id ORDER BY id", id=signal_id)
    return [row["event_type"] for row in rows if row["event_type"] in ALL_TELLING]


def bought(house: House, symbol: str) -> Decimal:
    """Base quantity of all buys that the exchange took of a symbol."""
    mine = [row for row in house.paper.orders() if row["symbol"] == symbol and row["side"] == "Buy"]
    return sum((Decimal(row["cum_exec_qty"]) for row in mine), Decimal(0))


def pass_by(house: House, symbol: str) -> None:
    """Another signal of the symbol to its end: whatever came before it was looked at."""
    name = f"pass-by-{house.count('trading_signals')}"
    house.publish(market_signal(name, symbol, amount=100))
    house.wait_for_end(name)


def test_five_copies_at_once_and_one_after_execution_make_one_order(house: House) -> None:
    signal = market_signal("five", "BTCUSDT")
    house.publish(*[signal] * 5)
    house.wait_for_end("five")
    house.publish(signal)
    pass_by(house, "BTCUSDT")

    links = [row["link_id"] for row in house.paper.orders()]
    assert links[0] == client_order_id("five", attempt=1, slice_number=0)
    assert len(links) == 2
    assert told(house, "five") == ["created"]
    (row,) = house.rows("SELECT state, attempt FROM trading_signals WHERE signal_id = 'five'")
    assert (row["state"], row["attempt"]) == ("executed", 1)


def test_a_signal_that_was_rejected_by_rule_is_dropped_when_it_comes_again(house: House) -> None:
    signal = market_signal("short", "ETHUSDT", side="sell")
    house.publish(signal)
    (row,) = house.wait_for_end("short")
    house.publish(signal, signal)
    pass_by(house, "ETHUSDT")

    assert (row["state"], row["code"]) == ("rejected", "short_not_allowed")
    assert told(house, "short") == ["signal_rejected"]
    assert house.rows("SELECT attempt FROM trading_signals WHERE signal_id = 'short'")[0]["attempt"] == 1


def test_a_signal_that_failed_is_retried_as_a_new_attempt_and_then_dropped(house: House) -> None:
    house.paper.fault(CREATE, "ret_code", ret_code=10019, count=1000)
    signal = market_signal("late", "SOLUSDT")
    house.publish(signal)
    (row,) = house.wait_for_end("late")
    assert (row["state"], row["code"]) == ("failed", "execution_timeout")
    assert house.paper.order(client_order_id("late", attempt=1, slice_number=0)) is None
    house.paper.clear_faults()
    house.publish(signal)
    pass_by(house, "SOLUSDT")
    (row,) = house.wait_for_end("late")
    house.publish(signal)
    pass_by(house, "SOLUSDT")

    assert (row["state"], row["attempt"]) == ("executed", 2)
    links = {row["link_id"] for row in house.paper.orders() if row["symbol"] == "SOLUSDT"}
    assert client_order_id("late", attempt=2, slice_number=0) in links
    assert client_order_id("late", attempt=1, slice_number=0) not in links
    assert client_order_id("late", attempt=3, slice_number=0) not in links
    assert told(house, "late") == ["signal_failed", "created"]


def test_a_split_signal_of_which_a_slice_was_executed_is_not_executed_again(house: House) -> None:
    """Whatever the state is called: what was bought once may not be bought twice."""
    house.paper.fault(CREATE, "delay_answer", delay_ms=300)
    house.paper.fault(CREATE, "ret_code", ret_code=10019, count=1000)
    signal = market_signal("split", "XRPUSDT", amount=4000)  # two slices
    house.publish(signal)
    house.wait_for_end("split")
    house.paper.clear_faults()
    assert len([row for row in house.paper.orders() if row["symbol"] == "XRPUSDT"]) == 1
    house.publish(signal)
    house.publish(market_signal("behind", "XRPUSDT", amount=10))
    house.wait_for_end("split", "behind")

    assert bought(house, "XRPUSDT") <= Decimal(4010) / Decimal("0.49")  # 4000, and 10 for the one behind


def history(house: House, symbol: str) -> list[tuple[str, str]]:
    """What happened at the exchange on a symbol, as (what, link id)."""
    entries = house.paper.ledger(kind="order_created,order_amended,order_cancelled,fill")
    return [(entry["kind"], entry["link_id"]) for entry in entries if entry["symbol"] == symbol]


def fresh_symbol(house: House, name: str) -> str:
    """A symbol of this test alone, at 100."""
    symbol = f"{name}USDT"
    house.paper.list_instrument(symbol, max_qty="100000")
    house.paper.set_price(symbol, "100.00")
    return symbol


def link(signal_id: str, *, slice_number: int = 0) -> str:
    return client_order_id(signal_id, attempt=1, slice_number=slice_number)


def test_a_market_order_is_placed_after_the_resting_limit_was_cancelled(house: House) -> None:
    symbol = fresh_symbol(house, "MKT")
    house.publish(limit_signal("rest", symbol, price=99, spread=1), market_signal("now", symbol))
    house.wait_for_end("rest", "now")

    assert history(house, symbol) == [
        ("order_created", link("rest")),
        ("order_cancelled", link("rest")),
        ("order_created", link("now")),
        ("fill", link("now")),
    ]
    (row,) = house.rows("SELECT * FROM orders WHERE signal_id = 'rest'")
    assert row["status"] == "cancelled"
    assert house.count("signal_order_relationships WHERE signal_id = 'now' AND relation = 'cancelled'") == 1


def test_a_limit_order_is_amended_into_the_next_one_and_says_before_and_after(house: House) -> None:
    symbol = fresh_symbol(house, "AMD")
    house.publish(limit_signal("lower", symbol, price=95, spread=2, amount=940))
    house.publish(limit_signal("upper", symbol, price=97, spread=2, amount=960))
    house.wait_for_end("lower", "upper")

    assert history(house, symbol) == [("order_created", link("lower")), ("order_amended", link("lower"))]
    (event,) = house.rows(
        "SELECT e.body FROM order_events e WHERE e.event_type = 'modified' AND e.symbol = :symbol",
        symbol=symbol,
    )
    assert event["body"]["modification"] == {
        "before": {"quantity": "10", "price": "94"},
        "after": {"quantity": "10", "price": "96"},
    }
    (row,) = house.rows("SELECT amend_quantity, price FROM orders WHERE symbol = :symbol", symbol=symbol)
    assert (row["amend_quantity"], row["price"]) == (None, 96)


def test_a_partially_filled_order_is_left_alone_by_a_market_order(house: House) -> None:
    symbol = fresh_symbol(house, "PRT")
    house.publish(limit_signal("part", symbol, price=99, spread=2))
    house.wait_for_end("part")
    house.paper.set_price(symbol, "97.00", fill_ratio="0.5")
    house.publish(market_signal("beside", symbol))
    house.wait_for_end("beside")

    assert ("order_cancelled", link("part")) not in history(house, symbol)
    (row,) = house.rows("SELECT * FROM orders WHERE signal_id = 'part'")
    assert (row["status"], row["filled_quantity"] * 2) == ("partially_filled", row["quantity"])


def test_a_cancel_that_meets_a_fill_leaves_a_true_position_and_breaks_no_limit(house: House) -> None:
    symbol = fresh_symbol(house, "RCE")
    house.publish(limit_signal("caught", symbol, price=99, spread=2, amount=1960))  # 20 at 98
    house.wait_for_end("caught")
    house.paper.fault(CANCEL, "delay", delay_ms=400)
    house.publish(market_signal("turn", symbol, side="sell", amount=500))
    # The sell was decided while flat, or it would not cancel first; then the buy fills.
    wait_until(
        lambda: house.paper.faults_left() == 0 or house.signal("turn")["state"] == "rejected", what="it"
    )
    house.paper.set_price(symbol, "97.00")
    (row,) = house.wait_for_end("turn")
    house.reconcile()
    wait_until(
        lambda: house.count("positions WHERE asset = :symbol AND size > 0", symbol=symbol) == 1,
        what="the position",
    )

    legs = house.paper.control("GET", "positions")["positions"]
    (held,) = [Decimal(leg["size"]) for leg in legs if leg["symbol"] == symbol]
    (ours,) = house.rows("SELECT size FROM positions WHERE asset = :symbol", symbol=symbol)
    assert ours["size"] == held
    assert row["state"] in {"executed", "rejected"}
    assert held >= 0


def test_a_buy_that_fills_while_it_is_cancelled_counts_before_the_next_is_decided(house: House) -> None:
    symbol = fresh_symbol(house, "CNT")
    house.publish(limit_signal("filling", symbol, price=99, spread=2, amount=1960))
    house.wait_for_end("filling")
    house.paper.fault(CANCEL, "delay", delay_ms=500)
    house.publish(market_signal("next", symbol, amount=970))
    wait_until(lambda: house.paper.faults_left() == 0, what="the cancel", pause_s=0.01)
    house.paper.set_price(symbol, "97.00")
    house.wait_for_end("next")
    house.reconcile()

    def ours() -> list[Decimal]:
        rows = house.rows("SELECT size FROM positions WHERE asset = :symbol", symbol=symbol)
        return [row["size"] for row in rows]

    assert ("order_cancelled", link("filling")) not in history(house, symbol)
    wait_until(lambda: ours() == [bought(house, symbol)], what="both in the position", timeout_s=10)
    assert bought(house, symbol) > 29


def test_a_split_signal_places_slices_that_sum_to_the_whole(house: House) -> None:
    symbol = fresh_symbol(house, "SPL")
    house.publish(market_signal("whole", symbol, amount=5000))
    house.wait_for_end("whole")

    quantities = [Decimal(row["qty"]) for row in house.paper.orders() if row["symbol"] == symbol]
    assert len(quantities) == 3
    assert max(quantities) - min(quantities) <= Decimal("0.01")
    assert (
        sum(quantities)
        == house.rows("SELECT sum(quantity) AS n FROM orders WHERE symbol = :symbol", symbol=symbol)[0]["n"]
    )
    assert told(house, "whole") == ["created"] * 3


def test_after_a_refused_slice_the_rest_is_not_sent_and_the_signal_is_executed_with_the_first(
    house: House,
) -> None:
    symbol = fresh_symbol(house, "REF")
    house.paper.fault(CREATE, "delay_answer", delay_ms=10)
    house.paper.fault(CREATE, "ret_code", ret_code=110007, ret_msg="not enough")
    house.publish(market_signal("three", symbol, amount=5000))
    (row,) = house.wait_for_end("three")

    assert row["state"] == "executed"
    assert [order["link_id"] for order in house.paper.orders() if order["symbol"] == symbol] == [
        link("three")
    ]
    statuses = house.rows("SELECT status, reason FROM orders WHERE signal_id = 'three' ORDER BY slice")
    assert [order["status"] for order in statuses][1:] == ["rejected", "rejected"]
    assert "110007" in statuses[1]["reason"]
    assert "not sent" in statuses[2]["reason"]
    events = house.rows(
        "SELECT o.slice, e.event_type FROM order_events e JOIN orders o ON o.id = e.order_id"
        " WHERE o.signal_id = 'three' AND e.event_type IN ('created', 'rejected') ORDER BY e.id"
    )
    assert [(row["slice"], row["event_type"]) for row in events] == [
        (0, "created"), (1, "rejected"), (2, "rejected")
    ]  # fmt: skip


def test_a_post_only_order_that_would_cross_ends_cancelled_or_rejected_and_is_told(house: House) -> None:
    symbol = fresh_symbol(house, "CRS")
    house.publish(limit_signal("cross", symbol, price=101, spread="0.2"))
    (row,) = house.wait_for_end("cross")
    house.reconcile()
    wait_until(
        lambda: house.count("orders WHERE signal_id = 'cross' AND status IN ('cancelled', 'rejected')") == 1,
        what="the order to be known as ended",
    )
    (order,) = house.rows("SELECT * FROM orders WHERE signal_id = 'cross'")
    events = house.rows(
        "SELECT event_type FROM order_events WHERE order_id = :id ORDER BY id", id=order["id"]
    )
    assert [event["event_type"] for event in events][-1] == order["status"]
    assert order["reason"]
    assert row["state"] in {"executed", "rejected"}


def test_an_order_that_fills_right_after_it_was_amended_is_not_followed_by_another(house: House) -> None:
    symbol = fresh_symbol(house, "AFL")
    house.publish(limit_signal("far", symbol, price=91, spread=2))
    house.wait_for_end("far")
    # The amended order is filled before anybody can look at it again.
    house.paper.fault(AMEND, "delay_answer", delay_ms=1000)
    house.publish(limit_signal("near", symbol, price=96, spread=2))
    wait_until(lambda: history(house, symbol)[-1][0] == "order_amended", what="the amendment", pause_s=0.01)
    house.paper.set_price(symbol, "90.00")
    house.wait_for_end("near")

    assert history(house, symbol) == [
        ("order_created", link("far")),
        ("order_amended", link("far")),
        ("fill", link("far")),
    ]
    assert house.count("trading_signals WHERE signal_id = 'near' AND state = 'executed'") == 1


def test_an_amendment_that_its_sender_did_not_survive_is_not_followed_by_another_order(house: House) -> None:
    symbol = fresh_symbol(house, "AKL")
    house.publish(limit_signal("away", symbol, price=91, spread=2))
    house.wait_for_end("away")
    house.paper.fault(AMEND, "delay_answer", delay_ms=1500)
    house.publish(limit_signal("close", symbol, price=96, spread=2))
    wait_until(lambda: history(house, symbol)[-1][0] == "order_amended", what="the amendment", pause_s=0.01)
    for worker in ("lane-1", "lane-2"):
        house.kill(worker, child=True)
    house.paper.set_price(symbol, "90.00")
    house.wait_for_end("close")

    assert history(house, symbol) == [
        ("order_created", link("away")),
        ("order_amended", link("away")),
        ("fill", link("away")),
    ]
