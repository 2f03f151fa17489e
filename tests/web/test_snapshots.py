"""GET /api/v1/positions/{asset}/snapshots."""

from typing import Any

import pytest

from order_manager.wiring import Runtime
from tests.builders import at
from tests.web.conftest import Api
from tests.web.rows import add_position, add_snapshot

SNAPSHOTS = "/api/v1/positions/BTCUSDT/snapshots"


def taken(api: Api, **query: Any) -> list[str]:
    return [snapshot["taken_at"] for snapshot in api.get(SNAPSHOTS, **query)["snapshots"]]


def test_a_snapshot_is_the_position_as_it_was_with_its_moment(api: Api, runtime: Runtime) -> None:
    add_snapshot(runtime, taken_at=at(2))

    [snapshot] = api.get(SNAPSHOTS)["snapshots"]

    assert snapshot == {
        "asset": "BTCUSDT",
        "mode": "one_way",
        "side": "long",
        "size": "0.5",
        "average_entry_price": "50000",
        "long_size": "0.5",
        "long_average_price": "50000",
        "short_size": "0",
        "short_average_price": None,
        "realized_pnl": "0",
        "fees": "0",
        "unrealized_pnl": "-2500",
        "mark_price": "45000",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:06Z",
        "taken_at": "2026-01-02T03:04:07Z",
        "is_mark_price_fresh": True,
        "losses": {"long": {"percent": "10", "at": "2026-01-02T03:04:05+00:00"}},
    }


def test_snapshots_are_of_one_asset_newest_first_and_in_pages(api: Api, runtime: Runtime) -> None:
    for seconds in (1, 3, 2):
        add_snapshot(runtime, taken_at=at(seconds))
    add_snapshot(runtime, asset="ETHUSDT")

    assert taken(api) == [f"2026-01-02T03:04:0{5 + seconds}Z" for seconds in (3, 2, 1)]
    assert taken(api, sort_order="asc", limit=1, offset=1) == ["2026-01-02T03:04:07Z"]
    assert api.get(SNAPSHOTS, limit=2)["pagination"] == {"limit": 2, "offset": 0, "total": 3}


def test_snapshots_are_filtered_by_mode_and_span(api: Api, runtime: Runtime) -> None:
    for seconds in (1, 2, 3):
        add_snapshot(runtime, taken_at=at(seconds))
    add_snapshot(runtime, mode="hedge", taken_at=at(2))

    span = {"date_from": at(2).isoformat(), "date_to": at(3).isoformat()}
    assert len(taken(api, **span)) == 3
    assert len(taken(api, mode="hedge", **span)) == 1
    assert taken(api, date_from="2026-01-03") == []


def test_a_position_without_a_snapshot_has_none(api: Api, runtime: Runtime) -> None:
    add_position(runtime)

    assert taken(api) == []


@pytest.mark.parametrize("asset", ["NOPEUSDT", "btcusdt", "x" * 99])
def test_an_asset_without_a_position_is_not_found(api: Api, asset: str) -> None:
    answer = api.answer(f"/api/v1/positions/{asset}/snapshots")

    assert (answer.status_code, answer.json["code"]) == (404, "position_not_found")
