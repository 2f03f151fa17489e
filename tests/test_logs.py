"""Logs: one JSON object per line, whoever speaks; colours only for a terminal."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from order_manager.logs import configure_logs
from order_manager.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What the tests configure is gone after each."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def settings(**changes: Any) -> Settings:
    return load_settings(_env_file=None, **{"log_format": "json", **changes})


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object_that_names_its_process(capsys):
    configure_logs(settings(), process="consumer")
    structlog.get_logger("x").info("order_submitted", quantity="0.1", n=5)
    [line] = lines(capsys)
    assert line["event"] == "order_submitted"
    assert (line["quantity"], line["n"], line["level"]) == ("0.1", 5, "info")
    assert (line["service"], line["process"]) == ("order-manager", "consumer")
    assert line["timestamp"].endswith("Z")


def test_what_is_bound_at_the_edge_is_in_every_line(capsys):
    configure_logs(settings(), process="worker")
    with structlog.contextvars.bound_contextvars(trace_id="t-1", symbol="BTCUSDT"):
        structlog.get_logger().info("order_submitted")
    structlog.get_logger().info("later")
    first, second = lines(capsys)
    assert (first["trace_id"], first["symbol"]) == ("t-1", "BTCUSDT")
    assert "trace_id" not in second


def test_a_library_s_line_looks_the_same(capsys):
    configure_logs(settings(), process="worker")
    with structlog.contextvars.bound_contextvars(trace_id="t-1"):
        logging.getLogger("celery.worker").warning("late: %s", 5)
    [line] = lines(capsys)
    assert (line["event"], line["level"], line["trace_id"]) == ("late: 5", "warning", "t-1")


def test_an_exception_stays_on_its_line(capsys):
    configure_logs(settings(), process="worker")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("broken")
    [line] = lines(capsys)
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["exception"]


def test_what_json_does_not_know_is_written_as_text(capsys):
    configure_logs(settings(), process="worker")
    structlog.get_logger().info("odd", value=object, items={1})
    [line] = lines(capsys)
    assert "object" in line["value"]


@pytest.mark.parametrize(
    ("level", "shown"), [("INFO", ["b", "c"]), ("WARNING", ["c"]), ("DEBUG", ["a", "b", "c"])]
)
def test_less_than_the_level_is_not_logged(capsys, level, shown):
    configure_logs(settings(log_level=level), process="worker")
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert [line["event"] for line in lines(capsys)] == shown


def test_library_chatter_is_not_logged(capsys):
    configure_logs(settings(), process="worker")
    for name in ("kombu", "amqp", "urllib3.connectionpool", "alembic.runtime.migration"):
        logging.getLogger(name).info("chatter")
    assert lines(capsys) == []


def test_without_a_terminal_auto_means_json_and_console_does_not(capsys):
    configure_logs(settings(log_format="auto"), process="worker")
    structlog.get_logger().info("one")
    assert lines(capsys)[0]["event"] == "one"
    configure_logs(settings(log_format="console"), process="worker")
    structlog.get_logger().info("two")
    said = capsys.readouterr().err
    assert "two" in said
    assert not said.startswith("{")


def test_configuring_twice_does_not_double_the_lines(capsys):
    for _ in range(2):
        configure_logs(settings(), process="worker")
    structlog.get_logger().info("once")
    assert len(lines(capsys)) == 1
