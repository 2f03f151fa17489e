"""Messages that are no signals are kept with their reason, and never stop the ones that are."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from order_manager.embedded import PostgresServer, RedisServer
from tests.scenarios.house import House, running_house, wait_until
from tests.scenarios.signals import limit_signal, market_signal
from tests.servers import flush

BITS: dict[str, Any] = {
    "signal_id": "odd",
    "signal_type": "buy",
    "asset": "BTCUSDT",
    "amount": 1000,
    "confidence": 0.95,
}


def with_fields(name: str, **fields: Any) -> bytes:
    return json.dumps({**BITS, "signal_id": name, **fields}).encode()


def without(name: str, field: str) -> bytes:
    return json.dumps(
        {key: value for key, value in {**BITS, "signal_id": name}.items() if key != field}
    ).encode()


def raw(name: str, field: str, value: str) -> bytes:
    """A message with a value that json.dumps would not write."""
    return with_fields(name, **{field: "@@"}).replace(b'"@@"', value.encode())


# body, machine code, what the sentence names
BAD: dict[str, tuple[bytes, str, tuple[str, ...]]] = {
    "not JSON": (b"not json", "invalid_json", ("not JSON",)),
    "empty": (b"", "invalid_json", ("not JSON",)),
    "an array": (b"[1, 2]", "invalid_type", ("array", "object")),
    "null": (b"null", "invalid_type", ("null", "object")),
    "cut off": (with_fields("bad-cut")[:-5], "invalid_json", ("not JSON",)),
    "invalid UTF-8": (b'{"signal_id": "bad-\xff\xfe"}', "invalid_encoding", ("UTF-8", "0xff")),
    "UTF-16": (json.dumps(BITS).encode("utf-16"), "invalid_encoding", ("UTF-8",)),
    "byte order mark": (b"\xef\xbb\xbf" + with_fields("bad-bom"), "invalid_json", ("BOM",)),
    "deep nesting": (b"[" * 30000, "invalid_json", ("nested too deeply",)),
    "deep nesting in a field": (raw("bad-deep", "metadata", "[" * 30000), "invalid_json", ("nested",)),
    "2 MB": (with_fields("bad-big", metadata={"x": "y" * 2_000_000}), "body_too_large", ("65536", "20001")),
    "no signal_id": (without("", "signal_id"), "missing_field", ("signal_id",)),
    "no side": (without("bad-no-side", "signal_type"), "missing_field", ("signal_type",)),
    "no asset": (without("bad-no-asset", "asset"), "missing_field", ("asset",)),
    "no amount": (without("bad-no-amount", "amount"), "missing_field", ("amount",)),
    "null amount": (with_fields("bad-null", amount=None), "missing_field", ("amount",)),
    "wrong side": (with_fields("bad-hold", signal_type="hold"), "invalid_value", ("buy or sell", "hold")),
    "wrong asset": (with_fields("bad-asset", asset="btc/usdt"), "invalid_value", ("asset", "btc/usdt")),
    "asset with a dot": (with_fields("bad-dot", asset="BTC.X"), "invalid_value", ("asset",)),
    "asset is a number": (with_fields("bad-asset-1", asset=1), "invalid_type", ("asset", "number")),
    "signal_id is a number": (with_fields("", signal_id=7), "invalid_type", ("signal_id", "number")),
    "10000 characters of id": (with_fields("i" * 10000), "too_long", ("signal_id", "10000", "100")),
    "negative amount": (with_fields("bad-neg", amount=-1), "out_of_range", ("amount", "above 0", "-1")),
    "zero amount": (with_fields("bad-zero", amount=0), "out_of_range", ("amount", "above 0")),
    "minus zero": (raw("bad-mzero", "amount", "-0.0"), "out_of_range", ("amount", "above 0")),
    "amount is true": (with_fields("bad-true", amount=True), "invalid_type", ("amount", "boolean")),
    "amount is a list": (with_fields("bad-list", amount=[1]), "invalid_type", ("amount", "array")),
    "amount in words": (with_fields("bad-words", amount="ten"), "invalid_number", ("amount", "ten")),
    "amount is NaN": (raw("bad-nan", "amount", "NaN"), "not_finite", ("NaN",)),
    "amount is 'NaN'": (with_fields("bad-nan-s", amount="NaN"), "not_finite", ("amount", "NaN")),
    "amount is sNaN": (with_fields("bad-snan", amount="sNaN"), "not_finite", ("amount",)),
    "amount is Infinity": (raw("bad-inf", "amount", "Infinity"), "not_finite", ("Infinity",)),
    "amount is 1e400": (raw("bad-1e400", "amount", "1e400"), "out_of_range", ("amount", "at most")),
    "amount is 1e9999999": (raw("bad-1e9", "amount", "1e9999999"), "out_of_range", ("amount", "at most")),
    "amount of 4000 digits": (raw("bad-digits", "amount", "9" * 4000), "out_of_range", ("amount", "at most")),
    "amount of 5000 digits": (raw("bad-5000", "amount", "9" * 5000), "invalid_json", ("digits",)),
    "exponent beyond reason": (raw("bad-exp", "amount", "1e999999999999999999999"), "invalid_json", ()),
    "tiny amount": (raw("bad-tiny", "amount", "1e-30"), "out_of_range", ("amount", "at least")),
    "confidence above 1": (with_fields("bad-conf", confidence=1.01), "out_of_range", ("confidence", "1.01")),
    "confidence below 0": (with_fields("bad-conf-0", confidence=-0.1), "out_of_range", ("confidence",)),
    "confidence is text": (with_fields("bad-conf-t", confidence="high"), "invalid_number", ("confidence",)),
    "snapshot is a list": (with_fields("bad-snap", market_data_snapshot=[]), "invalid_type", ("snapshot",)),
    "snapshot price below 0": (
        with_fields("bad-price", market_data_snapshot={"price": -5}),
        "out_of_range",
        ("market_data_snapshot.price", "-5"),
    ),
    "timestamp is a number": (with_fields("bad-time", timestamp=1), "invalid_type", ("timestamp",)),
    "timestamp is text": (
        with_fields("bad-time-t", timestamp="noon"),
        "invalid_value",
        ("timestamp", "noon"),
    ),
    "NUL in the id": (with_fields("bad-\x00"), "invalid_text", ("signal_id",)),
    "lone surrogate in the id": (with_fields("bad-\ud800"), "invalid_text", ("signal_id",)),
    "NUL in the strategy": (with_fields("bad-nul", strategy_id="a\x00"), "invalid_text", ("strategy_id",)),
    "long trace": (with_fields("bad-trace", trace_id="t" * 101), "too_long", ("trace_id", "101", "100")),
    "metadata is text": (with_fields("bad-meta", metadata="x"), "invalid_type", ("metadata", "string")),
}

GOOD: dict[str, bytes] = {
    "numbers as strings": with_fields("good-strings", amount="1000.50", confidence="0.95"),
    "padded numbers": with_fields("good-padded", amount=" 1000 "),
    "100 characters of id": with_fields("g" * 100),
    "an id of another script": with_fields("сигнал-信号-📈"),
    "duplicate keys": b'{"amount": -5, ' + with_fields("good-twice")[1:],
    "unknown fields with anything": with_fields("good-extra", extra={"\x00": "\ud800", "deep": [[[]]]}),
    "capital side": with_fields("good-capital", signal_type="BUY"),
    "earliest moment": with_fields("good-early", timestamp="0001-01-01T00:00:00Z"),
    "last moment": with_fields("good-last", timestamp="9999-12-31T23:59:59.999999Z"),
    "space around": b"\r\n\t " + with_fields("good-space") + b" \n",
    "smallest confidence": raw("good-conf", "confidence", "1e-18"),
    "confidence with many digits": raw("good-conf-long", "confidence", "0.95000000000000000000000001"),
}

# Valid, and beyond what can be traded: an end with a reason, and never a lane that stands still.
EXTREME: dict[str, dict[str, Any]] = {
    "largest amount": {"amount": "1e15"},
    "smallest amount": {"amount": "1e-18"},
    "largest amount at the smallest price": {
        "amount": "1e15",
        "confidence": 0.1,
        "market_data_snapshot": {"price": "1e-18", "spread": "1e15"},
    },
    "smallest price": {"confidence": 0.1, "market_data_snapshot": {"price": "1e-18", "spread": 1}},
    "largest price": {"confidence": 0.1, "market_data_snapshot": {"price": "1e15", "spread": "1e15"}},
    "largest price and no spread": {"market_data_snapshot": {"price": "1e15", "spread": 0}},
    "many digits": {
        "amount": "12345.123456789012345678",
        "confidence": 0.1,
        "market_data_snapshot": {"price": "50000.123456789012345678", "spread": "99.99999999999999999"},
    },
}


ODD_HEADERS: tuple[dict[str, Any], ...] = (
    {"trace_id": 7, "y": {"z": [1]}},
    {"trace_id": "t" * 500},
    {"trace_id": "a\x00b"},
    {"x": "a\x00b"},
    {"x" * 200: "y" * 5000},
)


@pytest.fixture(scope="module", params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def house(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    fresh_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    flush(redis_server)
    servers: Mapping[str, str] = redis_server.environment()
    if request.param == "rabbitmq":
        rabbitmq = request.getfixturevalue("rabbitmq_server")
        rabbitmq.clear()
        servers = {**servers, **rabbitmq.environment()}
    name = fresh_database()
    folder: Path = tmp_path_factory.mktemp("intake")
    with running_house(
        folder,
        {**servers, **postgres_server.environment(name)},
        database_url=postgres_server.url(name),
        workers=1,
        ORDERMANAGER_MAX_SINGLE_ORDER_SIZE="100000",
    ) as house:
        yield house


def pass_by(house: House) -> None:
    """A good signal gets through to its order."""
    name = f"pass-by-{os.urandom(4).hex()}"
    house.publish(market_signal(name, "BTCUSDT"))
    (row,) = house.wait_for_end(name, timeout_s=10)
    assert row["state"] == "executed"


def test_every_bad_message_is_kept_whole_with_a_code_and_a_sentence(house: House) -> None:
    pid = house.fleet.pids()["consumer"]
    house.publish(*(body for body, _, _ in BAD.values()))
    pass_by(house)

    letters = house.rows("SELECT * FROM dead_letters ORDER BY id")
    assert len(letters) == len(BAD)
    wrong = []
    for (name, (body, code, words)), letter in zip(BAD.items(), letters, strict=True):
        if bytes(letter["body"]) != body or letter["code"] != code:
            wrong.append(f"{name}: {letter['code']} {letter['reason']}")
        wrong += [
            f"{name}: no {word!r} in {letter['reason']!r}" for word in words if word not in letter["reason"]
        ]
        if len(letter["reason"]) > 400:
            wrong.append(f"{name}: a reason of {len(letter['reason'])} characters")
    assert wrong == []
    assert house.fleet.pids()["consumer"] == pid


def test_a_bad_message_that_names_its_signal_is_announced_as_rejected(house: House) -> None:
    house.publish(with_fields("announced", amount=-7, trace_id="trace-of-it"))
    pass_by(house)
    wait_until(
        lambda: house.count("order_events WHERE signal_id = 'announced' AND published_at IS NOT NULL") == 1,
        what="the rejection to be published",
    )
    (event,) = [event for event in house.events() if (event["signal"] or {}).get("signal_id") == "announced"]
    assert (event["event_type"], event["rejection"]["code"]) == ("signal_rejected", "out_of_range")
    assert event["rejection"]["field"] == "amount"
    assert all(word in event["rejection_reason"] for word in ("amount", "above 0", "-7"))


def test_unusual_but_valid_messages_are_signals(house: House) -> None:
    before = house.count("dead_letters")
    house.publish(*GOOD.values())
    names = [json.loads(body)["signal_id"] for body in GOOD.values()]
    rows = house.wait_for_end(*names)

    assert {row["signal_id"]: row["state"] for row in rows} == dict.fromkeys(names, "executed")
    assert house.count("dead_letters") == before


def test_extreme_numbers_end_with_a_reason_and_hold_nobody_up(house: House) -> None:
    names = [f"extreme {name}" for name in EXTREME]
    house.publish(*(with_fields(f"extreme {name}", **fields) for name, fields in EXTREME.items()))
    rows = house.wait_for_end(*names, timeout_s=15)
    pass_by(house)

    unexplained = [row["signal_id"] for row in rows if row["state"] != "executed" and not row["reason"]]
    assert unexplained == []
    assert house.rows("SELECT symbol FROM lanes WHERE retry_at IS NOT NULL") == []


def test_the_trace_of_a_header_reaches_the_event(house: House) -> None:
    house.publish(with_fields("headed"), headers={"trace_id": "from-the-header"})
    house.wait_for_end("headed")
    assert house.rows("SELECT trace_id FROM trading_signals WHERE signal_id = 'headed'") == [
        {"trace_id": "from-the-header"}
    ]


def test_a_symbol_that_is_not_listed_is_rejected_and_gets_no_queue(house: House) -> None:
    house.publish(market_signal("nope", "NOPEUSDT"), limit_signal("nope-2", "NOPEUSDT", price=1, spread=1))
    rows = house.wait_for_end("nope", "nope-2")
    wait_until(
        lambda: house.count("order_events WHERE symbol = 'NOPEUSDT' AND published_at IS NOT NULL") == 2,
        what="the rejections to be published",
    )
    assert [(row["state"], row["code"]) for row in rows] == [("rejected", "unknown_symbol")] * 2
    assert "NOPEUSDT" in rows[0]["reason"]
    assert house.count("lanes WHERE symbol = 'NOPEUSDT'") == 0
    assert not house.has_queue("orders.NOPEUSDT")
    assert house.has_queue("orders.BTCUSDT")


def test_two_hundred_signals_of_one_symbol_hold_no_other_up(house: House) -> None:
    house.publish(market_signal("eth-first", "ETHUSDT"))
    house.wait_for_end("eth-first")
    busy = [market_signal(f"busy-{number}", "BTCUSDT", amount=100) for number in range(200)]
    house.publish(*busy, market_signal("eth-quick", "ETHUSDT"))
    (quick,) = house.wait_for_end("eth-quick")
    left = house.count("trading_signals WHERE signal_id LIKE 'busy-%' AND state IN ('waiting', 'planned')")
    rows = house.wait_for_end(*(signal["signal_id"] for signal in busy), timeout_s=60)

    assert left > 0  # it did not wait for the end of them
    assert (quick["finished_at"] - quick["received_at"]).total_seconds() < 3
    assert {row["state"] for row in rows} == {"executed"}


def test_odd_headers_never_stop_the_line(house: House) -> None:
    for headers in ODD_HEADERS:
        house.publish(b"not json", with_fields("odd-1", amount=-1), with_fields("odd-2"), headers=headers)
    pass_by(house)
