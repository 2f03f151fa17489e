"""The gateway's envelope: read, or refused with the field that is at fault."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.errors import MalformedMessage
from order_manager.messaging.deliveries import Delivery
from order_manager.messaging.update_intake import UpdateIntake
from order_manager.messaging.updates import MAX_BYTES, parse_update
from order_manager.queues import BALANCE_UPDATES, ORDER_UPDATES, POSITION_UPDATES
from tests.builders import at

ORDER = {"symbol": "BTCUSDT", "orderId": "o-1", "qty": "1.50"}


def body(**changes: Any) -> bytes:
    envelope = {
        "event_id": "5f0c7a52-8d0a-4f43-a1a4-9d1d3b2f8a11",
        "event_type": "order",
        "topic": "order",
        "timestamp": "2025-01-27T10:00:00Z",
        "received_at": "2025-01-27T10:00:00.250Z",
        "payload": ORDER,
        "trace_id": "t-1",
    }
    return json.dumps({**envelope, **changes}).encode()


@pytest.mark.parametrize(
    ("event_type", "topic"), [("order", "order"), ("position", "position"), ("balance", "wallet")]
)
def test_an_envelope_is_a_topic_a_row_and_a_time(event_type, topic):
    update = parse_update(body(event_type=event_type, topic="whatever"))
    assert (update.topic, update.row) == (topic, ORDER)
    assert update.received_at == datetime(2025, 1, 27, 10, 0, 0, 250_000, UTC)


@pytest.mark.parametrize(
    ("queue", "topic"),
    [(ORDER_UPDATES, "order"), (POSITION_UPDATES, "position"), (BALANCE_UPDATES, "wallet")],
)
def test_an_envelope_without_a_type_is_of_the_kind_that_its_queue_carries(queue, topic):
    assert parse_update(body(event_type=None), queue=queue).topic == topic
    assert parse_update(body(event_type="balance"), queue=queue).topic == "wallet"


def test_numbers_are_decimals_from_the_first_byte():
    raw = body().replace(b'"1.50"', b"1.50")
    assert str(parse_update(raw).row["qty"]) == "1.50"
    assert isinstance(parse_update(raw).row["qty"], Decimal)


@pytest.mark.parametrize("odd", [None, 5, "yesterday", "", {}, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_read_is_no_reason_to_lose_an_update(odd):
    update = parse_update(body(received_at=odd))
    assert (update.row, update.received_at) == (ORDER, None)


def test_only_what_is_used_has_to_be_there():
    assert parse_update(b'{"event_type":"order","payload":{"a":1}}').row == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (b"", "invalid_json", ""),
        (b"nonsense", "invalid_json", ""),
        (b"[1]", "invalid_type", ""),
        (b"\xff\xfe", "invalid_encoding", ""),
        (b"[" * 30_000, "invalid_json", ""),
        (b'{"event_type":"order","payload":{"qty":NaN}}', "not_finite", ""),
        (b" " * (MAX_BYTES + 1), "body_too_large", ""),
        (body(event_type=None), "missing_field", "event_type"),
        (body(event_type=5), "invalid_type", "event_type"),
        (body(event_type="trade"), "invalid_value", "event_type"),
        (body(event_type="x" * 100), "too_long", "event_type"),
        (body(payload=None), "missing_field", "payload"),
        (body(payload={}), "missing_field", "payload"),
        (body(payload=[ORDER]), "invalid_type", "payload"),
        (body(payload="text"), "invalid_type", "payload"),
        (body(payload={"symbol": "A\x00"}), "invalid_text", "payload"),
        (body(payload={"deep": [{"a": "\ud800"}]}), "invalid_text", "payload"),
        (body(payload={"\x00": 1}), "invalid_text", "payload"),
    ],
    ids=lambda value: repr(value[:50]) if isinstance(value, bytes) else value,
)
def test_what_is_malformed_names_the_field(raw, code, field):
    with pytest.raises(MalformedMessage) as caught:
        parse_update(raw)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert field in caught.value.message


def test_an_escaped_letter_is_a_letter():
    assert parse_update(body(payload={"coin": "\u20ac"})).row == {"coin": "€"}


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["event_type", "payload", "received_at", "x"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(raw):
    try:
        update = parse_update(raw, queue=ORDER_UPDATES)
    except MalformedMessage:
        return
    assert isinstance(update.row, dict)


# Into the receiver


class Desk:
    def __init__(self) -> None:
        self.received: list[tuple[str, list[Mapping[str, Any]], str, datetime]] = []
        self.dead: list[dict[str, Any]] = []
        self.receive_fails = self.dead_letter_fails = False

    def receive(
        self, told: Mapping[str, Sequence[Mapping[str, Any]]], *, source: str, received_at: datetime
    ) -> None:
        if self.receive_fails:
            raise OSError("the database is away")
        self.received += [(topic, list(rows), source, received_at) for topic, rows in told.items()]

    def record_dead_letter(self, **letter: Any) -> int:
        if self.dead_letter_fails:
            raise OSError("the database is away")
        self.dead.append(letter)
        return len(self.dead)

    @property
    def intake(self) -> UpdateIntake:
        return UpdateIntake(receiver=self, dead_letters=self, now=lambda: at(0))


def deliveries(*bodies: bytes) -> list[Delivery]:
    return [Delivery(one, {"trace_id": "t-1"}, ORDER_UPDATES) for one in bodies]


def test_updates_are_received_together_by_topic_in_their_order():
    desk = Desk()
    rows = [{"n": n} for n in range(5)]
    kinds = ["order", "balance", "order", "position", "order"]
    bodies = [
        body(event_type=kind, payload=row, received_at=None) for kind, row in zip(kinds, rows, strict=True)
    ]
    desk.intake.handle(deliveries(*bodies))
    assert desk.received == [
        ("order", [rows[0], rows[2], rows[4]], "gateway", at(0)),
        ("wallet", [rows[1]], "gateway", at(0)),
        ("position", [rows[3]], "gateway", at(0)),
    ]


def test_the_time_is_the_oldest_ones_and_never_in_the_future():
    desk = Desk()
    times = [at(0) - timedelta(seconds=5), at(0) - timedelta(seconds=9), at(0) + timedelta(days=1)]
    desk.intake.handle(deliveries(*(body(received_at=time.isoformat()) for time in times)))
    desk.intake.handle(deliveries(body(received_at=times[2].isoformat())))
    assert [received_at for *_, received_at in desk.received] == [times[1], at(0)]


def test_a_malformed_one_among_good_ones_is_kept_as_a_dead_letter():
    desk = Desk()
    desk.intake.handle(deliveries(body(), b"nonsense", body(payload=7)))
    assert [rows for _, rows, *_ in desk.received] == [[ORDER]]
    assert [(letter["code"], letter["field"], letter["body"]) for letter in desk.dead] == [
        ("invalid_json", "", b"nonsense"),
        ("invalid_type", "payload", body(payload=7)),
    ]
    assert desk.dead[0]["queue"] == ORDER_UPDATES
    assert desk.dead[0]["headers"] == {"trace_id": "t-1"}


@pytest.mark.parametrize("failing", ["receive_fails", "dead_letter_fails"])
def test_what_cannot_be_kept_is_raised(failing):
    desk = Desk()
    setattr(desk, failing, True)
    with pytest.raises(OSError, match="database"):
        desk.intake.handle(deliveries(body(), b"nonsense"))
    assert desk.dead == []
