"""order-manager explain: one signal, the whole story."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import redis

from order_manager.database.leases import WorkerLeases
from order_manager.database.tables import executions
from order_manager.queues import SIGNALS
from tests.builders import at
from tests.cli.conftest import Call, one_line, told
from tests.servers import flush
from tests.web.rows import add, add_dead_letter, add_event, add_lane, add_order, add_signal, relate

DECISION = {
    "outcome": "plan",
    "inputs": {
        "mode": "active",
        "market": {"bid": "50000.1", "ask": "50000.2", "last_price": "50000", "mark_price": "50001"},
        "position": {"long": "0.5", "short": "0"},
        "open_orders": [],
        "other_exposure": "1238.165",
        "position_source": "order_manager",
        "available_balance": "99807.28",
    },
    "checks": [{"rule": "max_exposure", "limit": "50000", "value": "2894.36", "passed": True}],
    "notes": {"order_type": "market order: spread is small"},
    "warnings": ["the price moved by 6 %"],
    "cancel": [],
    "place": [{"side": "buy", "quantity": "0.02", "price": None}],
}


@pytest.fixture
def signal_id(runtime) -> str:
    """A signal whose order filled, with an event that is not published."""
    name = add_signal(
        runtime,
        signal_id="sig-1",
        state="executed",
        decision=DECISION,
        decided_at=at(0.25),
        finished_at=at(2),
    )
    order_id = add_order(
        runtime,
        client_order_id="om-link-1",
        exchange_order_id="bybit-1",
        signal_id=name,
        status="filled",
        filled_quantity=Decimal("0.02"),
        average_price=Decimal("50000.2"),
    )
    relate(runtime, name, order_id)
    fill = {
        "exec_id": "exec-1",
        "order_id": order_id,
        "exchange_order_id": "bybit-1",
        "symbol": "BTCUSDT",
        "side": "buy",
        "quantity": Decimal("0.02"),
        "price": Decimal("50000.2"),
        "fee": Decimal("0.55"),
        "fee_currency": "USDT",
        "is_maker": False,
        "exec_type": "Trade",
        "executed_at": at(1),
    }
    add(runtime, executions, fill)
    add_event(runtime, signal_id=name, order_id=order_id, event_type="created")
    add_event(runtime, signal_id=name, order_id=order_id, event_type="filled", sequence=2, published_at=None)
    return name


def test_it_is_all_there_for_people(call: Call, signal_id: str) -> None:
    shown = call("explain", signal_id).output
    for part in (
        "buy BTCUSDT for 1000 — executed",
        "decided after 0.250 s, finished after 2.000 s",
        "bid 50000.1, ask 50000.2",
        "balance 99807.28;",
        "exposure elsewhere 1238.17;",
        "made 2026-01-02T03:04:04Z, 1.0 s before receipt",
        "place buy 0.02 at market; cancel none",
        "market order: spread is small",
        "warning: the price moved by 6 %",
        "om-link-1",
        "buy 0.02 @ 50000.2",
        "0.55 USDT",
        "taker",
    ):
        assert part in shown
    [rule] = [line.split() for line in shown.splitlines() if "max_exposure" in line]
    assert rule == ["max_exposure", "2894.36", "50000", "yes"]
    [created] = [line for line in shown.splitlines() if " created " in line]
    [filled] = [
        line for line in shown.splitlines() if " filled " in line and "om-link-1" in line and "NO" in line
    ]
    assert "NO" not in created
    assert filled


def test_it_is_found_by_every_id_and_told_to_programs(call: Call, signal_id: str) -> None:
    story = told(call("explain", signal_id, "--json"))
    [order] = story["orders"]
    assert (order["relation"], order["status"]) == ("placed", "filled")
    assert [fill["exec_id"] for fill in order["fills"]] == ["exec-1"]
    assert [event["event_type"] for event in story["events"]] == ["created", "filled"]
    assert story["decision"]["checks"] == DECISION["checks"]
    for name in (order["id"], order["order_id"], order["client_order_id"]):
        assert told(call("explain", name, "--json")) == story


def test_a_rejection_says_the_limit_and_the_value(call: Call, runtime) -> None:
    rejection = {
        "outcome": "rejection",
        "code": "max_exposure",
        "message": "too much",
        "limit": "50000",
        "value": "60000",
        "inputs": {},
        "checks": [{"rule": "max_exposure", "limit": "50000", "value": "60000", "passed": False}],
    }
    add_signal(
        runtime,
        signal_id="sig-2",
        state="rejected",
        code="max_exposure",
        reason="too much",
        decision=rejection,
    )
    shown = call("explain", "sig-2").output
    assert "rejected: max_exposure, too much" in shown
    assert "rejected, max_exposure: too much (limit 50000, value 60000)" in shown
    assert " NO" in shown


def test_a_signal_that_waits_has_no_decision_yet(call: Call, runtime) -> None:
    shown = call("explain", add_signal(runtime)).output
    assert "— waiting" in shown
    assert "not decided, not finished" in shown
    assert "no decision was taken" in shown


def test_an_order_of_others_is_told_without_a_signal(call: Call, runtime) -> None:
    add_order(runtime, exchange_order_id="by-hand", signal_id=None, is_external=True)
    assert told(call("explain", "by-hand", "--json"))["signal_id"] is None
    assert "no signal of ours placed this order" in call("explain", "by-hand").output


def test_what_nobody_knows_is_said_in_one_line(call: Call, runtime, redis_server) -> None:
    assert "is still on model-service.trading_signals; " in one_line(call("explain", "nobody-knows"))
    flush(redis_server)
    with redis.Redis.from_url(redis_server.url()) as server:
        server.lpush(SIGNALS, "{}")
    said = one_line(call("explain", "nobody-knows", **redis_server.environment()))
    assert "is called nobody-knows" in said
    assert "(1 message waits there)" in said


def test_a_signal_that_could_not_be_used_is_told_by_its_dead_letters(call: Call, runtime) -> None:
    number = add_dead_letter(runtime, signal_id="x-neg", state="discarded", resolved_at=at(60))
    add_event(runtime, signal_id="x-neg", event_type="signal_rejected", symbol="")
    shown = call("explain", "x-neg").output
    assert "signal x-neg: not taken, its message could not be used" in shown
    assert (
        f"dead letter {number} of 2026-01-02 03:04:05 from {SIGNALS}: missing_field (amount), "
        "amount is missing — discarded 2026-01-02 03:05:05" in shown
    )
    story = told(call("explain", "x-neg", "--json"))
    assert [letter["id"] for letter in story["dead_letters"]] == [number]
    assert [event["event_type"] for event in story["events"]] == ["signal_rejected"]
    add_signal(runtime, signal_id="x-neg")  # mended and sent again
    shown = call("explain", "x-neg").output
    assert "signal x-neg: buy BTCUSDT" in shown
    assert f"dead letter {number} of" in shown


def waits(call: Call, signal_id: str) -> str:
    [line] = [line for line in call("explain", signal_id).output.splitlines() if " ahead" in line]
    return line.strip()


def test_a_signal_that_waits_says_that_its_symbol_has_no_lane(call: Call, runtime) -> None:
    assert waits(call, add_signal(runtime)) == (
        "BTCUSDT has no lane yet: the maintenance worker opens it, if the exchange lists it; no signal ahead"
    )


def test_a_signal_that_waits_says_that_nobody_works_its_symbol(call: Call, runtime) -> None:
    add_lane(runtime)
    add_signal(runtime)
    add_signal(runtime, state="executed")
    add_signal(runtime, symbol="ETHUSDT")
    assert waits(call, add_signal(runtime)) == "nobody works BTCUSDT: no symbol worker has it; 1 signal ahead"


def test_a_signal_that_waits_says_why_since_when_and_when_it_is_tried_again(call: Call, runtime) -> None:
    add_lane(runtime, blocked_since=at(0), retry_at=at(5), blocked_reason="no answer", mode="halted")
    add_signal(runtime)
    add_signal(runtime)
    leases = WorkerLeases(runtime.engine, reconcile=False)
    try:
        assert leases.turn().gained == ("BTCUSDT",)
        waiting = add_signal(runtime, state="planned")
        with runtime.engine.connect() as connection:
            name = connection.exec_driver_sql("SHOW application_name").scalar_one()
        assert waits(call, waiting) == (
            f"waits in BTCUSDT, which {name} works: blocked since 2026-01-02 03:04:05, "
            "next try 2026-01-02 03:04:10, 2 signals ahead, trading is halted for BTCUSDT, reason: no answer"
        )
        story = told(call("explain", waiting, "--json"))["waits"]
    finally:
        leases.release_all()
    assert (story["has_lane"], story["is_worked"], story["signals_ahead"]) == (True, True, 2)
    assert story["worker"] == name
    assert (story["mode"], story["blocked_reason"]) == ("halted", "no answer")


def test_an_order_that_was_never_taken_is_not_called_placed(call: Call, runtime) -> None:
    name = add_signal(runtime, state="failed", code="execution_timeout", reason="the exchange is away")
    relate(
        runtime,
        name,
        add_order(runtime, client_order_id="om-never", exchange_order_id=None, status="rejected"),
    )
    shown = call("explain", name).output
    [order] = [line.split() for line in shown.splitlines() if "om-never" in line]
    assert order[0] == "planned"
    assert "placed" not in shown
    assert "it may be sent again under the same signal_id" in shown


def test_a_rejection_by_the_trading_state_says_who_stopped_it_and_why(call: Call, runtime) -> None:
    add_lane(runtime)
    early = add_signal(runtime, state="rejected", code="trading_halted", reason="no", decided_at=at(0))
    call("halt", "--reason", "the model misbehaves")
    now = datetime.now(UTC)
    name = add_signal(
        runtime, state="rejected", code="trading_halted", reason="no", decided_at=now, decision=DECISION
    )
    shown = call("explain", name).output
    [stop] = [line for line in shown.splitlines() if "the model misbehaves" in line]
    assert stop.startswith("  the account: since 2")
    assert shown.index(stop) < shown.index("rules, in the order of checking")
    [stop] = told(call("explain", name, "--json"))["stopped_by"]
    assert (stop["of"], stop["reason"]) == ("the account", "the model misbehaves")
    assert told(call("explain", early, "--json"))["stopped_by"] == []  # stopped by an earlier change
    call("resume", "--reason", "over")
    assert told(call("explain", name, "--json"))["stopped_by"] == []


def test_a_signal_says_how_old_it_was_when_it_came(call: Call, runtime) -> None:
    old = add_signal(runtime, sent_at=at(-663 * 86400 - 5))
    assert ", 663 days before receipt" in call("explain", old).output
    early = add_signal(runtime, sent_at=at(300))  # another clock
    assert ", 5 min after receipt" in call("explain", early).output
    assert "receipt" not in call("explain", add_signal(runtime, sent_at=None)).output
