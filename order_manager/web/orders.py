"""Orders, as they are stored."""

from enum import StrEnum
from typing import Any

from flask import Blueprint, request

from order_manager.database import queries
from order_manager.database.queries import OrderFilter, OrderSort
from order_manager.domain.events import order_json
from order_manager.domain.orders import OrderStatus, Side
from order_manager.web.context import current_runtime
from order_manager.web.errors import not_found
from order_manager.web.paging import page_from, pagination_json
from order_manager.web.parameters import Parameters

blueprint = Blueprint("orders", __name__, url_prefix="/api/v1/orders")

MAX_ORDER_ID = 64  # the longest of the three kinds, the exchange's
MAX_SIGNAL_ID = 100


class SortOrder(StrEnum):
    ASC = "asc"
    DESC = "desc"


@blueprint.get("")
def list_orders() -> dict[str, Any]:
    """Orders, newest first unless sorted otherwise; the dates are those of their creation."""
    parameters = Parameters(request.args)
    wanted = OrderFilter(
        symbol=parameters.symbol("asset"),
        status=parameters.choice("status", OrderStatus),
        side=parameters.choice("side", Side),
        signal_id=parameters.text("signal_id", max_length=MAX_SIGNAL_ID),
        order_id=parameters.text("order_id", max_length=MAX_ORDER_ID),
        created_from=parameters.moment("date_from"),
        created_to=parameters.moment("date_to", is_end=True),
    )
    if wanted.created_from and wanted.created_to and wanted.created_from > wanted.created_to:
        parameters.refuse("date_to", "not before date_from")
    page = page_from(parameters)
    sort = parameters.choice("sort_by", OrderSort) or OrderSort.CREATED_AT
    sort_order = parameters.choice("sort_order", SortOrder) or SortOrder.DESC
    parameters.check()
    found, total = queries.list_orders(
        current_runtime().engine, wanted, sort=sort, is_descending=sort_order is SortOrder.DESC, page=page
    )
    return {"orders": [order_json(order) for order in found], "pagination": pagination_json(page, total)}


@blueprint.get("/<order_id>")
def get_order(order_id: str) -> dict[str, Any]:
    """The order with this id: Bybit's, ours or the client order id."""
    Parameters(request.args).check()
    is_possible = len(order_id) <= MAX_ORDER_ID and order_id.isprintable()
    order = queries.find_order(current_runtime().engine, order_id) if is_possible else None
    if order is None:
        raise not_found("order", "order_id", order_id)
    return order_json(order)
