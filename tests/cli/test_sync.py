"""order-manager sync: ask for the comparison, wait, show what it found."""

import pytest
from sqlalchemy import insert, update

from order_manager.database.tables import lanes, position_adjustments
from order_manager.services import sync_orders
from tests.cli.conftest import Call, one_line, told
from tests.web.rows import add_lane


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of a worker."""
    symbols: list[str] = []
    monkeypatch.setattr("order_manager.tasks.exchange_updates.wake", symbols.append)
    return symbols


@pytest.fixture
def exchange_says(runtime, monkeypatch: pytest.MonkeyPatch):
    """What comparing brings, as soon as somebody waits for it."""

    def say(adjustments=(), **columns) -> None:
        def sleep(seconds: float) -> None:
            with runtime.engine.connect() as connection:
                for adjustment in adjustments:
                    connection.execute(insert(position_adjustments).values(adjustment))
                connection.execute(update(lanes).values(**columns))

        monkeypatch.setattr(sync_orders.time, "sleep", sleep)

    return say


def test_the_result_is_a_table(call: Call, runtime, woken, exchange_says) -> None:
    from sqlalchemy import func

    add_lane(runtime)
    done = {"reconciled_at": func.clock_timestamp(), "reconciled_orders": 3, "corrected_orders": 1}
    exchange_says(**done, discrepancies=0)
    result = call("sync", "--scope", "orders")
    assert result.exit_code == 0
    assert woken == ["BTCUSDT"]
    assert "completed: 3 orders looked at, 1 changed, 0 position discrepancies corrected" in result.output
    [row] = [line.split() for line in result.output.splitlines() if line.split()[:1] == ["BTCUSDT"]]
    assert row == ["BTCUSDT", "completed", "3", "1", "0"]


def test_a_position_that_was_set_right_is_told_with_both_sizes(call: Call, runtime, woken, exchange_says):
    from sqlalchemy import func

    add_lane(runtime)
    leg = {"asset": "BTCUSDT", "mode": "one_way", "position_idx": 0, "source": "exchange"}
    exchange_says(
        adjustments=[
            {**leg, "size_before": 1, "size_after": "6.9", "reason": "the exchange shows another position"},
            {
                **leg,
                "size_before": 2,
                "size_after": 2,
                "source": "fills",
                "reason": "they earned 5, not 7",
            },
        ],
        reconciled_at=func.clock_timestamp(),
        discrepancies=2,
    )
    said = " ".join(call("sync", "--scope", "positions", "--asset", "BTCUSDT").output.split())
    assert "BTCUSDT: position 1 -> 6.9; the exchange shows another position, by the exchange" in said
    assert "BTCUSDT: position 2, unchanged; they earned 5, not 7, by the fills" in said


def test_a_failure_is_the_exit_status(call: Call, runtime, woken, exchange_says) -> None:
    from sqlalchemy import func

    add_lane(runtime)
    exchange_says(reconcile_failed_at=func.clock_timestamp(), reconcile_error="it is away")
    result = told(call("sync", "--scope", "all", "--asset", "BTCUSDT", "--json"), status=1)
    assert result["status"] == "failed"
    assert "it is away" in call("sync", "--scope", "orders").output


def test_what_takes_longer_is_partial(call: Call, runtime, woken) -> None:
    add_lane(runtime)
    result = call("sync", "--scope", "positions", "--wait", "0")
    assert result.exit_code == 0
    assert "partial" in result.output
    assert "BTCUSDT still to come" in result.output


def test_nothing_to_compare_is_said(call: Call, runtime, woken) -> None:
    assert call("sync").output == "completed: no symbol to compare with scope active\n"


def test_what_cannot_be_compared_is_refused(call: Call, runtime) -> None:
    assert "NOPE has no lane" in one_line(call("sync", "--asset", "NOPE"))
    assert "dry run" in one_line(call("sync", ORDERMANAGER_ENABLE_DRY_RUN="true"))
