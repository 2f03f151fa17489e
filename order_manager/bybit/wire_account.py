"""Instruments, prices, balances, positions and the API key: Bybit's JSON in, our values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from order_manager.bybit.fields import (
    Row,
    UnknownWireValue,
    from_ms,
    named,
    number,
    optional_number,
    optional_price,
    optional_text,
    text,
)
from order_manager.domain.exchange import PositionReport
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import ZERO, Category
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.domain.state import Market

_SIGNS = {"Buy": 1, "Sell": -1}


class BalanceRule(StrEnum):
    """Which number of the wallet an order may spend."""

    ACCOUNT = "account"  # cross margin: totalAvailableBalance, in USD
    COIN_SPENDABLE = "coin_spendable"  # spot: walletBalance - locked
    COIN_ISOLATED = "coin_isolated"  # isolated: walletBalance less margins, locked and bonus


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What our API key may do."""

    is_read_only: bool
    permissions: Mapping[str, tuple[str, ...]]  # product -> what
    ips: tuple[str, ...]  # ("*",) or empty: not bound
    expires_at: str  # as the exchange writes it; "" for never

    @property
    def can_trade(self) -> bool:
        """True if orders can be placed with it."""
        granted = {name for names in self.permissions.values() for name in names}
        return not self.is_read_only and bool(granted & {"Order", "SpotTrade"})


def instrument(row: Row, *, category: Category) -> Instrument:
    lots, prices = _section(row, "lotSizeFilter"), _section(row, "priceFilter")
    symbol, base, quote = text(row, "symbol"), text(row, "baseCoin"), text(row, "quoteCoin")
    tick_size = _step(prices, "tickSize")
    is_trading = row.get("status") == "Trading"
    if category is Category.SPOT:
        return Instrument(
            symbol=symbol,
            category=category,
            base_coin=base,
            quote_coin=quote,
            tick_size=tick_size,
            lot_size=_step(lots, "basePrecision"),
            min_quantity=ZERO,  # minOrderQty is deprecated: the exchange says not to check it
            min_notional=optional_number(lots, "minOrderAmt") or ZERO,
            max_limit_quantity=_maximum(lots, "maxLimitOrderQty", "maxOrderQty"),
            max_market_quantity=_maximum(lots, "maxMarketOrderQty", "maxOrderQty"),
            is_trading=is_trading,
        )
    return Instrument(
        symbol=symbol,
        category=category,
        base_coin=base,
        quote_coin=quote,
        tick_size=tick_size,
        lot_size=_step(lots, "qtyStep"),
        min_quantity=number(lots, "minOrderQty"),
        min_notional=optional_number(lots, "minNotionalValue") or ZERO,
        max_limit_quantity=_maximum(lots, "maxOrderQty"),
        max_market_quantity=_maximum(lots, "maxMktOrderQty", "maxOrderQty"),
        min_price=optional_price(prices, "minPrice"),
        max_price=optional_price(prices, "maxPrice"),
        is_trading=is_trading,
    )


def market(row: Row, *, at: datetime) -> Market:
    """Prices at `at`. An empty side of the book shows the last price; spot has no mark, and shows it too."""
    last = number(row, "lastPrice")
    return Market(
        symbol=text(row, "symbol"),
        bid=optional_price(row, "bid1Price") or last,
        ask=optional_price(row, "ask1Price") or last,
        last=last,
        mark=optional_price(row, "markPrice") or last,
        at=at,
    )


def available_balance(account: Row, *, rule: BalanceRule, coin: str) -> Decimal:
    """What a new order may spend, in `coin` (in USD by the ACCOUNT rule); never below zero.

    In isolated margin the account's total is empty and the coin's own rule is used.
    """
    if rule is BalanceRule.ACCOUNT:
        total = optional_number(account, "totalAvailableBalance")
        if total is not None:
            return max(total, ZERO)
        rule = BalanceRule.COIN_ISOLATED
    rows = account.get("coin")
    if not isinstance(rows, list):
        raise UnknownWireValue("coin", rows, account)
    row = next((row for row in rows if row.get("coin") == coin), None)
    if row is None:
        return ZERO  # only coins that we hold are listed
    taken = ["locked"]
    if rule is BalanceRule.COIN_ISOLATED:
        taken += ["totalPositionIM", "totalOrderIM", "bonus"]
    held = number(row, "walletBalance")
    return max(held - sum((optional_number(row, name) or ZERO for name in taken), ZERO), ZERO)


def position(symbol: str, rows: Iterable[Row]) -> Position:
    """The sizes and entry prices of a symbol's rows; realized PnL and fees are our own book's."""
    legs: dict[int, Leg] = {}
    for row in rows:
        leg = position_report({"symbol": symbol, **row}, category=Category.LINEAR)
        legs[leg.position_idx] = Leg(size=leg.size, average_price=leg.average_price)
    mode = PositionMode.HEDGE if 1 in legs or 2 in legs else PositionMode.ONE_WAY
    return Position(
        symbol=symbol,
        mode=mode,
        net=legs.get(0, Leg()),
        long=legs.get(1, Leg()),
        short=legs.get(2, Leg()),
    )


def coin_balance(account: Row, coin: str) -> Decimal:
    """What the wallet holds of a coin; only coins that we hold are listed."""
    rows = account.get("coin")
    if not isinstance(rows, list):
        raise UnknownWireValue("coin", rows, account)
    return sum((number(row, "walletBalance") for row in rows if row.get("coin") == coin), ZERO)


def position_report(row: Row, *, category: Category | None = None) -> PositionReport:
    """One leg, of REST or of the stream (which calls the average entryPrice)."""
    idx = row.get("positionIdx")
    if idx not in (0, 1, 2):
        raise UnknownWireValue("positionIdx", idx, row)
    size = optional_number(row, "size") or ZERO
    return PositionReport(
        symbol=text(row, "symbol"),
        category=category or named(row, "category", {one.value: one for one in Category}),
        position_idx=int(idx),
        size=size * named(row, "side", _SIGNS) if size else ZERO,
        average_price=optional_price(row, "avgPrice") or optional_price(row, "entryPrice") if size else None,
        mark_price=optional_price(row, "markPrice"),
    )


def key_info(result: Row) -> KeyInfo:
    permissions, ips = result.get("permissions"), result.get("ips")
    return KeyInfo(
        is_read_only=result.get("readOnly") in (1, "1", True),
        permissions={name: tuple(names or ()) for name, names in permissions.items()}
        if isinstance(permissions, dict)
        else {},
        ips=tuple(ips) if isinstance(ips, list) else (),
        expires_at=optional_text(result, "expiredAt"),
    )


def server_time(result: Row, time_ms: int) -> datetime:
    """The exchange's clock, from market/time."""
    nanos = optional_number(result, "timeNano")
    return from_ms(int(nanos) // 1_000_000 if nanos else time_ms)


def _section(row: Row, name: str) -> Mapping[str, Any]:
    section = row.get(name)
    if not isinstance(section, dict):
        raise UnknownWireValue(name, section, row)
    return section


def _step(row: Row, name: str) -> Decimal:
    step = number(row, name)
    if step <= 0:
        raise UnknownWireValue(name, row.get(name), row)
    return step


def _maximum(row: Row, *names: str) -> Decimal:
    """The first of `names` that is there."""
    for name in names:
        value = optional_price(row, name)
        if value is not None:
            return value
    raise UnknownWireValue(names[0], row.get(names[0]), row)
