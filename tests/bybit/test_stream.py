"""The private stream: connect, subscribe, announce the gap, then the rows; and again after any loss."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from order_manager.bybit.stream import PrivateStream, Timing
from order_manager.embedded import free_port
from tests.bybit.pretend_stream import PretendStream, a_stream, data, nothing
from tests.bybit.stream_desk import SUBSCRIBED, Desk, following, until


@pytest.fixture
def exchange() -> Iterator[PretendStream]:
    with a_stream() as pretend:
        yield pretend


def test_it_authenticates_subscribes_announces_a_gap_and_then_hands_over_rows(exchange):
    desk = Desk()
    exchange.on_subscribe = [json.dumps(data("order", {"id": "early"}))]
    with following(exchange.url, desk):
        until(lambda: SUBSCRIBED in desk.told)
        exchange.send(data("execution", {"id": "e-1"}, {"id": "e-2"}))
        until(lambda: ("execution", "e-2") in desk.told)
    assert exchange.ops()[:2] == ["auth", "subscribe"]
    assert exchange.seen[1]["args"] == ["order", "execution", "position", "wallet"]
    assert desk.told == [SUBSCRIBED, ("order", "early"), ("execution", "e-1"), ("execution", "e-2")]
    assert abs((datetime.now(UTC) - desk.times[-1]).total_seconds()) < 5


def test_numbers_stay_as_they_were_written(exchange):
    desk = Desk()
    with following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send('{"topic":"wallet","data":[{"id":1,"a":0.10,"seq":9007199254740993,"s":"1.50"}]}')
        until(lambda: desk.calls)
    [(topic, [row])] = desk.calls
    assert (topic, row["a"], str(row["a"])) == ("wallet", Decimal("0.1"), "0.10")
    assert (row["seq"], row["s"]) == (9007199254740993, "1.50")


def test_frames_that_wait_are_handed_over_together_by_topic_in_their_order(exchange):
    desk, is_in, may_go = Desk(), threading.Event(), threading.Event()

    def hold(what: str) -> None:
        if what != "gap" and not is_in.is_set():
            is_in.set()
            may_go.wait(5)

    desk.fail = hold
    with following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(data("order", {"id": "first"}))
        assert is_in.wait(5)
        for number in range(300):
            exchange.send(data("execution" if number % 3 else "order", {"id": number}))
        time.sleep(0.1)
        may_go.set()
        until(lambda: len(desk.told) == 302)
    for topic in ("order", "execution"):
        ids = [
            row["id"] for name, rows in desk.calls for row in rows if name == topic and row["id"] != "first"
        ]
        assert ids == sorted(ids)
    assert len(desk.calls) == 5  # the first, then at most 200 rows at a time, each in two topics
    assert max(sum(map(len, rows)) for rows in [[r for _, r in desk.calls[1:3]]]) <= 200


def test_a_cut_connection_is_replaced_at_once_and_is_a_gap(exchange):
    desk = Desk()
    with following(exchange.url, desk, timing=Timing(healthy_s=0.1, first_pause_s=30, longest_pause_s=30)):
        for cuts in (1, 2):
            until(lambda cuts=cuts: desk.told.count(SUBSCRIBED) == cuts)
            time.sleep(0.12)  # healthy
            exchange.cut()
        until(lambda: desk.told.count(SUBSCRIBED) == 3)
        exchange.send(data("order", {"id": "after"}))
        until(lambda: ("order", "after") in desk.told)


def test_rows_before_the_cut_are_handed_over(exchange):
    desk = Desk()
    with following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(data("order", {"id": 1}), data("execution", {"id": 2}))
        exchange.connections[-1].close()
        until(lambda: desk.told.count(SUBSCRIBED) == 2)
    assert desk.told[:4] == [SUBSCRIBED, ("order", 1), ("execution", 2), SUBSCRIBED]


def test_the_pauses_between_failures_grow_to_a_limit(monkeypatch):
    stream = PrivateStream("ws://nowhere", api_key="", api_secret="", on_rows=print, on_gap=print)
    pauses = [stream._pause_after(OSError(), failures) for failures in range(200)]
    assert pauses[0] == 0
    assert 0.25 <= pauses[1] <= 0.5
    assert all(7.5 <= pause <= 15 for pause in pauses[7:])
    assert len(set(pauses[7:])) > 100


def test_an_exchange_that_is_away_is_tried_until_it_is_there():
    desk, url = Desk(), f"ws://127.0.0.1:{free_port()}"
    with capture_logs() as logs, following(url, desk):
        until(lambda: len(logs) >= 4)
    assert {line["event"] for line in logs} == {"stream_lost"}
    assert desk.told == []


def test_a_quiet_connection_is_pinged_in_text_and_kept(exchange):
    desk = Desk()
    with following(exchange.url, desk):
        until(lambda: exchange.ops().count("ping") >= 4)
    assert desk.told == [SUBSCRIBED]
    assert len(exchange.connections) == 1


def test_a_peer_that_answers_no_ping_is_given_up_soon(exchange):
    desk = Desk()
    exchange.answers["ping"] = nothing
    with capture_logs() as logs, following(exchange.url, desk):
        until(lambda: desk.told.count(SUBSCRIBED) == 2, seconds=3)
    assert next(line for line in logs if line["event"] == "stream_lost")["error_type"] == "PeerSilent"


def test_data_counts_as_a_sign_of_life(exchange):
    desk = Desk()
    exchange.answers["ping"] = nothing
    with following(exchange.url, desk):
        until(lambda: desk.told)
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            exchange.send(data("order", {"id": 1}))
            time.sleep(0.02)
    assert len(exchange.connections) == 1


def test_the_default_deadlines_notice_a_dead_peer_within_half_a_minute():
    timing = Timing()
    assert timing.ping_every_s == 20
    assert timing.ping_every_s + timing.pong_within_s <= 30


def test_a_wrong_key_is_an_error_is_tried_slowly_and_is_not_logged(exchange):
    desk = Desk()
    with capture_logs() as logs, following(exchange.url, desk, secret="wrong"):
        until(lambda: len(exchange.connections) == 1)
        time.sleep(0.2)
        assert len(exchange.connections) == 1
        until(lambda: len(exchange.connections) == 2)
    assert "subscribe" not in exchange.ops()
    assert desk.told == []
    denied = [line for line in logs if line["event"] == "stream_denied"]
    assert denied[0]["log_level"] == "error"
    assert denied[0]["error"] == "auth: bad key ***"


@pytest.mark.parametrize(
    "answer", [{"success": False, "ret_msg": "no"}, {"ret_msg": ""}, {"success": "true"}]
)
def test_a_subscription_that_is_not_confirmed_is_not_trusted(exchange, answer):
    desk = Desk()
    exchange.on_subscribe = [json.dumps(data("order", {"id": 1}))]
    exchange.answers["subscribe"] = lambda frame: {"op": "subscribe", **answer}
    with following(exchange.url, desk):
        until(lambda: len(exchange.connections) >= 3)
    assert desk.told == []


@pytest.mark.parametrize("op", ["auth", "subscribe"])
def test_an_answer_that_does_not_come_is_not_waited_for_long(exchange, op):
    desk = Desk()
    exchange.answers[op] = nothing
    with following(exchange.url, desk):
        until(lambda: len(exchange.connections) >= 2)
    assert desk.told == []


def test_a_belated_refusal_ends_the_connection(exchange):
    desk = Desk()
    with following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send({"op": "auth", "success": False, "ret_msg": "expired"})
        until(lambda: desk.told.count(SUBSCRIBED) == 2)


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "nonsense",
        "[1]",
        "null",
        b"\xff\xfe",
        '{"topic": "order"}',
        '{"topic": "order", "data": {"id": 1}}',
        '{"topic": "order", "data": [{"id": 1}, 2]}',
        '{"topic": "order", "data": [{"id": NaN}]}',
        '{"a":' * 20_000,
    ],
    ids=lambda frame: repr(frame[:45]),
)
def test_a_frame_that_cannot_be_read_is_told_and_is_a_gap(exchange, garbage):
    desk = Desk()
    with capture_logs() as logs, following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(garbage, data("order", {"id": 7}))
        until(lambda: len(desk.told) == 3)
    assert sorted(map(str, desk.told)) == ["('order', 7)", "stream frame unreadable", SUBSCRIBED]
    assert len(exchange.connections) == 1
    assert [line["event"] for line in logs].count("stream_frame_ignored") == 1


def test_many_frames_that_cannot_be_read_are_few_gaps(exchange):
    desk = Desk()
    with following(exchange.url, desk):
        until(lambda: desk.told)
        for _ in range(200):
            exchange.send("nonsense")
            time.sleep(0.001)
        exchange.send(data("order", {"id": 7}))
        until(lambda: ("order", 7) in desk.told)
    assert 1 <= desk.told.count("stream frame unreadable") <= 12


@pytest.mark.parametrize(
    "frame",
    [
        data("greeks", {"id": 1}),
        data("execution.fast", {"id": 1}),
        {"op": "dance"},
        {},
        {"topic": 5},
        {"op": "subscribe", "success": True},
    ],
    ids=str,
)
def test_what_is_unknown_is_told_and_ignored(exchange, frame):
    desk = Desk()
    with capture_logs() as logs, following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(frame, data("order", {"id": 7}))
        until(lambda: ("order", 7) in desk.told)
        time.sleep(0.1)
    assert desk.told == [SUBSCRIBED, ("order", 7)]
    assert "stream_frame_ignored" in [line["event"] for line in logs]


def test_rows_are_offered_again_until_they_are_taken(exchange):
    desk, failures = Desk(), [OSError("the database is away")] * 3

    def fail(what: str) -> None:
        if what == "order" and failures:
            raise failures.pop()

    desk.fail = fail
    with capture_logs() as logs, following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(data("order", {"id": 1}))
        exchange.send(data("order", {"id": 2}))
        until(lambda: ("order", 2) in desk.told)
    assert desk.told == [SUBSCRIBED, ("order", 1), ("order", 2)]
    assert len(exchange.connections) == 1
    assert [line["event"] for line in logs].count("stream_handover_failed") == 3


def test_rows_that_nobody_takes_are_made_up_for_by_a_gap(exchange):
    desk, is_away = Desk(), threading.Event()
    is_away.set()

    def fail(what: str) -> None:
        if what == "order" and is_away.is_set():
            raise OSError("the database is away")

    desk.fail = fail
    with capture_logs() as logs, following(exchange.url, desk):
        until(lambda: desk.told)
        exchange.send(data("order", {"id": 1}))
        until(lambda: desk.told.count(SUBSCRIBED) == 2)
        is_away.clear()
        exchange.send(data("order", {"id": 2}))
        until(lambda: ("order", 2) in desk.told)
    assert "stream_rows_given_up" in [line["event"] for line in logs]
    assert ("order", 1) not in desk.told


def test_no_row_is_handed_over_before_the_gap_was_announced(exchange):
    desk, failures = Desk(), [OSError("the broker is away")] * 8

    def fail(what: str) -> None:
        if what == "gap" and failures:
            raise failures.pop()

    desk.fail = fail
    exchange.on_subscribe = [json.dumps(data("order", {"id": 1}))]
    with following(exchange.url, desk):
        until(lambda: ("order", 1) in desk.told)
    assert desk.told[0] == SUBSCRIBED


def test_a_stop_ends_a_retry_at_once_and_rows_in_hand_are_offered_once_more(exchange):
    desk, tried = Desk(), []

    def fail(what: str) -> None:
        if what == "order":
            tried.append(what)
            raise OSError("the database is away")

    desk.fail = fail
    patient = Timing(insist_s=60, insist_pause_s=5)
    with following(exchange.url, desk, timing=patient) as stream:
        until(lambda: desk.told)
        exchange.send(data("order", {"id": 1}))
        until(lambda: tried)
        stream.stop()
    assert len(tried) == 2
