"""Dead letters: looked at, replayed, set aside."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from sqlalchemy import select

from order_manager.database.dead_letters import SHOWN_BYTES, DeadLetterStore
from order_manager.database.tables import dead_letters, exchange_updates
from order_manager.database.update_rows import update_values
from order_manager.messaging.intake_redis import unwrapped
from order_manager.queues import ORDER_UPDATES, SIGNALS
from order_manager.services.dead_letters import Replaying, replay_letter
from order_manager.tasks import exchange_updates as updating
from order_manager.tasks.dead_letters import build_replaying
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.builders import at
from tests.bybit.test_client import an_order as a_bybit_order
from tests.servers import RedisServer, flush
from tests.web.conftest import Api, RuntimeOf
from tests.web.rows import add_dead_letter, add_lane

LETTERS = "/api/v1/dead-letters"
BODY, HEADERS = b'{"signal_id": "s-1", "amount": 1000.10}', {"trace_id": "trace-1"}


@pytest.fixture(scope="module")
def runtime(runtime_of: RuntimeOf, redis_server: RedisServer) -> Runtime:
    return runtime_of(**redis_server.environment())


@pytest.fixture
def queue(redis_server: RedisServer) -> Callable[[str], list[Any]]:
    """What the consumer would read off a queue."""
    flush(redis_server)

    def waiting(name: str) -> list[Any]:
        with redis.Redis.from_url(redis_server.url()) as server:
            return [unwrapped(raw) for raw in server.lrange(name, 0, -1)]

    return waiting


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    symbols: list[str] = []
    monkeypatch.setattr(updating, "wake", symbols.append)
    monkeypatch.setattr(updating, "send_open_symbol", symbols.append)
    return symbols


def ids(api: Api, **query: Any) -> list[int]:
    return [letter["id"] for letter in api.get(LETTERS, **query)["dead_letters"]]


def state_of(api: Api, number: int) -> str:
    state: str = api.get(f"{LETTERS}/{number}")["state"]
    return state


def refused(api: Api, number: int, code: str, action: str = "replay") -> None:
    before = state_of(api, number)
    answer = api.post(f"{LETTERS}/{number}/{action}")
    assert (answer.status_code, answer.json["code"]) == (409, code), answer.text
    assert state_of(api, number) == before


def waiting_updates(runtime: Runtime) -> list[Any]:
    with runtime.engine.connect() as connection:
        return list(connection.execute(select(exchange_updates)).mappings())


# Looking


def test_a_dead_letter_shows_why_and_the_message(api: Api, runtime: Runtime) -> None:
    number = add_dead_letter(runtime, body=BODY)

    summary = {
        "id": number,
        "queue": SIGNALS,
        "code": "missing_field",
        "field": "amount",
        "reason": "amount is missing",
        "state": "new",
        "received_at": "2026-01-02T03:04:05Z",
        "resolved_at": None,
        "signal_id": None,
        "size": len(BODY),
    }
    assert api.get(LETTERS)["dead_letters"] == [summary]
    assert api.get(f"{LETTERS}/{number}") == {
        **summary,
        "headers": HEADERS,
        "body": BODY.decode(),
        "body_base64": None,
    }


def test_bytes_that_are_no_text_are_shown_as_base64(api: Api, runtime: Runtime) -> None:
    number = add_dead_letter(runtime, body=b"a\xff")

    letter = api.get(f"{LETTERS}/{number}")

    assert (letter["body"], letter["body_base64"]) == (None, "Yf8=")


def test_of_a_large_message_the_beginning_is_shown(api: Api, runtime: Runtime) -> None:
    letter = api.get(f"{LETTERS}/{add_dead_letter(runtime, body=b'x' + 'ż'.encode() * SHOWN_BYTES)}")

    assert letter["size"] == 2 * SHOWN_BYTES + 1
    assert letter["body"] == "x" + "ż" * (SHOWN_BYTES // 2 - 1)  # no half of a character


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"queue": "stream.order"}, {"queue": "stream.order"}),
        ({"code": "invalid_json"}, {"code": "invalid_json"}),
        ({"state": "discarded"}, {"state": "discarded"}),
        ({"signal_id": "x-neg"}, {"signal_id": "x-neg"}),
        ({"date_from": "2026-01-03"}, {"received_at": at(86400)}),
        ({"date_to": "2026-01-01"}, {"received_at": at(-86400)}),
    ],
)
def test_a_filter_lets_only_its_letters_through(
    api: Api, runtime: Runtime, query: dict[str, str], columns: dict[str, Any]
) -> None:
    add_dead_letter(runtime)
    wanted = add_dead_letter(runtime, **columns)

    assert ids(api, **query) == [wanted]


def test_the_newest_letter_comes_first(api: Api, runtime: Runtime) -> None:
    first, second = add_dead_letter(runtime), add_dead_letter(runtime)

    assert ids(api) == [second, first]
    assert ids(api, sort_order="asc", limit=1) == [first]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.0", "9" * 19, "9" * 40, "%00", "١"])
def test_an_unknown_letter_is_not_found(api: Api, number: str) -> None:
    for answer in (
        api.answer(f"{LETTERS}/{number}"),
        api.post(f"{LETTERS}/{number}/replay"),
        api.post(f"{LETTERS}/{number}/discard"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "dead_letter_not_found")


# Replaying what came off a queue


def test_a_signal_is_published_again_as_it_came(api: Api, runtime: Runtime, queue: Any) -> None:
    number = add_dead_letter(runtime, body=BODY)

    answer = api.post(f"{LETTERS}/{number}/replay")

    assert (answer.status_code, answer.json["state"]) == (200, "replayed"), answer.text
    assert answer.json["resolved_at"] is not None
    [(body, headers)] = queue(SIGNALS)
    assert (body, headers["trace_id"]) == (BODY, "trace-1")
    refused(api, number, "dead_letter_resolved")
    refused(api, number, "dead_letter_resolved", "discard")
    assert len(queue(SIGNALS)) == 1


def test_what_the_broker_did_not_confirm_is_still_new(
    api: Api, runtime: Runtime, runtime_of: RuntimeOf
) -> None:
    number = add_dead_letter(runtime)
    cut_off = Api(create_app(runtime_of()).test_client())  # its broker is away

    answer = cut_off.post(f"{LETTERS}/{number}/replay")

    assert (answer.status_code, answer.json["code"]) == (503, "broker_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert state_of(api, number) == "new"


def test_a_death_after_the_broker_has_it_leaves_it_new_so_that_it_is_replayed_again(
    api: Api, runtime: Runtime, queue: Any
) -> None:
    number = add_dead_letter(runtime, body=BODY)
    replaying = build_replaying(runtime)

    def publish_and_die(*message: Any) -> None:
        replaying.publish(*message)
        raise SystemExit

    dying = {name: getattr(replaying, name) for name in Replaying.__slots__} | {"publish": publish_and_die}
    with pytest.raises(SystemExit):
        replay_letter(number, replaying=Replaying(**dying))

    assert state_of(api, number) == "new"
    assert api.post(f"{LETTERS}/{number}/replay").status_code == 200
    assert [body for body, _ in queue(SIGNALS)] == [BODY, BODY]  # the inbox drops the second


def test_two_who_replay_at_once_publish_once(api: Api, runtime: Runtime, queue: Any) -> None:
    number = add_dead_letter(runtime)
    outcomes = []

    def replay() -> None:
        client = Api(create_app(runtime).test_client())
        outcomes.append(client.post(f"{LETTERS}/{number}/replay").status_code)

    with DeadLetterStore(runtime.engine).taking(number):  # until both are there
        threads = [threading.Thread(target=replay) for _ in range(2)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [200, 409]
    assert len(queue(SIGNALS)) == 1


def test_only_what_somebody_takes_is_published(
    api: Api, runtime: Runtime, runtime_of: RuntimeOf, redis_server: RedisServer, queue: Any
) -> None:
    with_gateway = {**redis_server.environment(), "WS_GATEWAY_HOST": "gateway"}
    letters = [add_dead_letter(runtime, queue=name) for name in (ORDER_UPDATES, "ws-gateway.balance", "x")]

    for number in letters:
        refused(api, number, "queue_not_consumed")
    for env, status in ((with_gateway | {"ORDERMANAGER_ENABLE_DRY_RUN": "true"}, 409), (with_gateway, 200)):
        other = Api(create_app(runtime_of(**env)).test_client())
        assert other.post(f"{LETTERS}/{letters[0]}/replay").status_code == status
    assert other.post(f"{LETTERS}/{letters[1]}/replay").status_code == 409  # an old balance is no news
    assert len(queue(ORDER_UPDATES)) == 1


# Replaying updates of the exchange


@pytest.mark.parametrize("source", ["stream", "gateway"])
def test_an_update_that_can_be_read_by_now_is_kept_for_its_lane(
    api: Api, runtime: Runtime, woken: list[str], source: str
) -> None:
    add_lane(runtime)
    body = json.dumps(a_bybit_order(symbol="BTCUSDT")).encode()
    number = add_dead_letter(runtime, queue=f"{source}.order", code="unreadable_update", body=body)

    assert api.post(f"{LETTERS}/{number}/replay").status_code == 200

    [update] = waiting_updates(runtime)
    assert (update["symbol"], update["kind"], update["source"]) == ("BTCUSDT", "order", source)
    assert update["received_at"] == at(0)  # as old as it is
    assert woken == ["BTCUSDT"]


def test_an_update_that_could_not_be_applied_waits_for_its_lane_again(
    api: Api, runtime: Runtime, woken: list[str]
) -> None:
    add_lane(runtime)
    read = updating.update_receiver(runtime)._readers["order"](a_bybit_order(symbol="BTCUSDT"))
    body = json.dumps(update_values(read)).encode()
    number = add_dead_letter(runtime, queue="stream.order", code="update_not_applied", body=body)

    assert api.post(f"{LETTERS}/{number}/replay").status_code == 200

    [update] = waiting_updates(runtime)
    assert update["body"] == update_values(read)
    assert woken == ["BTCUSDT"]


@pytest.mark.parametrize("code", ["unreadable_update", "update_not_applied"])
@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"[" * 9999, b"\xff", b'{"symbol": "BTCUSDT", "quantity": "x"}']
)
def test_an_update_that_can_still_not_be_read_stays_the_letter_that_it_is(
    api: Api, runtime: Runtime, code: str, body: bytes
) -> None:
    number = add_dead_letter(runtime, queue="stream.order", code=code, body=body)

    refused(api, number, "update_unreadable")

    assert ids(api) == [number]
    assert waiting_updates(runtime) == []


def test_an_old_position_is_no_news(api: Api, runtime: Runtime) -> None:
    refused(api, add_dead_letter(runtime, queue="stream.position", body=b"{}"), "update_outdated")


def test_a_dry_run_takes_no_updates(runtime: Runtime, api: Api, runtime_of: RuntimeOf) -> None:
    dry = Api(create_app(runtime_of(ORDERMANAGER_ENABLE_DRY_RUN="true")).test_client())

    refused(dry, add_dead_letter(runtime, queue="stream.order", body=b"{}"), "dry_run")


# Setting aside


@pytest.mark.parametrize("body", [None, {}, {"reason": "sent again by hand"}, {"reason": None}])
def test_a_letter_is_set_aside_and_kept(api: Api, runtime: Runtime, body: Any) -> None:
    number = add_dead_letter(runtime, body=BODY)

    answer = api.post(f"{LETTERS}/{number}/discard", body)

    assert (answer.status_code, answer.json["state"]) == (200, "discarded"), answer.text
    assert api.get(f"{LETTERS}/{number}")["body"] == BODY.decode()
    refused(api, number, "dead_letter_resolved")


def test_the_letters_of_the_table_are_what_is_counted(api: Api, runtime: Runtime) -> None:
    for _ in range(3):
        add_dead_letter(runtime)
    with runtime.engine.connect() as connection:
        stored = list(connection.execute(select(dead_letters.c.id)).scalars())

    assert api.get(LETTERS, limit=1)["pagination"] == {"limit": 1, "offset": 0, "total": len(stored)}
