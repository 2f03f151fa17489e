"""The documents say what the code says."""

import json
import re
import runpy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from order_manager.domain.events import Event, malformed_event, order_event, signal_event
from order_manager.domain.orders import Category
from order_manager.domain.positions import PositionMode, StoredPosition
from order_manager.domain.state import Rejection, TradingRules
from order_manager.messaging.signals import parse_signal
from order_manager.services.desk import Desk
from order_manager.services.pausing import Pause
from order_manager.services.ports import Exchange, Lane, Publisher
from order_manager.services.snapshot_positions import SnapshotStore, snapshot_positions
from order_manager.services.validate_positions import correct_position
from order_manager.settings import Settings
from tests.builders import a_market, a_signal, an_order, at, holding
from tests.scenarios.signals import QUICKSTART

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate_settings.py"))
GENERATED: dict[Path, str] = GENERATOR["documents"]()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
default_of: Callable[..., str] = GENERATOR["default_of"]
names_of: Callable[..., list[str]] = GENERATOR["names_of"]


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """The page's blocks of JSON that are whole."""
    for block in re.findall(r"```json\n(\{[^`]*\n\})\n```", page.read_text()):
        yield json.loads(block)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_document_is_what_the_settings_class_says(path: Path) -> None:
    assert path.read_text() == GENERATED[path], "run: python docs/generate_settings.py"


def test_every_setting_is_in_the_documents() -> None:
    for text in GENERATED.values():
        for field in Settings.model_fields.values():
            assert names_of(field)[0] in text


def test_the_example_with_everything_uncommented_gives_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in Settings.model_fields.values():
        for name in names_of(field):
            monkeypatch.delenv(name, raising=False)
    everything = tmp_path / "env"
    everything.write_text(re.sub(r"(?m)^#(?=[A-Z_]+=)", "", (ROOT / "env.example").read_text()))
    assert Settings(_env_file=everything) == Settings(_env_file=None)


def test_the_readmes_settings_have_the_defaults_of_the_code() -> None:
    defaults = {names_of(field)[0]: default_of(field) for field in Settings.model_fields.values()}
    rows = re.findall(r"(?m)^\| `([A-Z_]+)` \|[^|]*\|([^|]*)\|", (ROOT / "README.md").read_text())
    assert len(rows) > 20
    for name, default in rows:
        assert default.strip().strip("`") == defaults[name], name


def test_the_quickstart_message_is_the_same_everywhere_and_is_a_signal() -> None:
    body = (DOCS / "signal.json").read_bytes()
    assert json.loads(body) == QUICKSTART
    assert QUICKSTART in list(examples(ROOT / "README.md"))
    assert parse_signal(body).signal_id == "test-signal-001"


def shape(value: Any) -> Any:
    """Keys of keys; values do not count."""
    return {key: shape(part) for key, part in value.items()} if isinstance(value, dict) else None


def an_event(event_type: str, *, code: str) -> dict[str, Any]:
    """What the code publishes."""
    if event_type == "position_pnl":
        return a_warning()
    if event_type == "position_discrepancy":
        return a_discrepancy()
    if event_type.startswith("signal_"):
        rejection = Rejection(code=code, message="why")
        return dict(signal_event(event_type, a_signal(), rejection, now=at(1)).body)
    fill = {"side": "buy", "quantity": "1", "price": "1", "fee": "1"}
    terms = {"quantity": "1", "price": "1"}
    event = order_event(
        event_type,
        an_order(),
        sequence=1,
        trace_id="t",
        now=at(1),
        signal=a_signal(),
        received_at=at(0),
        market=None if event_type == "rejected" else a_market(),
        last_fill=fill if event_type in {"filled", "partially_filled"} else None,
        modification={"before": terms, "after": terms} if event_type == "modified" else None,
    )
    return dict(event.body)


def a_warning() -> dict[str, Any]:
    """Of a position that has lost a fifth."""
    told: list[Event] = []
    stored = StoredPosition(position=holding(1), mark_price=D(40000), created_at=at(0), updated_at=at(0))
    taking = SimpleNamespace(
        stored=stored, last=None, record=lambda snapshot, events, taken_at: told.extend(events)
    )
    store = SimpleNamespace(
        due=lambda: [("BTCUSDT", PositionMode.ONE_WAY)],
        taking=lambda symbol, mode, mark_price: nullcontext(taking),
        delete_before=lambda moment, at_most: 0,
    )
    snapshot_positions(
        store=cast(SnapshotStore, store),
        market=lambda symbol: a_market(mark=D(40000)),
        threshold=D(10),
        wake=lambda symbol: None,
        now=lambda: at(1),
    )
    return dict(told[0].body)


def a_discrepancy() -> dict[str, Any]:
    """Of a position that the exchange shows half as large."""
    told: list[Event] = []
    lane = SimpleNamespace(
        symbol="BTCUSDT",
        stored_positions=lambda: [holding(1)],
        save_position_mode=lambda mode: None,
        recount=lambda base_coin: SimpleNamespace(incomplete=0, sizes={}),
        correct_leg=lambda after, difference, *, source, reason, events: told.extend(events),
    )
    desk = Desk(
        exchange=cast(Exchange, SimpleNamespace(position=lambda symbol: holding(D("0.5")))),
        publisher=cast(Publisher, None),
        rules=TradingRules(),
        category=Category.LINEAR,
        instrument=lambda symbol: None,
        market=lambda symbol: a_market(),
        last_market=lambda symbol: a_market(),
        now=lambda: at(1),
        pause=cast(Pause, lambda seconds: None),
    )
    correct_position(cast(Lane, lane), desk, settle_again=lambda: 0)
    return dict(told[0].body)


def test_the_events_in_the_documents_have_the_shape_of_the_real_ones() -> None:
    shown = list(examples(DOCS / "events.md"))
    types = {event["event_type"] for event in shown}
    assert types == {
        "created",
        "modified",
        "partially_filled",
        "filled",
        "cancelled",
        "rejected",
        "signal_rejected",
        "signal_failed",
        "position_pnl",
        "position_discrepancy",
    }
    for event in shown:
        rejection = event.get("rejection") or {}
        if "field" in rejection:
            real = dict(malformed_event(signal_id="s", trace_id="t", now=at(1), **rejection).body)
        else:
            real = an_event(event["event_type"], code=rejection.get("code", ""))
        assert shape(event) == shape(real), event["event_type"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tasks_and_variables_that_are_named_exist(page: Path) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "order_manager").rglob("*.py"))
    for task in re.findall(r"celery -A order_manager call (\w+)", page.read_text()):
        assert f'@app.task(name="{task}"' in code, task
    for variable in re.findall(r"\bORDERMANAGER_[A-Z_]*[A-Z]\b(?!\*)", page.read_text()):
        assert f'"{variable}"' in code or f'"{variable.removeprefix("ORDERMANAGER_")}"' in code, variable


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
