"""The control path's views: what the exchange saw and did, for whoever judges its clients."""

import json
from collections.abc import Iterable
from typing import Any

from order_manager.paper.accounts import Account
from order_manager.paper.exchange import Exchange
from order_manager.paper.ledger import REQUEST
from order_manager.paper.numbers import plain

Json = dict[str, Any]
_LEDGER_PAGE = 1000


class BadRequest(Exception):
    """A control request that makes no sense; the message says why."""


def ledger(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """A page of entries numbered above `since`; `next` is the `since` of the next page.

    `first` and `last` number what is kept: a reader whose `since` lies below `first - 1` has missed some.
    """
    since = integer(params, "since", 0)
    limit = integer(params, "limit", _LEDGER_PAGE)
    kinds = {kind for kind in str(params.get("kind") or "").split(",") if kind}
    account, endpoint = params.get("account"), params.get("endpoint")
    chosen: list[Json] = []
    last = since
    book = exchange.ledger
    for place in range(max(0, since + 1 - book.first_seq), len(book.entries)):
        if len(chosen) >= limit:
            break
        entry = book.entries[place]
        last = entry["seq"]
        fits = (not kinds or entry["kind"] in kinds) and account in (None, "", entry["account"])
        if fits and endpoint in (None, "", entry.get("endpoint")):
            chosen.append(_readable(entry))
    return {"entries": chosen, "next": last, "first": book.first_seq, "last": book.last_seq}


def _readable(entry: Json) -> Json:
    """A request's JSON body as an object; a query stays the text it was."""
    if entry["kind"] == REQUEST and entry["method"] == "POST":
        try:
            return entry | {"body": json.loads(entry["body"])}
        except ValueError:
            return entry
    return entry


def orders(exchange: Exchange, params: Json, now_ms: int) -> Json:
    rows = [
        {
            "account": account.api_key,
            "number": order.number,
            "category": order.category,
            "symbol": order.symbol,
            "order_id": order.order_id,
            "link_id": order.link_id,
            "side": order.side,
            "order_type": order.order_type,
            "time_in_force": order.time_in_force,
            "position_idx": order.position_idx,
            "reduce_only": order.reduce_only,
            "price": plain(order.price),
            "qty": plain(order.qty),
            "status": order.status,
            "cum_exec_qty": plain(order.cum_qty),
            "cum_exec_value": plain(order.cum_value),
            "cancel_type": order.cancel_type,
            "reject_reason": order.reject_reason,
            "created_ms": order.created_ms,
            "updated_ms": order.updated_ms,
        }
        for account in accounts(exchange, params)
        for order in account.orders
        if params.get("symbol") in (None, "", order.symbol)
    ]
    return {"orders": rows}


def fills(exchange: Exchange, params: Json, now_ms: int) -> Json:
    rows = []
    for account in accounts(exchange, params):
        for fill in account.fills:
            order = account.by_id[fill.order_id]
            if params.get("symbol") in (None, "", order.symbol):
                row = {name: plain(getattr(fill, name)) for name in ("price", "qty", "value", "fee", "pnl")}
                rows.append(
                    {
                        "account": account.api_key,
                        "number": fill.number,
                        "exec_id": fill.exec_id,
                        "order_id": fill.order_id,
                        "link_id": order.link_id,
                        "category": order.category,
                        "symbol": order.symbol,
                        "position_idx": order.position_idx,
                        "side": order.side,
                        "fee_coin": fill.fee_coin,
                        "is_maker": fill.is_maker,
                        "seq": fill.seq,
                        "time_ms": fill.time_ms,
                    }
                    | row
                )
    return {"fills": rows}


def positions(exchange: Exchange, params: Json, now_ms: int) -> Json:
    rows = [
        {
            "account": account.api_key,
            "symbol": leg.symbol,
            "position_idx": leg.idx,
            "size": plain(leg.size),
            "avg_price": plain(leg.avg_price),
            "realised_pnl": plain(leg.realised_pnl),
            "fees": plain(leg.fees),
        }
        for account in accounts(exchange, params)
        for leg in account.positions.values()
    ]
    return {"positions": rows}


def state(exchange: Exchange, params: Json, now_ms: int) -> Json:
    engine = exchange.engine
    return {
        "seed": engine.seed,
        "tick": engine.tick,
        "time_ms": now_ms,
        "clock_offset_ms": exchange.clock.offset_ms,
        "ledger_seq": exchange.ledger.last_seq,
        "ledger_first": exchange.ledger.first_seq,
        "accounts": [
            {
                "api_key": account.api_key,
                "uid": account.uid,
                "orders": len(account.orders),
                "fills": len(account.fills),
                "coins": {name: plain(coin.balance) for name, coin in account.coins.items() if coin.balance},
            }
            for account in engine.accounts.values()
        ],
    }


def accounts(exchange: Exchange, params: Json) -> Iterable[Account]:
    """The account that `account` (an API key) names; all without it."""
    name = params.get("account")
    if not name:
        return list(exchange.engine.accounts.values())
    if name not in exchange.by_key:
        raise BadRequest(f"account {name} is not known")
    return [exchange.by_key[name]]


def integer(params: Json, name: str, default: int) -> int:
    value = params.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadRequest(f"{name} must be an integer") from None


def at_least(params: Json, name: str, default: int, least: int) -> int:
    value = integer(params, name, default)
    if value < least:
        raise BadRequest(f"{name} must be at least {least}")
    return value


def chance(params: Json) -> float:
    value = params.get("probability", 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise BadRequest("probability must be a number above 0, at most 1")
    return float(value)
