"""docs/metrics.md says what the instruments say, and their names keep to the rules of Prometheus."""

import re
import runpy
from pathlib import Path

import pytest

GENERATOR = runpy.run_path(str(Path(__file__).resolve().parents[1] / "docs" / "generate_metrics.py"))


def test_the_document_is_what_the_instruments_say() -> None:
    assert GENERATOR["TARGET"].read_text() == GENERATOR["page"](), "run: python docs/generate_metrics.py"


@pytest.mark.parametrize("metric", GENERATOR["CATALOGUE"], ids=lambda one: one.name)
def test_a_name_tells_its_kind_and_its_unit(metric: object) -> None:
    name, kind, text = metric.name, metric.kind, metric.text  # type: ignore[attr-defined]
    assert re.fullmatch(r"order_manager_[a-z_]+", name)
    assert name.endswith("_total") == (kind == "counter")
    assert (kind == "histogram") <= name.endswith("_seconds")
    if re.search(r"\b[Aa]ge\b|Duration|How long|Time ", text):
        assert "_seconds" in name
    if "Quote currency" in text:
        assert name.endswith("_quote")
    assert len(text) > 10
    assert not text.endswith(".")


def test_each_is_there_once() -> None:
    names = [one.name for one in GENERATOR["CATALOGUE"]]
    assert len(set(names)) == len(names)
