"""What others read of a change: decimals as text, moments in UTC, everything in one body."""

import json
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.events import (
    fill_json,
    iso,
    malformed_event,
    order_event,
    order_json,
    signal_event,
    text,
)
from order_manager.domain.orders import OrderStatus, Side
from order_manager.domain.positions import Fill
from order_manager.domain.state import Rejection
from tests.builders import NOW, a_market, a_signal, an_order, at


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (D(0), "0"),
        (D("0.10"), "0.1"),
        (D("1E+3"), "1000"),
        (D("1E-18"), "0.000000000000000001"),
        (D("100"), "100"),
        (D("-2.50"), "-2.5"),
        (D("0E-18"), "0"),
        (D("1.000"), "1"),
    ],
)
def test_a_decimal_is_text_without_exponent_or_idle_zeros(value, shown):
    assert text(value) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**20), max_value=10**20))
def test_a_decimal_as_text_is_the_same_number(value):
    shown = text(value)
    assert shown is not None
    assert D(shown) == value
    assert "E" not in shown


def test_a_moment_ends_in_z():
    assert iso(NOW) == "2026-01-02T03:04:05Z"
    assert iso(None) is None


def an_event(kind="created", order=None, **more):
    return order_event(kind, order or an_order(), sequence=3, trace_id="t-1", now=NOW, **more)


def test_an_event_is_complete_in_its_body():
    event = an_event(signal=a_signal(), received_at=at(-0.25), market=a_market())
    body = event.body
    assert (body["event_id"], body["event_type"], body["sequence"]) == (event.event_id, "created", 3)
    assert (body["timestamp"], body["trace_id"]) == ("2026-01-02T03:04:05Z", "t-1")
    assert body["signal"] == {
        "signal_id": a_signal().signal_id,
        "signal_type": "buy",
        "strategy_id": "momentum",
        "confidence": "0.5",
    }
    assert body["execution_details"]["execution_latency_seconds"] == "0.250000"
    assert body["market_conditions"]["bid"] == "49999.9"
    json.dumps(body)  # nothing in it that JSON does not know


def test_an_order_in_the_words_of_the_interface():
    assert order_json(an_order()) == {
        "id": "11111111-2222-4333-8444-555555555555",
        "order_id": "exchange-1",
        "client_order_id": "om-test-1-0",
        "signal_id": "signal-1",
        "asset": "BTCUSDT",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "post_only",
        "quantity": "0.01",
        "price": "49000",
        "status": "pending",
        "filled_quantity": "0",
        "average_price": None,
        "fees": "0",
        "reduce_only": False,
        "reason": None,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "executed_at": None,
        "is_dry_run": False,
        "is_external": False,
    }


def test_execution_details_count_what_is_filled_and_what_remains():
    order = an_order(quantity="0.03", filled_quantity="0.01", status=OrderStatus.PARTIALLY_FILLED)
    details = an_event("partially_filled", order).body["execution_details"]
    assert (details["fill_percentage"], details["remaining_quantity"]) == ("33.33", "0.02")
    ended = an_order(quantity="0.03", filled_quantity="0.01", status=OrderStatus.CANCELLED)
    assert an_event("cancelled", ended).body["execution_details"]["remaining_quantity"] == "0"


def test_only_an_end_that_was_not_wanted_has_a_reason():
    order = an_order(reason="why", status=OrderStatus.CANCELLED)
    assert an_event("cancelled", order).body["rejection_reason"] == "why"
    assert an_event("rejected", order).body["rejection_reason"] == "why"
    assert "rejection_reason" not in an_event("created").body
    assert "modification" not in an_event("created").body


def test_every_event_has_an_id_of_its_own():
    assert an_event().event_id != an_event().event_id


def test_a_fill_in_the_words_of_the_interface():
    fill = Fill(side=Side.SELL, quantity=D("0.10"), price=D(5), fee=D("-0.01"))
    assert fill_json(fill) == {"side": "sell", "quantity": "0.1", "price": "5", "fee": "-0.01"}


def test_a_rejected_signal_tells_the_rule_its_limit_and_the_value():
    rejection = Rejection(code="max_exposure", message="too much", limit="5", value="6")
    event = signal_event("signal_rejected", a_signal(), rejection, now=NOW)
    assert (event.order_id, event.signal_id, event.symbol) == (None, a_signal().signal_id, "BTCUSDT")
    assert event.body["order"] is None
    assert event.body["signal"]["amount"] == "1000"
    assert event.body["rejection_reason"] == "too much"
    assert event.body["rejection"] == {
        "code": "max_exposure",
        "message": "too much",
        "limit": "5",
        "value": "6",
    }


def test_a_malformed_message_tells_its_field_to_whoever_sent_the_id():
    event = malformed_event(
        signal_id="s-1", code="missing_field", field="asset", message="no", trace_id="t", now=NOW
    )
    assert (event.event_type, event.symbol, event.sequence) == ("signal_rejected", "", 1)
    assert event.body["rejection"] == {"code": "missing_field", "field": "asset", "message": "no"}
