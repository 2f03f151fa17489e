"""/metrics: what the web process counted, and the state of the house as the database has it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text, update

from order_manager.database import state_metrics
from order_manager.database.locks import LEASE_LOCK, WORKER_LOCK
from order_manager.database.tables import account_state, dead_letters, exchange_updates
from order_manager.embedded import free_port
from order_manager.metrics import CATALOGUE
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.web.conftest import Api, RuntimeOf
from tests.web.rows import add, add_event, add_lane, add_order, add_position, add_signal, add_snapshot

Values = dict[tuple[str, ...], float]


def scraped(runtime: Runtime) -> Values:
    """(name without its prefix, label values in the order of their names) -> value, asked without a key."""
    answer = create_app(runtime).test_client().get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        (
            sample.name.removeprefix("order_manager_"),
            *(value for _, value in sorted(sample.labels.items())),
        ): (sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_lanes_tell_what_waits_and_since_when(api: Api, runtime: Runtime) -> None:
    add_lane(runtime, reconciled_at=ago(50), reconcile_requested_at=ago(3))
    add_lane(runtime, "ETHUSDT", retry_at=ago(-1), blocked_since=ago(30))
    add_signal(runtime, received_at=ago(20))
    add_signal(runtime, received_at=ago(10), state="planned")
    add_signal(runtime, received_at=ago(90), state="executed")
    add_signal(runtime, symbol="NOTLISTED", received_at=ago(5))
    values = scraped(runtime)
    assert values["lane_waiting_signals", "BTCUSDT"] == 2
    assert values["lane_waiting_signals", "ETHUSDT"] == 0
    assert values["lane_waiting_signals", ""] == 1  # a symbol is a label only where it has a lane
    assert values["lane_oldest_waiting_age_seconds", "BTCUSDT"] == pytest.approx(20, abs=3)
    assert values["lane_oldest_waiting_age_seconds", "ETHUSDT"] == 0
    assert values["lane_blocked_age_seconds", "BTCUSDT"] == 0
    assert values["lane_blocked_age_seconds", "ETHUSDT"] == pytest.approx(30, abs=3)
    assert values["lane_reconciled_age_seconds", "BTCUSDT"] == pytest.approx(50, abs=3)
    assert values["lane_reconcile_request_age_seconds", "BTCUSDT"] == pytest.approx(3, abs=3)
    assert values["lane_reconcile_request_age_seconds", "ETHUSDT"] == 0


def test_orders_tell_which_are_open_and_which_unknown(api: Api, runtime: Runtime) -> None:
    add_lane(runtime)
    add_lane(runtime, "ETHUSDT")
    add_order(runtime, created_at=ago(100))
    add_order(runtime, status="partially_filled", filled_quantity=Decimal("0.004"), created_at=ago(50))
    add_order(runtime, exchange_order_id=None, intended_at=ago(40), created_at=ago(41))
    add_order(runtime, cancel_requested_at=ago(7), created_at=ago(8))
    add_order(runtime, status="filled", created_at=ago(1000))
    values = scraped(runtime)
    assert values["open_orders", "pending", "BTCUSDT"] == 3
    assert values["open_orders", "partially_filled", "BTCUSDT"] == 1
    assert values["open_order_age_seconds", "BTCUSDT"] == pytest.approx(100, abs=3)
    assert values["unsettled_orders", "create", "BTCUSDT"] == 1
    assert values["unsettled_orders", "cancel", "BTCUSDT"] == 1
    assert values["unsettled_orders", "amend", "BTCUSDT"] == 0
    assert values["unsettled_order_age_seconds", "BTCUSDT"] == pytest.approx(40, abs=3)
    assert values["open_order_notional_quote", "BTCUSDT"] == 1800  # 3 of 0.01 and 0.006, at 50000
    assert values["unsettled_orders", "create", "ETHUSDT"] == 0
    assert values["open_order_notional_quote", "ETHUSDT"] == 0


def test_positions_and_the_account(api: Api, runtime: Runtime) -> None:
    add_position(
        runtime,
        size=Decimal("-0.5"),
        average_price=Decimal(50000),
        mark_price=Decimal(55000),
        realized_pnl=Decimal(12),
        fees=Decimal(2),
    )
    add_order(runtime)
    add_snapshot(runtime, taken_at=ago(60))
    with runtime.engine.connect() as connection:
        connection.execute(
            update(account_state).values(
                mode="reducing", available_balance=Decimal(900), balance_at=ago(4), reserved=Decimal(30)
            )
        )
    values = scraped(runtime)
    assert values["position_size", "short", "BTCUSDT"] == -0.5
    assert values["position_size", "long", "BTCUSDT"] == 0
    assert values["position_notional_quote", "BTCUSDT"] == 27500
    assert values["position_unrealized_pnl_quote", "BTCUSDT"] == -2500
    assert values["position_unrealized_ratio", "short", "BTCUSDT"] == pytest.approx(-0.1)
    assert values["position_realized_pnl_quote", "BTCUSDT"] == 10
    assert values["position_fees_quote", "BTCUSDT"] == 2
    assert values["exposure_quote",] == 28000
    assert values["exposure_limit_quote",] == 50000
    assert values["unrealized_loss_warning_ratio",] == 0.1
    assert values["position_snapshot_age_seconds",] == pytest.approx(60, abs=3)
    assert values["trading_mode", "reducing"] == 1
    assert values["trading_mode", "active"] == 0
    assert values["available_balance_quote",] == 900
    assert values["available_balance_age_seconds",] == pytest.approx(4, abs=3)
    assert values["reserved_quote",] == 30


def test_queues_tell_how_much_waits(api: Api, runtime: Runtime) -> None:
    for seconds in (9, 6):
        add_event(runtime, published_at=None, created_at=ago(seconds), symbol=f"S{seconds}")
    update_ = {"symbol": "BTCUSDT", "kind": "order", "body": {}, "source": "stream", "received_at": ago(5)}
    add(runtime, exchange_updates, update_)
    letter = {"queue": "q", "code": "c", "reason": "r", "body": b"x"}
    add(runtime, dead_letters, {**letter, "received_at": ago(70)})
    add(runtime, dead_letters, {**letter, "state": "discarded", "received_at": ago(700)})
    values = scraped(runtime)
    assert values["outbox_events",] == 2
    assert values["outbox_oldest_age_seconds",] == pytest.approx(9, abs=3)
    assert values["waiting_updates",] == 1
    assert values["waiting_updates_oldest_age_seconds",] == pytest.approx(5, abs=3)
    assert [values["dead_letters", state] for state in ("new", "replayed", "discarded")] == [1, 0, 1]
    assert values["dead_letter_oldest_age_seconds",] == pytest.approx(70, abs=3)


def test_leases_tell_whether_somebody_serves_a_symbol(api: Api, runtime: Runtime) -> None:
    add_lane(runtime)
    add_lane(runtime, "ETHUSDT")
    with runtime.engine.connect() as worker:
        take = text("SELECT pg_advisory_lock(:lock, id) FROM lanes WHERE symbol = 'BTCUSDT'")
        worker.execute(take, {"lock": LEASE_LOCK})
        worker.execute(text("SELECT pg_advisory_lock(:lock, 77)"), {"lock": WORKER_LOCK})
        values = scraped(runtime)
        worker.invalidate()
    assert values["lane_leased", "BTCUSDT"] == 1
    assert values["lane_leased", "ETHUSDT"] == 0
    assert values["symbol_workers", "false"] == 1
    assert values["symbol_workers", "true"] == 0


def test_an_empty_house_has_every_number_that_alerts_compare(api: Api, runtime: Runtime) -> None:
    values = scraped(runtime)
    for name in ("outbox_events", "waiting_updates", "dead_letter_oldest_age_seconds", "exposure_quote"):
        assert values[name,] == 0
    assert values["state_up",] == 1
    assert values["dependency_up", "database"] == 1
    assert values["dependency_up", "redis"] == 0  # the tests have none
    assert ("dependency_up", "rabbitmq") not in values  # not configured


def test_without_the_database_the_rest_is_told(runtime_of: RuntimeOf) -> None:
    values = scraped(runtime_of(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT=str(free_port())))
    assert values["state_up",] == 0
    assert values["dependency_up", "database"] == 0
    assert ("outbox_events",) not in values
    assert values["exposure_limit_quote",] == 50000


def test_the_state_is_read_once_however_many_ask(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr("order_manager.web.metrics.read_state", lambda *_, **__: reads.append(1) or [])
    client = create_app(runtime).test_client()
    for _ in range(3):
        client.get("/metrics")
    assert len(reads) == 1


def test_requests_are_counted_by_their_route(api: Api, runtime: Runtime) -> None:
    route = "/api/v1/orders/<order_id>"
    before = scraped(runtime).get(("http_requests_total", "GET", route, "404"), 0)
    for name in ("a", "b"):
        assert api.answer(f"/api/v1/orders/{name}").status_code == 404
    assert api.answer("/nowhere/at/all").status_code == 404
    values = scraped(runtime)
    assert values["http_requests_total", "GET", route, "404"] == before + 2
    assert values["http_requests_total", "GET", "", "404"] >= 1
    assert values["http_request_seconds_count", route] >= 2


def test_every_state_gauge_is_read(api: Api, runtime: Runtime) -> None:
    add_lane(runtime)
    add_position(runtime)
    add_snapshot(runtime)
    with runtime.engine.connect() as connection:
        connection.execute(update(account_state).values(available_balance=1, balance_at=ago(1)))
    told = {f"order_manager_{key[0]}" for key in scraped(runtime)}
    expected = {one.name for one in CATALOGUE if one.origin.startswith("web, from")}
    assert expected <= told


def test_a_long_queue_is_counted_only_so_far(api: Api, runtime: Runtime) -> None:
    add_lane(runtime)
    with runtime.engine.connect() as connection:
        connection.execute(
            text("""
                INSERT INTO order_events (event_id, event_type, symbol, sequence, trace_id, body)
                SELECT gen_random_uuid(), 'created', 'S' || n % 3, 1, 't', '{}'
                FROM generate_series(1, 4000) n
            """)
        )
        readings = state_metrics.read_state(runtime.engine)
    [depth] = [one.value for one in readings if one.gauge.name == "order_manager_outbox_events"]
    assert depth == 3000
