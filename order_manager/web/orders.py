"""Orders, as they are stored."""

from typing import Any

from pydantic import Field

from order_manager.database import queries
from order_manager.database.queries import OrderFilter, OrderSort
from order_manager.domain.events import order_json
from order_manager.domain.orders import OrderStatus, OrderType, Side, TimeInForce
from order_manager.web.answers import Answer, Moment, Number, Pagination, Problem
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.paging import Spanned
from order_manager.web.parameters import Id, Parameters, SignalId, SortOrder, Symbol
from order_manager.web.resources import Resource

blueprint = Resource("orders", prefix="/api/v1/orders", about="Orders, ours and those placed by others")

MAX_ORDER_ID = 64  # the longest of the three kinds, the exchange's


class Order(Answer):
    id: str = Field(description="ours")
    order_id: str | None = Field(description="Bybit's; null until it has answered")
    client_order_id: str
    signal_id: str | None
    asset: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Number
    price: Number | None = Field(description="null for a market order")
    status: OrderStatus
    filled_quantity: Number
    average_price: Number | None
    fees: Number
    reduce_only: bool
    reason: str | None = Field(description="why it was rejected or cancelled")
    created_at: Moment | None
    updated_at: Moment | None
    executed_at: Moment | None
    is_dry_run: bool
    is_external: bool = Field(description="somebody else placed it")


class Orders(Answer):
    orders: list[Order]
    pagination: Pagination


class OrdersQuery(Spanned):
    asset: Symbol | None = None
    status: OrderStatus | None = None
    side: Side | None = None
    signal_id: SignalId | None = None
    order_id: Id | None = Field(None, description="Bybit's, ours or the client order id")
    sort_by: OrderSort = OrderSort.CREATED_AT
    sort_order: SortOrder = SortOrder.DESC


class OrderPath(Parameters):
    order_id: Id = Field(description="Bybit's, ours or the client order id")


@blueprint.get("", responses={200: Orders})
def list_orders(query: OrdersQuery) -> dict[str, Any]:
    """Orders, newest first unless sorted otherwise; the dates are those of their creation."""
    wanted = OrderFilter(
        symbol=query.asset,
        status=query.status,
        side=query.side,
        signal_id=query.signal_id,
        order_id=query.order_id,
        created_from=query.date_from,
        created_to=query.date_to,
    )
    found, total = queries.list_orders(
        current_runtime().engine,
        wanted,
        sort=query.sort_by,
        is_descending=query.sort_order is SortOrder.DESC,
        page=query.page,
    )
    return {"orders": [order_json(order) for order in found], "pagination": query.pagination(total)}


@blueprint.get("/<order_id>", responses={200: Order, 404: Problem})
def get_order(path: OrderPath) -> dict[str, Any]:
    """The order with this id: Bybit's, ours or the client order id."""
    order_id = path.order_id
    is_possible = len(order_id) <= MAX_ORDER_ID and order_id.isprintable()
    order = queries.find_order(current_runtime().engine, order_id) if is_possible else None
    if order is None:
        raise not_found("order", "order_id", order_id)
    return order_json(order)
