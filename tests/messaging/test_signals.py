"""A message becomes a signal, or an error that says what is wrong with which field."""

import json
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from order_manager.domain.orders import Side
from order_manager.domain.signals import Signal
from order_manager.errors import MalformedMessage
from order_manager.messaging.signals import parse_signal

QUICKSTART = b"""{"signal_id": "test-signal-001", "signal_type": "buy", "asset": "BTCUSDT", "amount": 1000.0,
"confidence": 0.85, "timestamp": "2025-01-27T10:00:00Z", "strategy_id": "test-strategy",
"model_version": null, "is_warmup": true, "market_data_snapshot": {"price": 50000.0, "spread": 1.5,
"volume_24h": 1000000.0, "volatility": 0.02, "orderbook_depth": {"bid_depth": 100.0, "ask_depth": 120.0},
"technical_indicators": null}, "metadata": {"reasoning": "Test signal", "risk_score": 0.3},
"trace_id": "test-trace-001"}"""
LEAST = {"signal_id": "s-1", "signal_type": "buy", "asset": "BTCUSDT", "amount": 100}


def body(**fields: Any) -> bytes:
    return json.dumps(LEAST | fields).encode()


def raw(**fields: str) -> bytes:
    """Like `body`, with the values written as they are."""
    pairs = {**{name: json.dumps(value) for name, value in LEAST.items()}, **fields}
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in pairs.items()) + "}").encode()


def refusal(message: bytes, **options: Any) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        parse_signal(message, **options)
    return caught.value


def test_the_quickstart_message_is_read_exactly():
    assert parse_signal(QUICKSTART) == Signal(
        signal_id="test-signal-001",
        side=Side.BUY,
        symbol="BTCUSDT",
        notional=D("1000.0"),
        confidence=D("0.85"),
        is_urgent=False,
        snapshot_price=D("50000.0"),
        snapshot_spread=D("1.5"),
        timestamp=datetime(2025, 1, 27, 10, tzinfo=UTC),
        strategy_id="test-strategy",
        trace_id="test-trace-001",
    )


def test_four_fields_are_enough():
    signal = parse_signal(body())
    assert (signal.signal_id, signal.side, signal.symbol, signal.notional) == (
        "s-1",
        Side.BUY,
        "BTCUSDT",
        100,
    )
    assert signal.confidence is signal.snapshot_price is signal.snapshot_spread is signal.timestamp is None
    assert signal.trace_id  # a new one


@pytest.mark.parametrize("name", ["market_data_snapshot", "metadata", "trace_id", "model_version"])
def test_what_is_optional_may_be_null(name):
    assert parse_signal(body(**{name: None})).signal_id == "s-1"


def test_a_field_that_nobody_knows_is_ignored():
    assert parse_signal(body(colour="red", nested={"deep": [1, 2]})).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("0.1", "0.1"),
        ("1000.10", "1000.10"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("123456789012345.123456789012345678", "123456789012345.123456789012345678"),
        ("1e3", "1000"),
        ('"0.1"', "0.1"),
        ('"1000.10"', "1000.10"),
        ("1000000000000000", "1e15"),
        ("0.000000000000000001", "1e-18"),
    ],
)
def test_numbers_stay_exact_written_as_numbers_or_as_strings(written, exact):
    signal = parse_signal(raw(amount=written))
    assert signal.notional == D(exact)
    assert "E+" not in str(D(exact)) or signal.notional == D(exact)


def test_every_number_may_be_a_string():
    signal = parse_signal(
        body(amount="12.50", confidence="0.9", market_data_snapshot={"price": "50000.1", "spread": "0"})
    )
    assert (signal.notional, signal.confidence) == (D("12.50"), D("0.9"))
    assert (signal.snapshot_price, signal.snapshot_spread) == (D("50000.1"), D(0))


