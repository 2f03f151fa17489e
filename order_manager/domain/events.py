"""Events as they go out: what `order-manager.order_events` carries. Decimals leave as strings."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from order_manager.domain.orders import ZERO, Order
from order_manager.domain.pnl import (
    entry_price,
    held_side,
    long_leg,
    paid_fees,
    realized_pnl,
    short_leg,
    unrealized_pnl,
)
from order_manager.domain.positions import Fill, Position, StoredPosition
from order_manager.domain.signals import Signal
from order_manager.domain.state import Market, Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One message for the outbox; `body` is complete but for nothing: it is published as it is."""

    event_id: str
    event_type: str
    order_id: str | None
    signal_id: str | None
    symbol: str
    sequence: int
    trace_id: str
    body: Mapping[str, Any]


def text(value: Decimal | None) -> str | None:
    """A Decimal as others see it: never an exponent, no trailing zeros."""
    if value is None:
        return None
    shown = f"{value:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def order_json(order: Order) -> dict[str, Any]:
    """An order in the words of the interface; the same for events and the REST API."""
    request = order.request
    return {
        "id": order.id,
        "order_id": order.exchange_order_id,
        "client_order_id": request.client_order_id,
        "signal_id": order.signal_id,
        "asset": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "time_in_force": request.time_in_force.value,
        "quantity": text(request.quantity),
        "price": text(request.price),
        "status": order.status.value,
        "filled_quantity": text(order.filled_quantity),
        "average_price": text(order.average_price),
        "fees": text(order.fees),
        "reduce_only": request.reduce_only,
        "reason": order.reason,
        "created_at": iso(order.created_at),
        "updated_at": iso(order.updated_at),
        "executed_at": iso(order.executed_at),
        "is_dry_run": order.is_dry_run,
        "is_external": order.is_external,
    }


def position_json(
    position: Position,
    *,
    mark_price: Decimal | None,
    created_at: datetime | None = None,
    updated_at: datetime | None = None,
) -> dict[str, Any]:
    """A position in the words of the interface; the same for events, snapshots and the REST API.

    `size` is signed, net of both legs in hedge mode; `long_size` and `short_size` are zero or more in both
    modes. `realized_pnl` is after fees, and `fees` says how much was paid and is already deducted.
    `unrealized_pnl` is at `mark_price`, before the fees of closing; null while no mark price is known.
    """
    long, short = long_leg(position), short_leg(position)
    return {
        "asset": position.symbol,
        "mode": position.mode.value,
        "side": held_side(position),
        "size": text(long.size + short.size),
        "average_entry_price": text(entry_price(position)),
        "long_size": text(long.size),
        "long_average_price": text(long.average_price),
        "short_size": text(abs(short.size)),
        "short_average_price": text(short.average_price),
        "realized_pnl": text(realized_pnl(position)),
        "fees": text(paid_fees(position)),
        "unrealized_pnl": text(unrealized_pnl((long, short), mark_price)),
        "mark_price": text(mark_price),
        "created_at": iso(created_at),
        "updated_at": iso(updated_at),
    }


def stored_position_json(stored: StoredPosition) -> dict[str, Any]:
    return position_json(
        stored.position,
        mark_price=stored.mark_price,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def market_json(market: Market | None) -> dict[str, Any] | None:
    if market is None:
        return None
    return {
        "bid": text(market.bid),
        "ask": text(market.ask),
        "last_price": text(market.last),
        "mark_price": text(market.mark),
        "timestamp": iso(market.at),
    }


def fill_json(fill: Fill) -> dict[str, Any]:
    return {
        "side": fill.side.value,
        "quantity": text(fill.quantity),
        "price": text(fill.price),
        "fee": text(fill.fee),
    }


def signal_json(signal: Signal | None) -> dict[str, Any] | None:
    if signal is None:
        return None
    return {
        "signal_id": signal.signal_id,
        "signal_type": signal.side.value,
        "strategy_id": signal.strategy_id,
        "confidence": text(signal.confidence),
    }


def order_event(
    event_type: str,
    order: Order,
    *,
    sequence: int,
    trace_id: str,
    now: datetime,
    signal: Signal | None = None,
    received_at: datetime | None = None,
    market: Market | None = None,
    last_fill: Mapping[str, Any] | None = None,
    modification: Mapping[str, Any] | None = None,
) -> Event:
    """A change of one order; `sequence` counts this order's events from 1."""
    quantity = order.request.quantity
    body: dict[str, Any] = {
        "order": order_json(order),
        "execution_details": {
            "execution_latency_seconds": f"{(now - received_at).total_seconds():.6f}"
            if received_at
            else None,
            "fill_percentage": text((order.filled_quantity / quantity * 100).quantize(Decimal("0.01"))),
            "remaining_quantity": text(order.remaining_quantity if order.is_open else ZERO),
            "last_fill": last_fill,
        },
        "market_conditions": market_json(market),
        "signal": signal_json(signal),
    }
    if event_type in {"rejected", "cancelled"}:
        body["rejection_reason"] = order.reason
    if modification is not None:
        body["modification"] = modification
    return _event(
        event_type,
        body,
        order_id=order.id,
        signal_id=order.signal_id,
        symbol=order.request.symbol,
        sequence=sequence,
        trace_id=trace_id,
        now=now,
    )


def signal_event(event_type: str, signal: Signal, rejection: Rejection, *, now: datetime) -> Event:
    """A signal that became no order: signal_rejected by a rule, or signal_failed on the way."""
    body = {
        "order": None,
        "signal": {**(signal_json(signal) or {}), "asset": signal.symbol, "amount": text(signal.notional)},
        "rejection_reason": rejection.message,
        "rejection": {
            "code": rejection.code,
            "message": rejection.message,
            "limit": rejection.limit,
            "value": rejection.value,
        },
    }
    return _event(
        event_type,
        body,
        signal_id=signal.signal_id,
        symbol=signal.symbol,
        trace_id=signal.trace_id,
        now=now,
    )


def malformed_event(
    *, signal_id: str, code: str, field: str, message: str, trace_id: str, now: datetime
) -> Event:
    """A message with a readable signal_id that could not be a signal."""
    body = {
        "order": None,
        "signal": {"signal_id": signal_id},
        "rejection_reason": message,
        "rejection": {"code": code, "field": field, "message": message},
    }
    return _event("signal_rejected", body, signal_id=signal_id, symbol="", trace_id=trace_id, now=now)


def position_event(
    event_type: str,
    position: Mapping[str, Any],
    *,
    details: Mapping[str, Any],
    trace_id: str,
    now: datetime,
    market: Market | None = None,
) -> Event:
    """What is to be said of a position that is no change of an order; `position` comes from position_json."""
    body = {"order": None, "position": position, **details, "market_conditions": market_json(market)}
    return _event(event_type, body, symbol=position["asset"], trace_id=trace_id, now=now)


def _event(
    event_type: str,
    body: Mapping[str, Any],
    *,
    symbol: str,
    trace_id: str,
    now: datetime,
    order_id: str | None = None,
    signal_id: str | None = None,
    sequence: int = 1,
) -> Event:
    event_id = str(uuid.uuid4())
    envelope = {
        "event_id": event_id,
        "event_type": event_type,
        "sequence": sequence,
        "timestamp": iso(now),
        "trace_id": trace_id,
    }
    return Event(
        event_id=event_id,
        event_type=event_type,
        order_id=order_id,
        signal_id=signal_id,
        symbol=symbol,
        sequence=sequence,
        trace_id=trace_id,
        body={**envelope, **body},
    )
