"""Values with good defaults, so that a test names only what it is about.

Every builder takes the fields of the value it builds; `an_order` takes those of its request
too. Texts and ints become Decimals where the default is one: `a_signal(notional="12.5")`.
"""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from order_manager.domain.exchange import Execution, PositionReport
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import (
    Category,
    Order,
    OrderEvent,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from order_manager.domain.positions import Fill, Leg, Position, PositionMode
from order_manager.domain.reconciling import TERMINAL_EVENTS
from order_manager.domain.signals import Signal
from order_manager.domain.state import Market, TradingMode, TradingRules, TradingState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
D = Decimal
V = TypeVar("V")


def at(seconds: float) -> datetime:
    """`seconds` after NOW."""
    return NOW + timedelta(seconds=seconds)


def _changed(value: V, changes: dict[str, Any]) -> V:
    """`value` with `changes`; a text or an int where a price or a quantity belongs becomes a Decimal."""
    money = {f.name for f in fields(value) if "Decimal" in str(f.type)}  # type: ignore[arg-type]
    exact = {
        name: Decimal(new) if name in money and isinstance(new, str | int) else new
        for name, new in changes.items()
    }
    return replace(value, **exact)  # type: ignore[type-var]


def a_signal(**changes: Any) -> Signal:
    """Buy BTCUSDT for 1000 USDT at 50000, spread 1.5: a market order by the default rules."""
    signal = Signal(
        signal_id="5f0c9d3e-8c53-4a0e-9d43-0f8f7a1c2b3d",
        side=Side.BUY,
        symbol="BTCUSDT",
        notional=D(1000),
        confidence=D("0.5"),
        is_urgent=False,
        snapshot_price=D(50000),
        snapshot_spread=D("1.5"),
        timestamp=NOW,
        strategy_id="momentum",
        trace_id="trace-1",
    )
    return _changed(signal, changes)


def a_limit_signal(**changes: Any) -> Signal:
    """Like `a_signal`, with a spread of 100 (0.2 %): a limit order by the default rules."""
    return a_signal(**{"snapshot_spread": D(100), **changes})


def an_instrument(**changes: Any) -> Instrument:
    instrument = Instrument(
        symbol="BTCUSDT",
        category=Category.LINEAR,
        base_coin="BTC",
        quote_coin="USDT",
        tick_size=D("0.1"),
        lot_size=D("0.001"),
        min_quantity=D("0.001"),
        min_notional=D(5),
        max_limit_quantity=D(100),
        max_market_quantity=D(50),
    )
    return _changed(instrument, changes)


def a_market(**changes: Any) -> Market:
    market = Market(symbol="BTCUSDT", bid=D("49999.9"), ask=D(50000), last=D(50000), mark=D(50000), at=NOW)
    return _changed(market, changes)


def a_position(**changes: Any) -> Position:
    """Flat, one-way."""
    return replace(Position(symbol="BTCUSDT"), **changes)


def holding(size: Decimal | str | int, price: Decimal | str | int = 50000) -> Position:
    """A one-way position of `size` (negative: short) opened at `price`."""
    return a_position(net=Leg(size=D(size), average_price=D(price)))


def hedged(*, long: Decimal | str | int = 0, short: Decimal | str | int = 0) -> Position:
    """A hedge mode position; `short` is the positive size of the short leg."""
    return a_position(
        mode=PositionMode.HEDGE,
        long=Leg(size=D(long), average_price=D(50000)),
        short=Leg(size=-D(short), average_price=D(50000)),
    )


def a_state(**changes: Any) -> TradingState:
    """Active, flat, no open orders, 100000 USDT available."""
    state = TradingState(
        mode=TradingMode.ACTIVE,
        instrument=an_instrument(),
        market=a_market(),
        position=a_position(),
        open_orders=(),
        other_exposure=D(0),
        available_balance=D(100000),
    )
    return _changed(state, changes)


def some_rules(**changes: Any) -> TradingRules:
    return _changed(TradingRules(), changes)


def a_request(**changes: Any) -> OrderRequest:
    """A post-only limit buy of 0.01 BTC at 49000."""
    request = OrderRequest(
        client_order_id="om-test-1-0",
        symbol="BTCUSDT",
        category=Category.LINEAR,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.POST_ONLY,
        quantity=D("0.01"),
        price=D(49000),
    )
    return _changed(request, changes)


def an_order(**changes: Any) -> Order:
    """A pending post-only limit buy of 0.01 BTC at 49000 that the exchange has accepted."""
    of_request = {f.name for f in fields(OrderRequest)}
    order = Order(
        id="11111111-2222-4333-8444-555555555555",
        request=a_request(**{name: new for name, new in changes.items() if name in of_request}),
        status=OrderStatus.PENDING,
        signal_id="signal-1",
        exchange_order_id="exchange-1",
        intended_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    order = _changed(order, {name: new for name, new in changes.items() if name not in of_request})
    return order if "announced" in changes else replace(order, announced=_told_of(order))


def _told_of(order: Order) -> frozenset[OrderEvent]:
    """What others would have heard of an order in this state."""
    told = set()
    if order.exchange_order_id is not None:
        told.add(OrderEvent.CREATED)
        if 0 < order.filled_quantity < order.request.quantity:
            told.add(OrderEvent.PARTIALLY_FILLED)
    if order.status in TERMINAL_EVENTS:
        told.add(TERMINAL_EVENTS[order.status])
    return frozenset(told)


def a_report(**changes: Any) -> OrderReport:
    """The exchange has the order of `an_order`, and nothing is filled."""
    report = OrderReport(
        client_order_id="om-test-1-0",
        exchange_order_id="exchange-1",
        symbol="BTCUSDT",
        category=Category.LINEAR,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.POST_ONLY,
        status=OrderStatus.PENDING,
        quantity=D("0.01"),
        price=D(49000),
        filled_quantity=D(0),
        average_price=None,
        fees=D(0),
        reduce_only=False,
        position_idx=0,
        reason=None,
        created_at=NOW,
        updated_at=at(1),
    )
    return _changed(report, changes)


def an_execution(**changes: Any) -> Execution:
    """0.01 of the order of `a_report`, bought at 49000; takes the fields of its fill too."""
    fill = Fill(side=Side.BUY, quantity=D("0.01"), price=D(49000), fee=D("0.1"))
    of_fill = {f.name for f in fields(Fill)}
    execution = Execution(
        exec_id="exec-1",
        exchange_order_id="exchange-1",
        client_order_id="om-test-1-0",
        symbol="BTCUSDT",
        category=Category.LINEAR,
        fill=_changed(fill, {name: new for name, new in changes.items() if name in of_fill}),
        fee_currency="USDT",
        is_maker=True,
        exec_type="Trade",
        executed_at=at(1),
    )
    return _changed(execution, {name: new for name, new in changes.items() if name not in of_fill})


def a_position_report(**changes: Any) -> PositionReport:
    """0.01 long, one-way."""
    report = PositionReport(
        symbol="BTCUSDT",
        category=Category.LINEAR,
        position_idx=0,
        size=D("0.01"),
        average_price=D(49000),
        mark_price=D(49000),
    )
    return _changed(report, changes)