BAD = [
    # field, value as JSON, code, words of the sentence
    ("signal_id", "null", "missing_field", ["missing"]),
    ("signal_id", '""', "missing_field", ["empty"]),
    ("signal_id", '"   "', "missing_field", ["empty"]),
    ("signal_id", "7", "invalid_type", ["number", "string"]),
    ("signal_id", "{}", "invalid_type", ["object", "string"]),
    ("signal_id", f'"{"x" * 101}"', "too_long", ["101", "100", "xxx"]),
    ("signal_id", r'"a\u0000b"', "invalid_text", [r"a\x00b"]),
    ("signal_id", r'"a\ud800b"', "invalid_text", [r"a\ud800b"]),
    ("signal_type", "null", "missing_field", ["missing"]),
    ("signal_type", '"hold"', "invalid_value", ["buy", "sell", "hold"]),
    ("signal_type", "true", "invalid_type", ["boolean", "string"]),
    ("asset", "null", "missing_field", ["missing"]),
    ("asset", '"btcusdt"', "invalid_value", ["capital", "btcusdt"]),
    ("asset", '"BTC/USDT"', "invalid_value", ["BTC/USDT"]),
    ("asset", '"B"', "invalid_value", ["2 to 39", "'B'"]),
    ("asset", f'"{"A" * 40}"', "invalid_value", ["39", "AAAA"]),
    ("asset", r'"BTCUSDT\n"', "invalid_value", [r"BTCUSDT\n"]),
    ("asset", '["BTCUSDT"]', "invalid_type", ["array", "string"]),
    ("amount", "null", "missing_field", ["missing"]),
    ("amount", "0", "out_of_range", ["above 0", "is 0"]),
    ("amount", "-5", "out_of_range", ["above 0", "-5"]),
    ("amount", "1000000000000001", "out_of_range", ["1000000000000000", "1000000000000001"]),
    ("amount", "1e400", "out_of_range", ["1000000000000000", "1E+400"]),
    ("amount", "1e-19", "out_of_range", ["0.000000000000000001", "1E-19"]),
    ("amount", '"ten"', "invalid_number", ["ten"]),
    ("amount", '""', "invalid_number", ["''"]),
    ("amount", f'"{"1" * 61}"', "too_long", ["61 characters", "60"]),
    ("amount", '"NaN"', "not_finite", ["NaN"]),
    ("amount", '"-Infinity"', "not_finite", ["-Infinity"]),
    ("amount", "true", "invalid_type", ["boolean", "number"]),
    ("amount", "[1]", "invalid_type", ["array", "number"]),
    ("confidence", "1.01", "out_of_range", ["at most 1", "1.01"]),
    ("confidence", "-0.1", "out_of_range", ["at least 0", "-0.1"]),
    ("confidence", '"high"', "invalid_number", ["high"]),
    ("timestamp", '"yesterday"', "invalid_value", ["ISO 8601", "yesterday"]),
    ("timestamp", '"0001-01-01T00:00:00+14:00"', "invalid_value", ["ISO 8601"]),
    ("timestamp", "1737972000", "invalid_type", ["number", "string"]),
    ("strategy_id", f'"{"s" * 501}"', "too_long", ["501", "500"]),
    ("strategy_id", "5", "invalid_type", ["number", "string"]),
    ("trace_id", f'"{"t" * 101}"', "too_long", ["101", "100"]),
    ("trace_id", r'"\u0000"', "invalid_text", ["stored"]),
    ("market_data_snapshot", "[]", "invalid_type", ["array", "object"]),
    ("market_data_snapshot", '"x"', "invalid_type", ["string", "object"]),
    ("metadata", "5", "invalid_type", ["number", "object"]),
    ("market_data_snapshot.price", '{"price": 0}', "out_of_range", ["above 0"]),
    ("market_data_snapshot.price", '{"price": "x"}', "invalid_number", ["x"]),
    ("market_data_snapshot.price", '{"price": 1e16}', "out_of_range", ["1000000000000000", "1E+16"]),
    ("market_data_snapshot.spread", '{"spread": -1}', "out_of_range", ["at least 0", "-1"]),
    ("market_data_snapshot.spread", '{"spread": []}', "invalid_type", ["array"]),
]


@pytest.mark.parametrize(("field", "value", "code", "words"), BAD, ids=[f"{b[0]}={b[1][:20]}" for b in BAD])
def test_a_bad_value_is_named_with_its_limit(field, value, code, words):
    error = refusal(raw(**{field.partition(".")[0]: value}))
    assert (error.code, error.field) == (code, field)
    assert error.message.startswith(field)
    for word in words:
        assert word in error.message
    assert error.signal_id == (None if field == "signal_id" else "s-1")


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (b"", "invalid_json", ["not JSON"]),
        (b"hello", "invalid_json", ["not JSON"]),
        (b'{"signal_id": "s-1"', "invalid_json", ["not JSON"]),
        (b"[1, 2]", "invalid_type", ["array", "object"]),
        (b"null", "invalid_type", ["null"]),
        (b"12.5", "invalid_type", ["number"]),
        (b'"text"', "invalid_type", ["string"]),
        (b"\xff\xfe{}", "invalid_encoding", ["byte 0", "0xff"]),
        (b"[" * 60_000, "invalid_json", ["nested too deeply"]),
        (raw(amount="NaN"), "not_finite", ["NaN"]),
        (raw(amount="Infinity"), "not_finite", ["Infinity"]),
        (raw(other="-Infinity"), "not_finite", ["-Infinity"]),
        (raw(amount="1" * 5000), "invalid_json", ["not JSON"]),
    ],
    ids=str,
)
def test_a_message_that_is_no_object_is_refused_as_a_whole(message, code, words):
    error = refusal(message)
    assert (error.code, error.field) == (code, "")
    for word in words:
        assert word in error.message


def test_a_message_above_the_limit_is_not_even_read():
    error = refusal(body(strategy_id="x" * 100), max_bytes=64)
    assert error.code == "body_too_large"
    assert "64" in error.message
    assert str(len(body(strategy_id="x" * 100))) in error.message


