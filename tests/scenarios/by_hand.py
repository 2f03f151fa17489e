"""What somebody does by hand on the house's account, beside its signals."""

import random
from collections.abc import Mapping
from decimal import Decimal

from tests.scenarios.house import House, wait_until
from tests.scenarios.signals import limit_signal, market_signal

FLEET = ("consumer", "lane", "maintenance", "beat", "stream", "web")
FROZEN = ("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0")
PRICES = {"BTCUSDT": "60000", "ETHUSDT": "3000", "SOLUSDT": "150"}
QUANTITIES = {"BTCUSDT": "0.01", "ETHUSDT": "0.2", "SOLUSDT": "4"}
FAULTS = ("duplicate", "delay", "reorder", "drop")


def settle_prices(house: House) -> None:
    """Pin every price, and wait until the stream is followed."""
    for symbol, price in PRICES.items():
        house.paper.set_price(symbol, price)
    wait_until(lambda: house.paper.listeners() == 1, what="the stream to be followed")


def dip(house: House, symbol: str, *, fill_ratio: str = "1") -> None:
    """The price falls by 1.7 % and comes back; buy orders that rest in between fill, by `fill_ratio`."""
    price = Decimal(PRICES[symbol])
    low = (price * Decimal("0.983")).quantize(Decimal("0.1"))
    house.paper.set_price(symbol, low, fill_ratio=fill_ratio)
    house.paper.set_price(symbol, price)


def rest_one_each(house: House, name: str) -> dict[str, str]:
    """A signal per symbol becomes a limit order half a percent below; symbol -> id at the exchange."""
    names = [f"{name}-{symbol}" for symbol in PRICES]
    for symbol, price in PRICES.items():
        house.publish(limit_signal(f"{name}-{symbol}", symbol, price=price, spread=str(Decimal(price) / 100)))
    ended = house.wait_for_end(*names)
    assert [row["state"] for row in ended] == ["executed"] * len(names), ended
    placed = house.rows(
        "SELECT symbol, exchange_order_id FROM orders WHERE signal_id = ANY(:names)", names=names
    )
    return {row["symbol"]: row["exchange_order_id"] for row in placed}


def trade_at_random(house: House, name: str, chance: random.Random) -> None:
    """Some signals, and by hand some orders, cancels, amendments and prices that fill."""
    trader = house.paper.trader()
    for symbol, price in PRICES.items():
        signal, side, base = f"{name}-{symbol}", chance.choice(["buy", "buy", "sell"]), Decimal(price)
        if chance.random() < 0.3:
            house.publish(limit_signal(signal, symbol, price=price, spread=str(base / 50), side=side))
        elif chance.random() < 0.3:
            house.publish(market_signal(signal, symbol, side=side))
        if chance.random() < 0.7:
            trader.limit("Buy", QUANTITIES[symbol], str(base * Decimal("0.99")), symbol=symbol)
        if chance.random() < 0.2:
            trader.market("Buy", QUANTITIES[symbol], symbol=symbol)
        if chance.random() < 0.2:  # refused where nothing is held
            trader.create(
                side="Sell", orderType="Market", qty=QUANTITIES[symbol], symbol=symbol, reduceOnly=True
            )
    for order in house.paper.orders():
        if order["status"] in ("New", "PartiallyFilled"):
            _meddle(house, order, chance)
    for symbol in PRICES:
        if chance.random() < 0.5:
            dip(house, symbol, fill_ratio=chance.choice(["0.3", "1"]))


def _meddle(house: House, order: Mapping[str, str], chance: random.Random) -> None:
    trader, dice = house.paper.trader(), chance.random()
    if dice < 0.2:
        trader.cancel(order["order_id"], symbol=order["symbol"])
    elif dice < 0.3:
        double = str(Decimal(order["qty"]) * 2)
        trader.post(
            "/v5/order/amend",
            category="linear",
            symbol=order["symbol"],
            orderId=order["order_id"],
            qty=double,
        )
