"""What is stored, in the words of the interface: the REST API and the command line say the same."""

from typing import Any

from order_manager.database.desk_views import Account, InFlight
from order_manager.database.event_views import StoredEvent
from order_manager.database.lane_views import LaneView
from order_manager.database.signal_views import SignalStory, StoredSignal
from order_manager.database.story import StoredFill, Story
from order_manager.database.trading_states import Changed
from order_manager.database.waits import Waits
from order_manager.domain.dead_letters import LetterSummary
from order_manager.domain.events import iso, order_json, text
from order_manager.domain.validating import Adjustment


def signal_json(stored: StoredSignal) -> dict[str, Any]:
    signal = stored.signal
    return {
        "signal_id": signal.signal_id,
        "seq": stored.seq,
        "asset": signal.symbol,
        "signal_type": signal.side.value,
        "amount": text(signal.notional),
        "confidence": text(signal.confidence),
        "is_urgent": signal.is_urgent,
        "snapshot_price": text(signal.snapshot_price),
        "snapshot_spread": text(signal.snapshot_spread),
        "strategy_id": signal.strategy_id,
        "trace_id": signal.trace_id,
        "attempt": signal.attempt,
        "state": stored.state.value,
        "code": stored.code,
        "reason": stored.reason,
        "timestamp": iso(signal.timestamp),
        "received_at": iso(stored.received_at),
        "decided_at": iso(stored.decided_at),
        "finished_at": iso(stored.finished_at),
    }


def story_json(story: SignalStory) -> dict[str, Any]:
    """A signal with what it waits for, its decision, its orders and its message."""
    return {
        **signal_json(story.stored),
        "waits": waits_json(story.waits) if story.waits else None,
        "decision": story.decision,
        "orders": [{**order_json(order), "relation": relation} for relation, order in story.orders],
        "message": story.message,
    }


def waits_json(waits: Waits) -> dict[str, Any]:
    return {
        "summary": waits.summary,
        "has_lane": waits.has_lane,
        "is_worked": waits.is_worked,
        "worker": waits.worker,
        "signals_ahead": waits.ahead,
        "mode": waits.mode.value,
        "must_reconcile": waits.must_reconcile,
        "blocked_since": iso(waits.blocked_since),
        "blocked_reason": waits.blocked_reason,
        "retry_at": iso(waits.retry_at),
    }


def event_json(event: StoredEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "order_id": event.order_id,
        "signal_id": event.signal_id,
        "asset": event.symbol or None,
        "sequence": event.sequence,
        "trace_id": event.trace_id,
        "created_at": iso(event.created_at),
        "published_at": iso(event.published_at),
        "message": event.body,
    }


def lane_json(lane: LaneView) -> dict[str, Any]:
    return {
        "asset": lane.symbol,
        "mode": lane.mode.value,
        "position_mode": lane.position_mode.value,
        "opened_at": iso(lane.opened_at),
        "depth": lane.depth,
        "oldest_signal_age_s": lane.oldest_age_s,
        "open_orders": lane.open_orders,
        "in_flight_orders": lane.in_flight,
        "cancelling_orders": lane.cancelling,
        "waiting_updates": lane.updates,
        "oldest_update_age_s": lane.oldest_update_age_s,
        "blocked_since": iso(lane.blocked_since),
        "blocked_reason": lane.blocked_reason,
        "retry_at": iso(lane.retry_at),
        "reconciliation": {
            "result": lane.reconciliation,
            "requested_at": iso(lane.reconcile_requested_at),
            "validation_requested_at": iso(lane.validate_requested_at),
            "completed_at": iso(lane.reconciled_at),
            "orders": lane.reconciled_orders,
            "corrected_orders": lane.corrected_orders,
            "position_discrepancies": lane.discrepancies,
            "failed_at": iso(lane.reconcile_failed_at),
            "error": lane.reconcile_error,
        },
    }


def changed_json(changed: Changed) -> dict[str, Any]:
    return {"reason": changed.reason, "changed_at": iso(changed.at), "changed_by": changed.by}


def adjustment_json(adjustment: Adjustment) -> dict[str, Any]:
    return {
        "asset": adjustment.asset,
        "size_before": text(adjustment.size_before),
        "size_after": text(adjustment.size_after),
        "source": adjustment.source,
        "reason": adjustment.reason,
        "at": iso(adjustment.created_at),
    }


def letter_json(letter: LetterSummary) -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "code": letter.code,
        "field": letter.field,
        "reason": letter.reason,
        "state": letter.state.value,
        "received_at": iso(letter.received_at),
        "resolved_at": iso(letter.resolved_at),
        "signal_id": letter.signal_id,
        "size": letter.size,
    }


def whole_story_json(story: Story) -> dict[str, Any]:
    """A signal as the REST API tells it, its orders with their fills, the events, and the dead letters.

    Where no signal came of it, its signal_id is that of the dead letters, if there are any.
    """
    named = next((letter.signal_id for letter in story.letters), None)
    told = story_json(story.signal) if story.signal is not None else {"signal_id": named}
    fills: dict[str, list[dict[str, Any]]] = {}
    for fill in story.fills:
        fills.setdefault(fill.order_id, []).append(stored_fill_json(fill))
    return {
        **told,
        "orders": [
            {**order_json(order), "relation": relation or None, "fills": fills.get(order.id, [])}
            for relation, order in story.orders
        ],
        "events": [event_json(event) for event in story.events],
        "dead_letters": [letter_json(letter) for letter in story.letters],
        "stopped_by": [{"of": of, **changed_json(changed)} for of, changed in story.stopped_by],
    }


def stored_fill_json(fill: StoredFill) -> dict[str, Any]:
    return {
        "exec_id": fill.exec_id,
        "side": fill.side,
        "quantity": text(fill.quantity),
        "price": text(fill.price),
        "fee": text(fill.fee),
        "fee_currency": fill.fee_currency,
        "is_maker": fill.is_maker,
        "exec_type": fill.exec_type,
        "executed_at": iso(fill.executed_at),
    }


def in_flight_json(order: InFlight) -> dict[str, Any]:
    return {
        "client_order_id": order.client_order_id,
        "signal_id": order.signal_id,
        "asset": order.symbol,
        "side": order.side,
        "quantity": text(order.quantity),
        "price": text(order.price),
        "created_at": iso(order.created_at),
        "request": order.request,
        "requested_at": iso(order.requested_at),
    }


def account_json(account: Account) -> dict[str, Any]:
    return {
        "mode": account.mode.value,
        "available_balance": text(account.available_balance),
        "reserved": text(account.reserved),
        "balance_at": iso(account.balance_at),
    }
