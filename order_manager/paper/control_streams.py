"""The control path of the streams: who is connected, and what goes wrong for them."""

from order_manager.paper.control_views import BadRequest, Json, at_least, chance, integer
from order_manager.paper.exchange import Exchange
from order_manager.paper.stream_faults import KINDS, StreamFault
from order_manager.paper.streams import TOPICS

_AT_THE_DOOR = ("disconnect", "refuse")


def streams(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """The open connections, oldest first, with the number of messages per topic.

    A public connection has its category as account; the counts of opened and refused are private ones.
    """
    hub = exchange.streams
    rows = [
        {
            "conn_id": connection.conn_id,
            "account": connection.account,
            "remote": connection.remote,
            "opened_ms": connection.opened_ms,
            "topics": dict(connection.topics),
            "sent": connection.sent,
            "queued": len(connection.queue),
            "held": len(connection.held),
        }
        for connection in sorted(
            hub.connections | exchange.public_streams.connections,
            key=lambda connection: connection.opened_ms,
        )
    ]
    return {"connections": rows, "opened": hub.opened, "refused": hub.refused}


def add_stream_fault(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """Set a rule for messages, cut connections now, or refuse the next ones."""
    hub = exchange.streams
    kind, account = params.get("kind"), str(params.get("account") or "")
    if kind == "disconnect":
        cut = hub.disconnect(account) + exchange.public_streams.disconnect(account)
        return show_stream_faults(exchange, params, now_ms) | {"disconnected": cut}
    if kind == "refuse":
        for_ms = integer(params, "for_ms", 0)
        refusal = hub.faults.refusal
        refusal.left = at_least(params, "count", 0 if for_ms else 1, 0)
        refusal.until_ms = now_ms + for_ms if for_ms else 0
        return show_stream_faults(exchange, params, now_ms)
    if kind not in KINDS:
        raise BadRequest(f"kind must be one of {', '.join(sorted(KINDS | set(_AT_THE_DOOR)))}")
    topic = params.get("topic", "*")
    if topic != "*" and topic not in TOPICS:
        raise BadRequest(f"topic must be * or one of {', '.join(sorted(TOPICS))}")
    has_count = params.get("count") is not None or params.get("probability") is None
    hub.faults.add(
        StreamFault(
            kind=str(kind),
            topic=str(topic),
            account=account,
            left=at_least(params, "count", 1, 1) if has_count else None,
            chance=chance(params),
            seed=integer(params, "seed", exchange.settings.seed),
            delay_ms=at_least(params, "delay_ms", 1000, 0),
        )
    )
    return show_stream_faults(exchange, params, now_ms)


def show_stream_faults(exchange: Exchange, params: Json, now_ms: int) -> Json:
    """The rules in force and, when there are any, those used up since the last clear."""
    faults = exchange.streams.faults
    refusal = faults.refusal
    shown: Json = {
        "faults": [_row(fault) for fault in faults.waiting],
        "applied": faults.applied,
        "refuse": {"left": refusal.left, "for_ms": max(0, refusal.until_ms - now_ms)},
    }
    return shown | ({"spent": [_row(fault) for fault in faults.spent]} if faults.spent else {})


def clear_stream_faults(exchange: Exchange, params: Json, now_ms: int) -> Json:
    exchange.streams.clear_faults()
    return show_stream_faults(exchange, params, now_ms)


def _row(fault: StreamFault) -> Json:
    return {
        "kind": fault.kind,
        "topic": fault.topic,
        "account": fault.account,
        "left": fault.left,
        "probability": fault.chance,
        "seed": fault.seed,
        "delay_ms": fault.delay_ms,
        "applied": fault.applied,
    }
