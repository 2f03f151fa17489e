"""The demo: a handful of sample signals, published as any sender would, and what became of each."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kombu import Connection, Exchange, Producer, Queue
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from order_manager.database.engine import connect
from order_manager.queues import SIGNALS
from order_manager.settings import Settings, load_settings

WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A message, what it shows, and how it should end."""

    shows: str
    body: Mapping[str, Any] | str
    ends: str  # executed, rejected, dead letter
    code: str | None = None  # of a rejection or a dead letter
    signal_id: str | None = None  # None: it has none that could be read


def _signal(run: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"signal_id": f"demo-{name}-{run}", "strategy_id": "demo", "confidence": 0.5} | fields


def samples(run: str) -> list[Sample]:
    """The quickstart message of the documentation first, then one of each kind. `run` makes the ids new."""
    quickstart = {
        "signal_id": f"test-signal-001-{run}",
        "signal_type": "buy",
        "asset": "BTCUSDT",
        "amount": 1000.0,
        "confidence": 0.85,
        "timestamp": "2025-01-27T10:00:00Z",
        "strategy_id": "test-strategy",
        "model_version": None,
        "is_warmup": True,
        "market_data_snapshot": {
            "price": 50000.0,
            "spread": 1.5,
            "volume_24h": 1000000.0,
            "volatility": 0.02,
            "orderbook_depth": {"bid_depth": 100.0, "ask_depth": 120.0},
            "technical_indicators": None,
        },
        "metadata": {"reasoning": "Test signal", "risk_score": 0.3},
        "trace_id": "test-trace-001",
    }
    wide = {"price": 2500, "spread": 10}
    bodies: list[tuple[str, dict[str, Any] | str, str, str | None]] = [
        ("market order: the spread is narrow", quickstart, "executed", None),
        ("the same message again", quickstart, "executed", None),
        (
            "limit order: the spread is wide",
            _signal(run, "limit", signal_type="buy", asset="ETHUSDT", amount=500, market_data_snapshot=wide),
            "executed",
            None,
        ),
        (
            "urgent, so a market order",
            _signal(
                run,
                "urgent",
                signal_type="buy",
                asset="SOLUSDT",
                amount="750.00",
                market_data_snapshot={"price": 150, "spread": 3},
                metadata={"urgency": "high"},
            ),
            "executed",
            None,
        ),
        (
            "sells what the quickstart bought",
            _signal(run, "sell", signal_type="sell", asset="BTCUSDT", amount=300, confidence=0.95),
            "executed",
            None,
        ),
        (
            "more than a tenth of the balance",
            _signal(run, "huge", signal_type="buy", asset="XRPUSDT", amount=25000),
            "rejected",
            "order_size_ratio",
        ),
        (
            "a symbol that the exchange does not list",
            _signal(run, "unlisted", signal_type="buy", asset="NOPEUSDT", amount=100),
            "rejected",
            "unknown_symbol",
        ),
        (
            "a negative amount",
            _signal(run, "negative", signal_type="buy", asset="BTCUSDT", amount=-5),
            "dead letter",
            "out_of_range",
        ),
        ("not JSON at all", f"buy BTC please ({run})", "dead letter", "invalid_json"),
    ]
    return [
        Sample(
            shows=shows,
            body=body,
            ends=ends,
            code=code,
            signal_id=body["signal_id"] if isinstance(body, dict) else None,
        )
        for shows, body, ends, code in bodies
    ]


def run_demo(env: Mapping[str, str], console: Console) -> bool:
    """Publish the samples, wait, show. Whether each ended as expected."""
    settings = _settings_of(env)
    chosen = samples(uuid.uuid4().hex[:8])
    _publish(settings, [sample.body for sample in chosen])
    engine = connect(settings.postgres_url, pool_size=1)
    try:
        with console.status("waiting for the sample signals to end"):
            outcomes = _outcomes(engine, chosen)
        console.print(_table(chosen, outcomes))
    finally:
        engine.dispose()
    as_expected = [_is_as_expected(sample, outcome) for sample, outcome in zip(chosen, outcomes, strict=True)]
    if all(as_expected):
        console.print(f"all {len(chosen)} sample signals ended as expected")
    else:
        console.print(f"{as_expected.count(False)} of {len(chosen)} sample signals did NOT end as expected")
    return all(as_expected)


