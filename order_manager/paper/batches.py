"""Batch endpoints: one request with many orders, each judged alone; the request as a whole succeeds."""

from typing import Any

from order_manager.paper.accounts import Account
from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import SPOT
from order_manager.paper.market_data import Json
from order_manager.paper.order_entry import Params, read_category
from order_manager.paper.refusals import ApiRefusal
from order_manager.paper.trading import PrivateCall, create

_MOST_LINEAR, _MOST_SPOT = 20, 10  # orders per request


def units_of(params: Params) -> int:
    """How much of the rate limit a batch asks for: one unit per order."""
    items = params.get("request")
    return max(1, len(items)) if isinstance(items, list) else 1


def run_batch(
    exchange: Exchange, account: Account, params: Params, now_ms: int, single: PrivateCall, *, granted: int
) -> tuple[Json, Json]:
    """(result, retExtInfo): `single` on each item in turn; those beyond `granted` hit the rate limit."""
    category = read_category(params)
    items = params.get("request")
    most = _MOST_SPOT if category == SPOT else _MOST_LINEAR
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise ApiRefusal(10001, f"params error: request must be a list of 1 to {most} orders")
    rows: list[Json] = []
    codes: list[Json] = []
    for number, item in enumerate(items):
        ids: Json = {}
        try:
            if not isinstance(item, dict):
                raise ApiRefusal(10001, "params error: request must hold objects")
            if number >= granted:
                raise ApiRefusal(10006, "Too many visits. Exceeded the API Rate Limit.")
            ids = single(exchange, account, {**item, "category": category}, now_ms)
            codes.append({"code": 0, "msg": "OK"})
        except ApiRefusal as refused:
            codes.append({"code": refused.ret_code, "msg": refused.ret_msg})
        rows.append(_row(item if isinstance(item, dict) else {}, ids, category))
        if single is create:
            rows[-1]["createAt"] = str(now_ms) if ids else ""
    return {"list": rows}, {"list": codes}


def _row(item: dict[str, Any], ids: Json, category: str) -> Json:
    return {
        "category": category,
        "symbol": str(item.get("symbol") or ""),
        "orderId": ids.get("orderId", ""),
        "orderLinkId": ids.get("orderLinkId", str(item.get("orderLinkId") or "")),
    }
