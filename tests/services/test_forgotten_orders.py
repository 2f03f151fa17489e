"""After a database was lost or restored: what the exchange has of a signal is not placed again."""

import pytest

from tests.builders import D, a_limit_signal

FORGET = (
    "DELETE FROM signal_order_relationships; DELETE FROM executions; DELETE FROM order_events;"
    " DELETE FROM orders; DELETE FROM trading_signals; DELETE FROM positions;"
    " UPDATE lanes SET reconcile_requested_at = now(), must_reconcile = true, reconciled_at = NULL"
)


def receive(room, signal_id, build=None):
    if build is None:
        return room.ledger.receive(signal_id=signal_id)
    signal = build(signal_id=signal_id)
    room.ledger.inbox.receive(signal, "{}")
    return signal


@pytest.mark.parametrize("build", [None, a_limit_signal], ids=["filled", "resting"])
def test_a_signal_that_comes_again_is_executed_by_the_order_it_had(room, build):
    signal = receive(room, "a", build)
    assert room.work() == 1
    [request] = room.exchange.placed
    room.ledger.execute(FORGET)
    room.work()
    found = room.ledger.order(request.client_order_id)
    assert (found["is_external"], found["signal_id"]) == (True, None)

    again, later = receive(room, "a", build), receive(room, "later")
    assert room.work() == 2

    assert room.state(again) == ("executed", "already_placed")
    assert room.state(later) == ("executed", None)
    assert [placed.client_order_id for placed in room.exchange.placed].count(request.client_order_id) == 1
    order = room.ledger.order(request.client_order_id)
    assert (order["is_external"], order["signal_id"]) == (False, signal.signal_id)
    assert room.ledger.row("SELECT relation FROM signal_order_relationships WHERE signal_id = 'a'") == {
        "relation": "placed"
    }
    assert room.ledger.row("SELECT retry_at FROM lanes")["retry_at"] is None


def test_only_orders_of_that_very_signal_become_its_own(room):
    other = room.ledger.add_order(client_order_id="om-other-1-0", signal_id=None)
    room.ledger.execute("UPDATE orders SET is_external = true")
    signal = receive(room, "a")
    with room.lane() as lane:
        assert lane.claim_orders(signal, "om-a-") == []
    assert room.ledger.order(other.client_order_id)["is_external"]
    assert room.ledger.order(other.client_order_id)["quantity"] == D(other.request.quantity)
