"""GET /api/v1/signals and /api/v1/signals/{signal_id}; GET /api/v1/events."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from order_manager.wiring import Runtime
from tests.builders import at
from tests.web.conftest import Api
from tests.web.rows import add_dead_letter, add_event, add_lane, add_order, add_signal, relate

SIGNALS, EVENTS = "/api/v1/signals", "/api/v1/events"
DECISION = {
    "outcome": "rejection",
    "code": "max_exposure",
    "message": "too much",
    "limit": "50000",
    "value": "50001",
    "inputs": {"mode": "active", "available_balance": "123.45"},
    "checks": [
        {"rule": "trading_state", "limit": "active", "value": "active", "passed": True},
        {"rule": "max_exposure", "limit": "50000", "value": "50001", "passed": False},
    ],
}


def listed(api: Api, **query: Any) -> list[str]:
    return [signal["signal_id"] for signal in api.get(SIGNALS, **query)["signals"]]


def events(api: Api, **query: Any) -> list[str]:
    return [event["event_id"] for event in api.get(EVENTS, **query)["events"]]


# Signals


def test_a_signal_shows_what_came_in_and_what_became_of_it(api: Api, runtime: Runtime) -> None:
    add_signal(
        runtime,
        signal_id="s-1",
        state="rejected",
        code="max_exposure",
        reason="too much",
        decided_at=at(1),
        finished_at=at(2),
        notional=Decimal("1000.50"),
    )

    body = api.get(SIGNALS)

    [signal] = body["signals"]
    assert isinstance(signal.pop("seq"), int)
    assert signal == {
        "signal_id": "s-1",
        "asset": "BTCUSDT",
        "signal_type": "buy",
        "amount": "1000.5",
        "confidence": "0.85",
        "is_urgent": False,
        "snapshot_price": "50000",
        "snapshot_spread": "1.5",
        "strategy_id": "momentum",
        "trace_id": "trace-1",
        "attempt": 1,
        "state": "rejected",
        "code": "max_exposure",
        "reason": "too much",
        "timestamp": "2026-01-02T03:04:04Z",
        "received_at": "2026-01-02T03:04:05Z",
        "decided_at": "2026-01-02T03:04:06Z",
        "finished_at": "2026-01-02T03:04:07Z",
    }
    assert body["pagination"] == {"limit": 100, "offset": 0, "total": 1}


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"asset": "ETHUSDT"}, {"symbol": "ETHUSDT"}),
        ({"state": "failed"}, {"state": "failed"}),
        ({"code": "max_exposure"}, {"code": "max_exposure"}),
        ({"strategy_id": "mean / reversion"}, {"strategy_id": "mean / reversion"}),
        ({"signal_id": "the one"}, {"signal_id": "the one"}),
        ({"date_from": "2026-01-03"}, {"received_at": at(86400)}),
        ({"date_to": "2026-01-01"}, {"received_at": at(-86400)}),
    ],
)
def test_a_filter_lets_only_its_signals_through(
    api: Api, runtime: Runtime, query: dict[str, str], columns: dict[str, Any]
) -> None:
    add_signal(runtime)
    wanted = add_signal(runtime, **columns)

    assert listed(api, **query) == [wanted]


def test_the_last_to_arrive_comes_first_whatever_the_clock_said(api: Api, runtime: Runtime) -> None:
    first, second = add_signal(runtime, received_at=at(5)), add_signal(runtime, received_at=at(0))

    assert listed(api) == [second, first]
    assert listed(api, sort_order="asc") == [first, second]


@pytest.mark.parametrize(
    ("sort_by", "low", "high"),
    [
        ("decided_at", {"decided_at": at(0)}, {"decided_at": at(1)}),
        ("finished_at", {"finished_at": at(0)}, {"finished_at": at(1)}),
        ("asset", {"symbol": "BTCUSDT"}, {"symbol": "ETHUSDT"}),
        ("amount", {"notional": Decimal(9)}, {"notional": Decimal(10)}),
        ("state", {"state": "executed"}, {"state": "failed"}),
    ],
)
def test_signals_are_sorted_by_any_of_the_listed_fields(
    api: Api, runtime: Runtime, sort_by: str, low: dict[str, Any], high: dict[str, Any]
) -> None:
    higher, lower = add_signal(runtime, **high), add_signal(runtime, **low)

    assert listed(api, sort_by=sort_by, sort_order="asc") == [lower, higher]
    assert listed(api, sort_by=sort_by) == [higher, lower]


def test_equal_signals_keep_their_places_on_every_page(api: Api, runtime: Runtime) -> None:
    made = [add_signal(runtime) for _ in range(4)]

    pages = [listed(api, sort_by="state", sort_order="asc", limit=1, offset=place) for place in range(4)]

    assert [page[0] for page in pages] == made
    assert api.get(SIGNALS, limit=1)["pagination"]["total"] == 4


# One signal


def test_a_signal_tells_why_with_its_orders_its_events_and_its_message(api: Api, runtime: Runtime) -> None:
    signal_id = add_signal(runtime, decision=DECISION, body='{"amount": 1000.10, "żółw": 1}')
    order_id = add_order(runtime, signal_id=signal_id)
    cancelled = add_order(runtime, signal_id="an earlier one", created_at=at(-1))
    relate(runtime, signal_id, order_id)
    relate(runtime, signal_id, cancelled, "cancelled")
    told = [add_event(runtime, signal_id=signal_id, order_id=order_id) for _ in range(2)]
    add_event(runtime, signal_id="another")

    detail = api.get(f"{SIGNALS}/{signal_id}")

    assert detail["decision"] == DECISION
    assert [(order["id"], order["relation"]) for order in detail["orders"]] == [
        (cancelled, "cancelled"),
        (order_id, "placed"),
    ]
    assert [event["event_id"] for event in detail["events"]] == told
    assert detail["message"] == '{"amount": 1000.10, "żółw": 1}'
    assert detail["amount"] == "1000"


def test_a_signal_that_has_not_ended_says_what_it_waits_for(api: Api, runtime: Runtime) -> None:
    add_lane(runtime, blocked_since=at(0), blocked_reason="no answer", retry_at=at(5))
    first, ended = add_signal(runtime), add_signal(runtime, state="failed")

    waits = api.get(f"{SIGNALS}/{add_signal(runtime)}")["waits"]

    assert "no symbol worker has it; blocked since 2026-01-02 03:04:05" in waits.pop("summary")
    assert waits == {
        "has_lane": True,
        "is_worked": False,
        "worker": None,
        "signals_ahead": 1,
        "mode": "active",
        "must_reconcile": False,
        "blocked_since": "2026-01-02T03:04:05Z",
        "blocked_reason": "no answer",
        "retry_at": "2026-01-02T03:04:10Z",
    }
    assert api.get(f"{SIGNALS}/{first}")["waits"]["signals_ahead"] == 0
    assert api.get(f"{SIGNALS}/{ended}")["waits"] is None


@pytest.mark.parametrize("signal_id", ["a/b//c", "../x", "ż ółw?#%", "x" * 100])
def test_a_signal_is_found_whatever_its_sender_called_it(api: Api, runtime: Runtime, signal_id: str) -> None:
    add_signal(runtime, signal_id=signal_id)

    assert api.get(f"{SIGNALS}/{quote(signal_id, safe='')}")["signal_id"] == signal_id


@pytest.mark.parametrize("signal_id", ["unknown", "a%00b", "x" * 101, "%ff", "' OR 1=1 --"])
def test_an_unknown_signal_is_not_found(api: Api, runtime: Runtime, signal_id: str) -> None:
    add_signal(runtime)

    answer = api.answer(f"{SIGNALS}/{signal_id}")

    assert (answer.status_code, answer.json["code"]) == (404, "signal_not_found")


def test_a_signal_that_could_not_be_used_is_not_found_and_its_dead_letters_are(
    api: Api, runtime: Runtime
) -> None:
    add_dead_letter(runtime, signal_id="another")
    numbers = [add_dead_letter(runtime, signal_id="x-neg") for _ in range(2)]

    answer = api.answer(f"{SIGNALS}/x-neg")

    assert (answer.status_code, answer.json["code"]) == (404, "signal_not_found")
    assert f"/api/v1/dead-letters/{numbers[1]}" in answer.json["error"]
    assert [letter["id"] for letter in answer.json["details"]["dead_letters"]] == numbers[::-1]


# Events


def test_an_event_shows_the_message_and_when_the_broker_had_it(api: Api, runtime: Runtime) -> None:
    order_id = add_order(runtime)
    event_id = add_event(
        runtime, order_id=order_id, signal_id="s-1", event_type="filled", sequence=3, published_at=None
    )

    assert api.get(EVENTS)["events"] == [
        {
            "event_id": event_id,
            "event_type": "filled",
            "order_id": order_id,
            "signal_id": "s-1",
            "asset": "BTCUSDT",
            "sequence": 3,
            "trace_id": "trace-1",
            "created_at": "2026-01-02T03:04:05Z",
            "published_at": None,
            "message": {"order": None, "quantity": "0.5"},
        }
    ]


def test_events_of_an_order_are_found_by_any_of_its_ids(api: Api, runtime: Runtime) -> None:
    order_id = add_order(runtime, client_order_id="om-e", exchange_order_id="ex-e")
    told = [add_event(runtime, order_id=order_id) for _ in range(2)]
    add_event(runtime, order_id=add_order(runtime))

    for known_as in (order_id, "om-e", "ex-e"):
        assert events(api, order_id=known_as, sort_order="asc") == told
    assert events(api, order_id="unknown") == []


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"signal_id": "s-1"}, {"signal_id": "s-1"}),
        ({"asset": "ETHUSDT"}, {"symbol": "ETHUSDT"}),
        ({"event_type": "signal_failed"}, {"event_type": "signal_failed"}),
        ({"date_from": "2026-01-03"}, {"created_at": at(86400)}),
        ({"date_to": "2026-01-01"}, {"created_at": at(-86400)}),
    ],
)
def test_a_filter_lets_only_its_events_through(
    api: Api, runtime: Runtime, query: dict[str, str], columns: dict[str, Any]
) -> None:
    add_event(runtime)
    wanted = add_event(runtime, **columns)

    assert events(api, **query) == [wanted]


def test_the_newest_event_comes_first(api: Api, runtime: Runtime) -> None:
    first, second = add_event(runtime), add_event(runtime)

    assert events(api) == [second, first]
    assert events(api, limit=1, offset=1) == [first]
