"""What the API answers is what its OpenAPI document says, under generated requests.

Schemathesis asks over HTTP, with all its checks on. `API_EXAMPLES` says how many requests it makes up per
operation and phase, `API_REPORT` where the figures go; a long run is
`API_EXAMPLES=300 API_REPORT=report.txt pytest tests/web/test_contract.py`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug import Response

from order_manager.domain.positions import PositionMode
from order_manager.services import sync_orders
from order_manager.tasks import exchange_updates
from order_manager.web import create_app, sync
from order_manager.wiring import Runtime
from tests.builders import an_instrument, at
from tests.servers import RedisServer
from tests.web.conftest import KEY, RuntimeOf
from tests.web.rows import (
    add_dead_letter,
    add_event,
    add_order,
    add_position,
    add_signal,
    add_snapshot,
    add_update,
    relate,
)
from tests.web.serving import serving

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("API_EXAMPLES", "4")
DECISION: dict[str, Any] = {
    "outcome": "rejection",
    "code": "max_exposure",
    "message": "too much",
    "limit": "50000",
    "value": "50001",
    "inputs": {"mode": "active", "market": {"bid": "1", "timestamp": None}, "available_balance": None},
    "checks": [{"rule": "trading_state", "limit": "active", "value": "active", "passed": True}],
}


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    """Something that tells the time, which is all that readiness asks of it."""
    with serving(Response('{"retCode": 0}', content_type="application/json")) as address:
        yield address


@pytest.fixture(scope="module")
def runtime(runtime_of: RuntimeOf, redis_server: RedisServer, exchange: str) -> Runtime:
    """With a broker and an exchange, and with rows in every table."""
    runtime = runtime_of(**redis_server.environment(), BYBIT_PAPER_URL=exchange)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        runtime.inbox.open_lane(an_instrument(symbol=symbol), PositionMode.ONE_WAY)
    for status in ("pending", "partially_filled", "filled", "cancelled", "rejected", "dry_run"):
        order_id = add_order(runtime, status=status, executed_at=at(1), reason="why")
        for event_type in ("created", "modified", "filled"):
            add_event(runtime, event_type=event_type, order_id=order_id, published_at=None)
    waiting = add_signal(runtime)
    rejected = add_signal(
        runtime,
        state="rejected",
        code="max_exposure",
        reason="too much",
        decision=DECISION,
        decided_at=at(1),
        finished_at=at(1),
        confidence=None,
        strategy_id=None,
    )
    for relation in ("placed", "cancelled", "amended"):
        relate(runtime, waiting, order_id, relation)
    add_event(runtime, event_type="signal_rejected", signal_id=rejected, symbol="")
    add_position(runtime, size=Decimal("0.5"), average_price=Decimal(50000), mark_price=Decimal(1))
    add_position(runtime, mode="hedge", long_size=1, short_size=-1)
    add_snapshot(runtime)
    add_snapshot(runtime, mode="hedge")
    add_update(runtime)
    runtime.sync_runs.start("all", None, ["BTCUSDT"])
    for number in range(100):  # enough to replay and to discard
        add_dead_letter(runtime, body=[b"{}", b"\xff\xfe", "ż".encode()][number % 3])
    add_dead_letter(runtime, queue="stream.order", code="unreadable_update", body=b"{}")
    add_dead_letter(runtime, queue="gateway.position", code="unreadable_update", body=b"{}")
    return runtime


@pytest.fixture
def address(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of the application, where no worker listens."""
    monkeypatch.setattr(sync, "WAIT_S", 0.01)
    monkeypatch.setattr(exchange_updates, "wake", lambda symbol: None)
    monkeypatch.setattr(exchange_updates, "send_discover_symbols", lambda: None)
    monkeypatch.setattr(sync_orders, "POLL_S", 0.01)
    with capture_logs(), serving(create_app(runtime)) as address:  # lines that nobody reads
        yield address


def test_the_api_answers_as_its_document_says(address: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIGURATION)]
    command += ["run", f"{address}/openapi.json", "--checks", "all"]
    command += ["--max-examples", EXAMPLES]

    environment = {
        **os.environ,
        "API_KEY": KEY,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks",
    }

    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    if report := os.environ.get("API_REPORT"):
        Path(report).write_text(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
