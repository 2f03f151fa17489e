"""The control path of request faults: setting rules, seeing how often each struck, lifting them."""

from order_manager.paper.control_views import BadRequest, Json, at_least, chance, integer
from order_manager.paper.exchange import Exchange
from order_manager.paper.faults import DEFAULT_MESSAGES, EITHER_WAY, KINDS, Fault

_CANCEL = "/v5/order/cancel"


def add_fault(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Set a rule. With a probability and no count, or with `until_cleared`, it has no end."""
    kind, endpoint = params.get("kind"), params.get("endpoint")
    if kind not in KINDS:
        raise BadRequest(f"kind must be one of {', '.join(sorted(KINDS))}")
    if not isinstance(endpoint, str) or not endpoint:
        raise BadRequest("endpoint must be a path like /v5/order/create, or *")
    if kind == "cancel_race" and endpoint not in ("*", _CANCEL):
        raise BadRequest(f"cancel_race is for {_CANCEL}")
    is_processed = params.get("processed", False)
    if not isinstance(is_processed, bool) or (is_processed and kind not in EITHER_WAY):
        raise BadRequest(f"processed is true or false, for the kinds {', '.join(sorted(EITHER_WAY))}")
    has_end = params.get("count") is not None or params.get("probability") is None
    ret_code = integer(params, "ret_code", 10016)
    status = integer(params, "status", 503)
    if not 400 <= status <= 599:
        raise BadRequest("status must be 400 to 599")
    exchange.faults.add(
        Fault(
            endpoint=_CANCEL if kind == "cancel_race" else endpoint,
            kind=str(kind),
            left=at_least(params, "count", 1, 1) if has_end and not params.get("until_cleared") else None,
            account=str(params.get("account") or ""),
            chance=chance(params),
            seed=integer(params, "seed", exchange.settings.seed),
            delay_ms=at_least(params, "delay_ms", 1000, 0),
            status=status,
            ret_code=ret_code,
            ret_msg=str(params.get("ret_msg") or DEFAULT_MESSAGES.get(ret_code, "Internal server error")),
            is_processed=is_processed,
        )
    )
    return show_faults(exchange, params, now_ms)


def show_faults(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """The rules in force, those used up or lifted since the last clear, and how often each struck."""
    faults = exchange.faults
    return {
        "faults": [_row(fault) for fault in faults.waiting],
        "applied": faults.applied,
        "spent": [_row(fault) for fault in faults.spent],
    }


def clear_faults(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Lift all rules and forget the counts, or lift only the rule that `id` names."""
    faults = exchange.faults
    if "id" in params:
        if not faults.lift(integer(params, "id", 0)):
            raise BadRequest(f"no fault has the id {params['id']}")
        return show_faults(exchange, params, now_ms)
    faults.clear()
    return {"faults": [], "applied": 0}


def _row(fault: Fault) -> Json:
    return {
        "id": fault.number,
        "endpoint": fault.endpoint,
        "kind": fault.kind,
        "account": fault.account,
        "left": fault.left,
        "applied": fault.applied,
        "probability": fault.chance,
        "seed": fault.seed,
        "delay_ms": fault.delay_ms,
        "status": fault.status,
        "ret_code": fault.ret_code,
        "processed": fault.is_processed,
    }