def test_a_message_of_exactly_the_limit_is_read():
    assert parse_signal(body(), max_bytes=len(body())).signal_id == "s-1"


def test_an_error_shows_only_the_start_of_a_long_value():
    error = refusal(body(asset="x" * 400))
    assert len(error.message) < 200
    assert "402 characters" in error.message


@pytest.mark.parametrize("written", ["buy", "BUY", "Buy"])
def test_the_side_may_be_written_in_any_case(written):
    assert parse_signal(body(signal_type=written)).side is Side.BUY


@pytest.mark.parametrize(
    ("metadata", "is_urgent"),
    [
        ({"urgency": True}, True),
        ({"urgency": "high"}, True),
        ({"urgency": "HIGH"}, True),
        ({"urgency": "low"}, False),
        ({"urgency": False}, False),
        ({"urgency": 1}, False),
        ({"urgency": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_urgency_is_true_or_high(metadata, is_urgent):
    assert parse_signal(body(metadata=metadata)).is_urgent is is_urgent


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2025-01-27T10:00:00Z", datetime(2025, 1, 27, 10, tzinfo=UTC)),
        ("2025-01-27T12:00:00+02:00", datetime(2025, 1, 27, 10, tzinfo=UTC)),
        ("2025-01-27T10:00:00.250", datetime(2025, 1, 27, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2025-01-27", datetime(2025, 1, 27, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_kept_in_utc(written, moment):
    timestamp = parse_signal(body(timestamp=written)).timestamp
    assert timestamp == moment
    assert timestamp is not None
    assert timestamp.tzinfo is UTC


def test_the_trace_id_of_the_body_wins_over_the_header_s():
    headers = {"trace_id": "from-header"}
    assert parse_signal(body(trace_id="from-body"), headers=headers).trace_id == "from-body"
    assert parse_signal(body(), headers=headers).trace_id == "from-header"
    assert parse_signal(body(trace_id=""), headers=headers).trace_id == "from-header"


@pytest.mark.parametrize("headers", [{"trace_id": 5}, {"trace_id": b"x"}, {"trace_id": ""}, {}])
def test_a_header_that_is_no_text_is_replaced_by_a_new_trace_id(headers):
    trace_id = parse_signal(body(), headers=headers).trace_id
    assert len(trace_id) == 36
    assert trace_id != parse_signal(body(), headers=headers).trace_id


def is_sound(signal: Signal) -> bool:
    numbers = [signal.notional, signal.confidence, signal.snapshot_price, signal.snapshot_spread]
    return (
        0 < signal.notional <= D("1e15")
        and all(isinstance(n, D) and n.is_finite() for n in numbers if n is not None)
        and (signal.confidence is None or 0 <= signal.confidence <= 1)
        and 0 < len(signal.signal_id) <= 100
        and 0 < len(signal.trace_id) <= 100
        and (signal.timestamp is None or signal.timestamp.tzinfo is UTC)
    )


def answer_is_sound(message: bytes, headers: dict[str, Any] | None = None) -> bool:
    try:
        return is_sound(parse_signal(message, headers=headers))
    except MalformedMessage as error:
        error.message.encode()  # it goes to a text column
        error.field.encode()
        return bool(error.code and error.message)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": 1e999999999999999999999}')
@example(b'{"amount": -1e99999999999}')
def test_arbitrary_bytes_are_a_signal_or_malformed(message):
    assert answer_is_sound(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(json_values)
def test_arbitrary_json_is_a_signal_or_malformed(value):
    assert answer_is_sound(json.dumps(value).encode())


plausible = st.one_of(
    json_values,
    st.sampled_from(["buy", "SELL", "BTCUSDT", "", "0.1", "1e15", "1e-400", "-0", "2025-01-27T10:00:00Z"]),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.integers(min_value=-(10**20), max_value=10**20),
    st.datetimes().map(str),
)
names = ["signal_id", "signal_type", "asset", "amount", "confidence", "timestamp", "strategy_id", "trace_id"]
names += ["metadata", "market_data_snapshot"]


@settings(deadline=None, max_examples=300)
@given(
    fields=st.dictionaries(st.sampled_from(names), plausible),
    snapshot=st.none() | st.dictionaries(st.sampled_from(["price", "spread"]), plausible),
    headers=st.none() | st.dictionaries(st.just("trace_id"), plausible),
)
def test_a_signal_with_any_of_its_fields_changed_is_a_signal_or_malformed(fields, snapshot, headers):
    message = LEAST | ({"market_data_snapshot": snapshot} if snapshot is not None else {}) | fields
    assert answer_is_sound(json.dumps(message).encode(), headers)


@settings(deadline=None, max_examples=150)
@given(
    st.decimals(min_value="1e-18", max_value="1e15", allow_nan=False, allow_infinity=False),
    st.booleans(),
)
def test_an_amount_arrives_as_it_was_written(amount, as_text):
    written = f'"{amount:f}"' if as_text else f"{amount:f}"
    if len(written) <= 60:
        assert parse_signal(raw(amount=written)).notional == amount