def _settings_of(env: Mapping[str, str]) -> Settings:
    fields = Settings.model_fields
    names = {
        str(getattr(field.validation_alias, "choices", [field.validation_alias])[0]): name
        for name, field in fields.items()
    }
    return load_settings(**{names[key]: value for key, value in env.items() if key in names})


def _publish(settings: Settings, bodies: list[Mapping[str, Any] | str]) -> None:
    with Connection(settings.broker_url) as connection:
        channel = connection.default_channel
        Queue(SIGNALS, exchange=Exchange(""), routing_key=SIGNALS, durable=True)(channel).declare()
        producer = Producer(channel, auto_declare=False)
        for body in bodies:
            raw = body if isinstance(body, str) else json.dumps(body)
            producer.publish(
                raw.encode(), routing_key=SIGNALS, content_type="application/json", content_encoding="utf-8"
            )


_OUTCOME = text("""
    SELECT s.state, s.code, s.reason,
        (SELECT count(*) FROM trading_signals t WHERE t.signal_id = s.signal_id) AS rows,
        coalesce((SELECT string_agg(o.side || ' ' || trim_scale(o.quantity) || ' '
            || coalesce('@ ' || trim_scale(o.price), 'at market') || ' ' || o.status, E'\n' ORDER BY o.slice)
            FROM orders o WHERE o.signal_id = s.signal_id), '') AS orders,
        coalesce((SELECT string_agg(e.event_type, ', ' ORDER BY e.id) FROM order_events e
            WHERE e.signal_id = s.signal_id AND e.published_at IS NOT NULL), '') AS events
    FROM trading_signals s WHERE s.signal_id = :signal_id
""")
_DEAD = text("""
    SELECT 'dead letter' AS state, code, reason, 1 AS rows, '' AS orders, coalesce((
        SELECT string_agg(e.event_type, ', ') FROM order_events e
        WHERE e.signal_id = :signal_id AND e.published_at IS NOT NULL), '') AS events
    FROM dead_letters WHERE body = CAST(:body AS bytea)
""")


def _outcomes(engine: Engine, chosen: list[Sample]) -> list[Mapping[str, Any] | None]:
    """What is known of each when all have ended, or when the patience has."""
    deadline = time.monotonic() + WAIT_S
    while True:
        with engine.connect() as connection:
            found: list[Mapping[str, Any] | None] = []
            for sample in chosen:
                raw = sample.body if isinstance(sample.body, str) else json.dumps(sample.body)
                values = {"signal_id": sample.signal_id, "body": raw.encode()}
                row = connection.execute(_OUTCOME, values).mappings().first()
                row = row or connection.execute(_DEAD, values).mappings().first()
                found.append(dict(row) if row else None)
        if time.monotonic() > deadline or all(map(_has_ended, chosen, found)):
            return found
        time.sleep(0.2)


def _has_ended(sample: Sample, outcome: Mapping[str, Any] | None) -> bool:
    if outcome is None or outcome["state"] in {"waiting", "planned"}:
        return False
    return bool(outcome["events"]) or sample.signal_id is None


def _is_as_expected(sample: Sample, outcome: Mapping[str, Any] | None) -> bool:
    if outcome is None or not _has_ended(sample, outcome):
        return False
    return bool(outcome["state"] == sample.ends and sample.code in {None, outcome["code"]})


def _table(chosen: list[Sample], outcomes: list[Mapping[str, Any] | None]) -> Table:
    table = Table(title="Sample signals", show_lines=True)
    for heading in ("", "Signal", "Decision", "Orders", "Events"):
        table.add_column(heading)
    for sample, outcome in zip(chosen, outcomes, strict=True):
        shown = outcome or {"state": "nothing seen", "code": None, "reason": None, "orders": "", "events": ""}
        decision = shown["state"] + (f"\n{shown['code']}: {shown['reason']}" if shown["code"] else "")
        mark = "ok" if _is_as_expected(sample, outcome) else "NOT as expected"
        body = sample.body
        wish = (
            body if isinstance(body, str) else f"{body['signal_type']} {body['asset']} for {body['amount']}"
        )
        table.add_row(mark, f"{sample.shows}\n{wish}", decision, shown["orders"], shown["events"])
    return table
