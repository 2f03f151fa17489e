"""order-manager dead-letters."""

import kombu

from tests.cli.conftest import Call, one_line, told
from tests.servers import broker_url
from tests.web.rows import add_dead_letter


def numbers(call: Call, *options: str) -> list[int]:
    return [letter["id"] for letter in told(call("dead-letters", "list", "--json", *options))["dead_letters"]]


def test_they_are_listed_newest_first_by_state_and_queue(call: Call, runtime) -> None:
    first, second = add_dead_letter(runtime), add_dead_letter(runtime, queue="stream.order")
    gone = add_dead_letter(runtime, state="discarded")
    assert numbers(call) == [second, first]
    assert numbers(call, "--state", "all") == [gone, second, first]
    assert numbers(call, "--queue", "stream.order") == [second]
    assert numbers(call, "--limit", "1") == [second]
    named = add_dead_letter(runtime, signal_id="x-neg")
    assert numbers(call, "--signal", "x-neg") == [named]
    assert "x-neg" in call("dead-letters", "list").output
    assert "amount is missing" in call("dead-letters", "list").output
    assert call("dead-letters", "list", "--state", "replayed").output == "no dead letters that are replayed\n"


def test_one_is_shown_with_its_message(call: Call, runtime) -> None:
    number = add_dead_letter(runtime, body=b'{"signal_id": "\xff"}')
    assert told(call("dead-letters", "show", str(number), "--json"))["body"] == '{"signal_id": "\\xff"}'
    shown = call("dead-letters", "show", str(number)).output
    assert "code: missing_field" in shown
    assert '{"signal_id": "\\xff"}' in shown
    assert "no dead letter 999999" in one_line(call("dead-letters", "show", "999999"))


def test_replaying_hands_the_message_in_and_one_that_cannot_be_keeps_no_other(
    call: Call, runtime, broker
) -> None:
    number = add_dead_letter(runtime, body=b"as it came")
    with kombu.Connection(broker_url(broker)) as connection:
        queue = kombu.Queue("model-service.trading_signals")(connection.default_channel)
        queue.declare()
        result = call("dead-letters", "replay", "999999", str(number), "--json", **broker)
        message = queue.get(no_ack=True)
    assert [one["code"] for one in told(result, status=1)["results"]] == ["not_found", "replayed"]
    assert bytes(message.body) == b"as it came"
    again = call("dead-letters", "replay", str(number), **broker)
    assert (again.exit_code, again.stderr) == (1, f"{number}: this dead letter was replayed before\n")


def test_without_a_broker_it_stays_new(call: Call, runtime) -> None:
    number = add_dead_letter(runtime)
    result = call("dead-letters", "replay", str(number))
    assert result.exit_code == 1
    assert "REDIS_HOST" in result.stderr
    assert numbers(call) == [number]


def test_several_are_set_aside_at_once(call: Call, runtime) -> None:
    letters = [add_dead_letter(runtime), add_dead_letter(runtime)]
    assert call("dead-letters", "discard", *map(str, letters), "--reason", "old").exit_code == 0
    assert numbers(call) == []
    assert numbers(call, "--state", "discarded") == letters[::-1]
