"""Limits hold across the fleet: racing workers, trading states, dry run."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import House, wait_until
from tests.scenarios.signals import limit_signal, market_signal

PRICES = {"BTCUSDT": "50000", "ETHUSDT": "3000", "SOLUSDT": "150", "XRPUSDT": "0.5", "DOGEUSDT": "0.15"}
MAX_EXPOSURE = 10_400
FROZEN = ("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0")


@pytest.fixture(scope="module")
def house(house_on_redis: HouseMaker) -> Iterator[House]:
    with house_on_redis(
        workers=3,
        exchange_options=FROZEN,
        ORDERMANAGER_MAX_EXPOSURE=str(MAX_EXPOSURE),
        ORDERMANAGER_ALLOW_SHORT="true",
    ) as house:
        yield house


def exposures(entries: list[Mapping[str, Any]]) -> Iterator[Decimal]:
    """Quote, after each entry of the exchange's ledger: positions at the pinned price, and open orders."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    still_open: dict[str, tuple[Decimal, Decimal]] = {}
    for entry in entries:
        price = Decimal(PRICES[entry["symbol"]])
        order = entry["order_id"]
        if entry["kind"] == "order_created":
            still_open[order] = (Decimal(entry["qty"]), Decimal(entry["price"]) or price)
        elif entry["kind"] == "order_cancelled":
            still_open.pop(order, None)
        elif entry["kind"] == "fill":
            quantity = Decimal(entry["qty"])
            held[entry["symbol"]] += quantity if entry["side"] == "Buy" else -quantity
            left, at = still_open[order]
            still_open[order] = (left - quantity, at)
        yield sum(
            (abs(size) * Decimal(PRICES[symbol]) for symbol, size in held.items()),
            sum((left * at for left, at in still_open.values()), Decimal(0)),
        )


def test_racing_symbols_never_exceed_the_exposure_of_the_whole_account(house: House) -> None:
    signals = []
    for number in range(40):
        symbol = list(PRICES)[number % 5]
        name, price = f"race-{number:02d}", Decimal(PRICES[symbol])
        if number % 4 == 3:
            signals.append(
                limit_signal(name, symbol, price=f"{price * 995 / 1000:f}", spread=f"{price / 100:f}")
            )
        else:
            signals.append(market_signal(name, symbol))
    house.publish(*signals)
    rows = house.wait_for_end(*(signal["signal_id"] for signal in signals), timeout_s=40)

    happened = house.paper.ledger(kind="order_created,order_cancelled,fill")
    assert max(exposures(happened)) <= MAX_EXPOSURE
    executed = [row for row in rows if row["state"] == "executed"]
    assert len(executed) >= 10
    assert {row["code"] for row in rows if row["state"] != "executed"} == {"max_exposure"}
    sentence = next(row["reason"] for row in rows if row["code"] == "max_exposure")
    assert str(MAX_EXPOSURE) in sentence
    # Not by being timid: at the end another order of this size would have been too much.
    last = list(exposures(happened))[-1]
    assert last > MAX_EXPOSURE - 1100


def bought_symbol(house: House) -> str:
    """One that is held."""
    return str(house.rows("SELECT asset FROM positions WHERE size > 0 ORDER BY asset")[0]["asset"])


def test_a_halted_account_trades_nothing_and_a_reducing_one_only_gets_out(house: House) -> None:
    def set_account(mode: str) -> None:
        house.execute("UPDATE account_state SET mode = :mode", mode=mode)

    held = bought_symbol(house)
    set_account("halted")
    house.publish(market_signal("halted", held, side="sell", amount=100))
    (halted,) = house.wait_for_end("halted")
    set_account("reducing")
    house.publish(market_signal("more", held, amount=100))
    house.publish(market_signal("less", held, side="sell", amount=100))
    more, less = house.wait_for_end("more", "less")
    set_account("active")

    assert (halted["state"], halted["code"]) == ("rejected", "trading_halted")
    assert (more["state"], more["code"]) == ("rejected", "trading_reducing")
    assert less["state"] == "executed", less["reason"]
    assert house.rows("SELECT reduce_only FROM orders WHERE signal_id = 'less'") == [{"reduce_only": True}]


def test_a_halted_symbol_leaves_the_others_alone(house: House) -> None:
    house.execute("UPDATE lanes SET mode = 'halted' WHERE symbol = 'ETHUSDT'")
    house.publish(
        market_signal("eth", "ETHUSDT", side="sell", amount=100),
        market_signal("sol", "SOLUSDT", side="sell", amount=100),
    )
    eth, sol = house.wait_for_end("eth", "sol")
    house.execute("UPDATE lanes SET mode = 'active'")

    assert (eth["state"], eth["code"]) == ("rejected", "trading_halted")
    assert sol["state"] == "executed"


def test_a_symbol_that_stops_trading_is_rejected_by_name(house: House) -> None:
    house.paper.list_instrument("XRPUSDT", status="Closed")
    house.call("refresh_instruments")
    wait_until(
        lambda: house.count("instruments WHERE symbol = 'XRPUSDT' AND NOT is_trading") == 1,
        what="the new rules",
        timeout_s=10,
    )


def test_whoever_sits_on_the_account_row_delays_decisions_and_breaks_nothing(house: House) -> None:
    """A session that sits on the account row (a frozen worker, a person) delays; it breaks nothing."""
    with house.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT * FROM account_state FOR UPDATE")
        house.publish(market_signal("patient", "SOLUSDT", side="sell", amount=50))
        wait_until(
            lambda: (
                house.count("pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%account%'") > 0
            ),
            what="a worker to wait for the row",
        )
        connection.exec_driver_sql("ROLLBACK")
    (row,) = house.wait_for_end("patient", timeout_s=10)
    assert row["state"] == "executed"
