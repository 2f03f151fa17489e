"""order-manager send: onto the queue on either broker, all of them or none."""

import json
from pathlib import Path

import kombu
import pytest

from order_manager.messaging.sender import written_signals
from tests.cli.conftest import Call, one_line, told
from tests.servers import broker_url

QUEUE = "model-service.trading_signals"


def a_signal(name: str, amount: str = "100.10") -> str:
    return f'{{"signal_id": "{name}", "signal_type": "buy", "asset": "BTCUSDT", "amount": {amount}}}'


def body_of(message: kombu.Message) -> str:
    return message.body if isinstance(message.body, str) else bytes(message.body).decode()


def waiting(env) -> list[kombu.Message]:
    """What is on the queue, taken off it."""
    with kombu.Connection(broker_url(env)) as connection:
        queue = kombu.Queue(QUEUE, no_declare=True)(connection.default_channel)
        found = []
        while message := queue.get(no_ack=True):
            found.append(message)
        return found


@pytest.mark.parametrize(
    "text",
    [
        f"[{a_signal('a')}, {a_signal('b')}]",
        f"{a_signal('a')}\n\n{a_signal('b')}\n",
    ],
    ids=["array", "lines"],
)
def test_each_signal_is_a_message_as_it_was_written(call: Call, broker, text: str) -> None:
    assert call("send", stdin=text, **broker).output == "sent 2 signals\n"
    messages = waiting(broker)
    assert [body_of(message) for message in messages] == [a_signal("a"), a_signal("b")]
    assert all(message.properties["delivery_mode"] == 2 for message in messages)


def test_a_file_may_hold_one_signal_over_several_lines(call: Call, broker, tmp_path: Path) -> None:
    path = tmp_path / "signal.json"
    path.write_text(json.dumps(json.loads(a_signal("a")), indent=2))
    result = told(call("send", str(path), "--json", **broker))
    assert (result["sent"], result["signals"][0]["signal_id"]) == (1, "a")
    assert len(waiting(broker)) == 1


@pytest.mark.rabbitmq
def test_a_queue_that_its_owner_made_is_taken_as_it_is(call: Call, redis_server, rabbitmq_env) -> None:
    env = {**redis_server.environment(), **rabbitmq_env}
    with kombu.Connection(broker_url(env)) as connection:
        channel = connection.default_channel
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-max-length": 1000})
    assert call("send", stdin=a_signal("a"), **env).output == "sent 1 signal\n"
    assert len(waiting(env)) == 1


def test_one_that_is_no_signal_keeps_all_back_and_is_named(call: Call, broker) -> None:
    text = f"{a_signal('a')}\n{a_signal('b', '0')}\nnonsense\n"
    result = call("send", "-", stdin=text, **broker)
    assert (result.exit_code, result.stdout) == (1, "")
    bad, worse, summary = result.stderr.splitlines()
    assert bad == "line 2 (signal b): amount must be above 0; it is 0"
    assert worse.startswith("line 3: the message is not JSON")
    assert summary == "nothing sent: 2 of 3 are no signals"
    errors = [one["error"] for one in told(call("send", "--json", stdin=text, **broker), status=1)["signals"]]
    assert errors[0] is None
    assert errors[1]["field"] == "amount"


def test_without_the_check_anything_is_sent(call: Call, redis_server) -> None:
    env = redis_server.environment()
    waiting(env)
    assert call("send", "--no-check", stdin="nonsense", **env).exit_code == 0
    [message] = waiting(env)
    assert body_of(message) == "nonsense"


def test_nothing_to_send_is_an_error(call: Call) -> None:
    assert "there is no signal in it" in one_line(call("send", stdin=" \n"))


def test_a_broker_that_is_away_is_said_with_what_was_sent(call: Call) -> None:
    said = one_line(call("send", stdin=a_signal("a")))
    assert "0 of 1 sent" in said
    assert "REDIS_HOST" in said


@pytest.mark.parametrize("text", [b"{\n 'x': 1}", b"[1, 2", b'{"signal_id": 1', b"\xff"])
def test_what_is_no_json_is_one_bad_message(text: bytes) -> None:
    [written] = written_signals(text, is_checked=True, max_bytes=1000)
    assert written.error is not None


def test_numbers_of_an_array_stay_as_they_were_written() -> None:
    numbers = '"amount": 100.10, "n": 1e-7, "big": 123456789012345678901234567890'
    text = f'[{{{numbers}, "deep": [{{"x": 0.0}}], "t": "é"}}]'
    [written] = written_signals(text.encode(), is_checked=False, max_bytes=1000)
    assert written.body == text[1:-1].replace("é", "\\u00e9").encode()
