"""The exchange's reports as JSON and back, for the table where they wait for their lane."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from order_manager.domain.exchange import Execution, PositionReport, Update
from order_manager.domain.orders import Category, OrderReport, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.positions import Fill


def update_kind(update: Update) -> str:
    if isinstance(update, OrderReport):
        return "order"
    return "execution" if isinstance(update, Execution) else "position"


def update_values(update: Update) -> dict[str, Any]:
    """Decimals and moments as text; the symbol has a column of its own, and is here too."""
    if isinstance(update, OrderReport):
        return order_report_values(update)
    if isinstance(update, Execution):
        return execution_values(update)
    return {
        "symbol": update.symbol,
        "category": update.category.value,
        "position_idx": update.position_idx,
        "size": _text(update.size),
        "average_price": _text(update.average_price),
        "mark_price": _text(update.mark_price),
    }


def update_from(kind: str, body: Mapping[str, Any]) -> Update:
    return _READERS[kind](body)


def order_report_values(report: OrderReport) -> dict[str, Any]:
    return {
        "client_order_id": report.client_order_id,
        "exchange_order_id": report.exchange_order_id,
        "symbol": report.symbol,
        "category": report.category.value,
        "side": report.side.value,
        "order_type": report.order_type.value,
        "time_in_force": report.time_in_force and report.time_in_force.value,
        "status": report.status.value,
        "quantity": _text(report.quantity),
        "price": _text(report.price),
        "filled_quantity": _text(report.filled_quantity),
        "average_price": _text(report.average_price),
        "fees": _text(report.fees),
        "base_fees": _text(report.base_fees),
        "reduce_only": report.reduce_only,
        "position_idx": report.position_idx,
        "reason": report.reason,
        "created_at": report.created_at.isoformat(),
        "updated_at": report.updated_at.isoformat(),
    }


def execution_values(execution: Execution) -> dict[str, Any]:
    """Also the row of the `executions` table, but for its order."""
    return {
        "exec_id": execution.exec_id,
        "exchange_order_id": execution.exchange_order_id,
        "client_order_id": execution.client_order_id,
        "symbol": execution.symbol,
        "category": execution.category.value,
        "side": execution.fill.side.value,
        "quantity": _text(execution.fill.quantity),
        "price": _text(execution.fill.price),
        "fee": _text(execution.fill.fee),
        "fee_currency": execution.fee_currency,
        "is_maker": execution.is_maker,
        "exec_type": execution.exec_type,
        "executed_at": execution.executed_at.isoformat(),
    }


def _order_report(body: Mapping[str, Any]) -> OrderReport:
    time_in_force = body["time_in_force"]
    return OrderReport(
        client_order_id=body["client_order_id"],
        exchange_order_id=body["exchange_order_id"],
        symbol=body["symbol"],
        category=Category(body["category"]),
        side=Side(body["side"]),
        order_type=OrderType(body["order_type"]),
        time_in_force=TimeInForce(time_in_force) if time_in_force else None,
        status=OrderStatus(body["status"]),
        quantity=Decimal(body["quantity"]),
        price=_decimal(body["price"]),
        filled_quantity=Decimal(body["filled_quantity"]),
        average_price=_decimal(body["average_price"]),
        fees=Decimal(body["fees"]),
        base_fees=Decimal(body["base_fees"]),
        reduce_only=body["reduce_only"],
        position_idx=body["position_idx"],
        reason=body["reason"],
        created_at=datetime.fromisoformat(body["created_at"]),
        updated_at=datetime.fromisoformat(body["updated_at"]),
    )


def _execution(body: Mapping[str, Any]) -> Execution:
    return Execution(
        exec_id=body["exec_id"],
        exchange_order_id=body["exchange_order_id"],
        client_order_id=body["client_order_id"],
        symbol=body["symbol"],
        category=Category(body["category"]),
        fill=Fill(
            side=Side(body["side"]),
            quantity=Decimal(body["quantity"]),
            price=Decimal(body["price"]),
            fee=Decimal(body["fee"]),
        ),
        fee_currency=body["fee_currency"],
        is_maker=body["is_maker"],
        exec_type=body["exec_type"],
        executed_at=datetime.fromisoformat(body["executed_at"]),
    )


def _position_report(body: Mapping[str, Any]) -> PositionReport:
    return PositionReport(
        symbol=body["symbol"],
        category=Category(body["category"]),
        position_idx=body["position_idx"],
        size=Decimal(body["size"]),
        average_price=_decimal(body["average_price"]),
        mark_price=_decimal(body["mark_price"]),
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], Update]] = {
    "order": _order_report,
    "execution": _execution,
    "position": _position_report,
}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
