"""What can go wrong on the private stream, on demand."""

import time
from collections.abc import Callable

import aiohttp
import pytest

from .client import Client, Control
from .stream_client import StreamClient


def prices(stream: StreamClient, topic: str = "order") -> list[str]:
    return [row["price"] for row in stream.rows(topic)]


def place(client: Client, *prices: str) -> None:
    for price in prices:
        client.limit("Buy", "0.010", price)


def test_duplicates_come_twice_with_the_same_id(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="duplicate", topic="order", count=1)
    with StreamClient(control.url) as stream:
        stream.login("order", "position")
        place(client, "49000.00", "48000.00")
        stream.settle()
        assert prices(stream) == ["49000.00", "49000.00", "48000.00"]
        first, second, third = stream.told("order")
        assert first == second != third
        assert len(stream.rows("position")) == 2


def test_dropped_messages_never_come(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="drop", topic="order", count=2)
    with StreamClient(control.url) as stream:
        stream.login("order", "position")
        place(client, "49000.00", "48000.00", "47000.00")
        stream.settle()
        assert prices(stream) == ["47000.00"]
        assert len(stream.rows("position")) == 3
    assert control.get("stream-faults")["applied"] == 2
    assert control.get("stream-faults")["faults"] == []
    (spent,) = control.get("stream-faults")["spent"]
    assert (spent["kind"], spent["applied"], spent["left"]) == ("drop", 2, 0)


def test_a_delayed_message_is_overtaken(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="delay", topic="order", delay_ms=300)
    with StreamClient(control.url) as stream:
        stream.login("order")
        started = time.monotonic()
        place(client, "49000.00", "48000.00")
        stream.wait_rows("order", 2)
        assert time.monotonic() - started >= 0.3
        assert prices(stream) == ["48000.00", "49000.00"]
        second, first = stream.told("order")
        assert first["creationTime"] <= second["creationTime"]  # when it happened, not when it was sent


def test_reordering_swaps_a_message_with_the_next(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="reorder", topic="order", count=2)
    with StreamClient(control.url) as stream:
        stream.login("order", "position")
        place(client, "49000.00", "48000.00", "47000.00", "46000.00", "45000.00")
        stream.settle()
        assert prices(stream) == ["48000.00", "49000.00", "46000.00", "47000.00", "45000.00"]
        assert len(stream.rows("position")) == 5


def test_reordering_goes_across_topics_when_it_covers_all(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="reorder")
    with StreamClient(control.url) as stream:
        stream.login("order", "execution")
        client.market("Buy", "0.010")
        stream.settle()
        assert [m["topic"] for m in stream.messages if "topic" in m] == ["execution", "order"]


def test_a_message_held_back_in_vain_comes_in_the_end(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="reorder", topic="order", delay_ms=300)
    with StreamClient(control.url) as stream:
        stream.login("order")
        place(client, "49000.00")
        stream.settle()
        assert prices(stream) == []
        stream.wait_rows("order", 1)


def test_clearing_the_faults_sends_what_was_held_back(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="reorder", topic="order", delay_ms=60_000)
    with StreamClient(control.url) as stream:
        stream.login("order")
        place(client, "49000.00")
        stream.settle()
        assert control.get("streams")["connections"][0]["held"] == 1
        control.call("DELETE", "stream-faults")
        stream.wait_rows("order", 1)


def test_chance_repeats_with_its_seed(client: Client, control: Control) -> None:
    def surviving(seed: int) -> list[str]:
        control.call("DELETE", "stream-faults")
        shown = control.post("stream-faults", kind="drop", topic="order", probability=0.5, seed=seed)
        assert shown["faults"][0]["left"] is None
        with StreamClient(control.url) as stream:
            stream.login("order")
            place(client, *(f"{49000 - n}.00" for n in range(30)))
            stream.settle()
            return prices(stream)

    first = surviving(1)
    assert 5 < len(first) < 25
    assert surviving(1) == first != surviving(2)


def test_chance_and_count_together(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="duplicate", topic="order", probability=0.5, count=3)
    with StreamClient(control.url) as stream:
        stream.login("order")
        place(client, *(f"{49000 - n}.00" for n in range(30)))
        stream.settle()
        assert len(prices(stream)) == 33


