"""Rows to domain values and back; SQLAlchemy rows stay inside this package."""

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from sqlalchemy import RowMapping

from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import (
    Category,
    Order,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.domain.signals import Signal

Row = RowMapping | Mapping[str, Any]

EXACT = Context(prec=38)  # NUMERIC(38,18) has more digits than the default context keeps


def plain(value: Decimal | None) -> Decimal | None:
    """NUMERIC(38,18) comes back with 18 decimals; drop the zeros that say nothing."""
    if value is None:
        return None
    if value == value.to_integral_value():
        return value.quantize(Decimal(1))
    return value.normalize(EXACT)


def some(value: Decimal | None) -> Decimal:
    return plain(value) or Decimal(0)


def order_from(row: RowMapping) -> Order:
    request = OrderRequest(
        client_order_id=row["client_order_id"],
        symbol=row["symbol"],
        category=Category(row["category"]),
        side=Side(row["side"]),
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        quantity=some(row["quantity"]),
        price=plain(row["price"]),
        reduce_only=row["reduce_only"],
        position_idx=row["position_idx"],
    )
    return Order(
        id=str(row["id"]),
        request=request,
        status=OrderStatus(row["status"]),
        signal_id=row["signal_id"],
        exchange_order_id=row["exchange_order_id"],
        filled_quantity=some(row["filled_quantity"]),
        average_price=plain(row["average_price"]),
        fees=some(row["fees"]),
        base_fees=some(row["base_fees"]),
        reference_price=plain(row["reference_price"]),
        is_dry_run=row["is_dry_run"],
        reason=row["reason"],
        intended_at=row["intended_at"],
        cancel_requested_at=row["cancel_requested_at"],
        exchange_updated_at=row["exchange_updated_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        executed_at=row["executed_at"],
        unseen_since=row["unseen_since"],
        announced=frozenset(map(OrderEvent, row["announced"])),
    )


def order_values(order: Order) -> dict[str, Any]:
    """Every column that an Order knows."""
    request = order.request
    return {
        "id": order.id,
        "client_order_id": request.client_order_id,
        "exchange_order_id": order.exchange_order_id,
        "signal_id": order.signal_id,
        "symbol": request.symbol,
        "category": request.category.value,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "time_in_force": request.time_in_force.value,
        "quantity": request.quantity,
        "price": request.price,
        "reference_price": order.reference_price,
        "reduce_only": request.reduce_only,
        "position_idx": request.position_idx,
        "status": order.status.value,
        "filled_quantity": order.filled_quantity,
        "average_price": order.average_price,
        "fees": order.fees,
        "base_fees": order.base_fees,
        "reason": order.reason,
        "is_dry_run": order.is_dry_run,
        "intended_at": order.intended_at,
        "cancel_requested_at": order.cancel_requested_at,
        "exchange_updated_at": order.exchange_updated_at,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "executed_at": order.executed_at,
        "unseen_since": order.unseen_since,
        "announced": sorted(order.announced),
    }


def position_from(row: Row | None, *, symbol: str, mode: PositionMode) -> Position:
    """The stored position, or a flat one."""
    if row is None:
        return Position(symbol=symbol, mode=mode)
    net = Leg(
        size=some(row["size"]),
        average_price=plain(row["average_price"]),
        realized_pnl=some(row["realized_pnl"]),
        fees=some(row["fees"]),
    )
    if mode is PositionMode.ONE_WAY:
        return Position(symbol=symbol, mode=mode, net=net)
    # Both legs share the row's realized PnL and fees; it is booked on the long leg.
    long = Leg(
        size=some(row["long_size"]),
        average_price=plain(row["long_average_price"]),
        realized_pnl=net.realized_pnl,
        fees=net.fees,
    )
    short = Leg(size=some(row["short_size"]), average_price=plain(row["short_average_price"]))
    return Position(symbol=symbol, mode=mode, long=long, short=short)


def position_values(position: Position) -> dict[str, Any]:
    legs = (position.net, position.long, position.short)
    return {
        "asset": position.symbol,
        "mode": position.mode.value,
        "size": position.net.size,
        "average_price": position.net.average_price,
        "long_size": position.long.size,
        "long_average_price": position.long.average_price,
        "short_size": position.short.size,
        "short_average_price": position.short.average_price,
        "realized_pnl": sum((leg.realized_pnl for leg in legs), Decimal(0)),
        "fees": sum((leg.fees for leg in legs), Decimal(0)),
    }


def instrument_from(row: RowMapping) -> Instrument:
    return Instrument(
        symbol=row["symbol"],
        category=Category(row["category"]),
        base_coin=row["base_coin"],
        quote_coin=row["quote_coin"],
        tick_size=some(row["tick_size"]),
        lot_size=some(row["lot_size"]),
        min_quantity=some(row["min_quantity"]),
        min_notional=some(row["min_notional"]),
        max_limit_quantity=some(row["max_limit_quantity"]),
        max_market_quantity=some(row["max_market_quantity"]),
        min_price=plain(row["min_price"]),
        max_price=plain(row["max_price"]),
        is_trading=row["is_trading"],
    )


def instrument_values(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "category": instrument.category.value,
        "base_coin": instrument.base_coin,
        "quote_coin": instrument.quote_coin,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "min_quantity": instrument.min_quantity,
        "min_notional": instrument.min_notional,
        "max_limit_quantity": instrument.max_limit_quantity,
        "max_market_quantity": instrument.max_market_quantity,
        "min_price": instrument.min_price,
        "max_price": instrument.max_price,
        "is_trading": instrument.is_trading,
    }


def signal_from(row: RowMapping) -> Signal:
    return Signal(
        signal_id=row["signal_id"],
        side=Side(row["side"]),
        symbol=row["symbol"],
        notional=some(row["notional"]),
        confidence=plain(row["confidence"]),
        is_urgent=row["is_urgent"],
        snapshot_price=plain(row["snapshot_price"]),
        snapshot_spread=plain(row["snapshot_spread"]),
        timestamp=row["sent_at"],
        strategy_id=row["strategy_id"],
        trace_id=row["trace_id"],
        attempt=row["attempt"],
    )


def signal_values(signal: Signal) -> dict[str, Any]:
    return {
        "signal_id": signal.signal_id,
        "symbol": signal.symbol,
        "side": signal.side.value,
        "notional": signal.notional,
        "confidence": signal.confidence,
        "is_urgent": signal.is_urgent,
        "snapshot_price": signal.snapshot_price,
        "snapshot_spread": signal.snapshot_spread,
        "sent_at": signal.timestamp,
        "strategy_id": signal.strategy_id,
        "trace_id": signal.trace_id,
    }