def test_faults_keep_to_their_account_and_topic(
    client: Client, control: Control, new_client: Callable[..., Client]
) -> None:
    other = new_client("OTHER")
    control.post("stream-faults", kind="drop", topic="order", account="OTHER", count=9)
    with StreamClient(control.url) as mine, StreamClient(control.url) as theirs:
        mine.login("order")
        theirs.login("order.linear", "position.linear", key="OTHER", secret="s-OTHER")
        place(client, "49000.00")
        place(other, "49000.00")
        mine.wait_rows("order", 1)
        theirs.wait_rows("position.linear", 1)
        assert theirs.rows("order.linear") == []  # "order" means its categories, too
    (fault,) = control.get("stream-faults")["faults"]
    assert (fault["left"], fault["applied"], fault["account"]) == (8, 1, "OTHER")


def test_all_streams_of_an_account_can_be_cut(control: Control, new_client: Callable[..., Client]) -> None:
    new_client("OTHER")
    with (
        StreamClient(control.url) as one,
        StreamClient(control.url) as two,
        StreamClient(control.url) as other,
    ):
        one.login("order")
        two.login()
        other.login("order", key="OTHER", secret="s-OTHER")
        assert control.post("stream-faults", kind="disconnect", account="KEY")["disconnected"] == 2
        one.wait_closed()
        two.wait_closed()
        assert one.close_code == 1006
        other.settle()
        assert control.post("stream-faults", kind="disconnect")["disconnected"] == 1
        other.wait_closed()


def test_connections_are_refused_by_count_and_by_time(control: Control) -> None:
    shown = control.post("stream-faults", kind="refuse", count=2)
    assert shown["refuse"] == {"left": 2, "for_ms": 0}
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            StreamClient(control.url).__enter__()
    with StreamClient(control.url) as stream:
        stream.login("order")
        shown = control.post("stream-faults", kind="refuse", for_ms=200)
        assert shown["refuse"]["left"] == 0
        assert 0 < shown["refuse"]["for_ms"] <= 200
        with pytest.raises(aiohttp.WSServerHandshakeError):
            StreamClient(control.url).__enter__()
        stream.settle()  # those who are in stay in
    time.sleep(0.2)
    with StreamClient(control.url) as stream:
        stream.login("order")
    assert control.get("streams")["refused"] == 3


def test_a_reset_lifts_faults_and_forgets_what_they_hold(client: Client, control: Control) -> None:
    control.post("stream-faults", kind="reorder", topic="order", delay_ms=250)
    control.post("stream-faults", kind="delay", topic="order", delay_ms=250)
    control.post("stream-faults", kind="drop", topic="order", probability=0.5)
    control.post("stream-faults", kind="refuse", count=5)
    control.post("stream-faults", kind="refuse", for_ms=60_000)
    control.post("reset")
    assert control.get("stream-faults") == {
        "faults": [], "applied": 0, "refuse": {"left": 0, "for_ms": 0}
    }  # fmt: skip
    control.post("stream-faults", kind="reorder", topic="order", delay_ms=250)
    control.post("stream-faults", kind="delay", topic="order", delay_ms=250)
    with StreamClient(control.url) as stream:
        stream.login("order")
        place(client, "40000.00", "41000.00")
        control.post("reset")
        time.sleep(0.3)
        stream.settle()
        assert prices(stream) == []
        place(client, "42000.00")
        stream.wait_rows("order", 1)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "nonsense"},
        {"kind": "drop", "topic": "orders"},
        {"kind": "drop", "count": 0},
        {"kind": "drop", "probability": 0},
        {"kind": "drop", "probability": 1.5},
        {"kind": "drop", "probability": "half"},
        {"kind": "delay", "delay_ms": -1},
        {"kind": "refuse", "count": -1},
        {"kind": "refuse", "for_ms": "soon"},
    ],
)
def test_stream_faults_that_make_no_sense(control: Control, body: dict[str, object]) -> None:
    headers = {"X-Control-Token": control.token}
    answer = control.session.post(
        f"{control.url}/control/stream-faults", json=body, headers=headers, timeout=5
    )
    assert answer.status_code == 400
    assert answer.json()["error"]
