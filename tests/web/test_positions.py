"""GET /api/v1/positions and /api/v1/positions/{asset}."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from order_manager.database.tables import lanes
from order_manager.wiring import Runtime
from tests.web.conftest import Api
from tests.web.rows import add_position

D = Decimal
POSITIONS = "/api/v1/positions"


def test_a_long_position_shows_what_it_cost_and_what_it_would_bring(api: Api, runtime: Runtime) -> None:
    add_position(
        runtime,
        size=D("0.00000002"),
        average_price=D("50000.5"),
        realized_pnl=D("12.50"),
        fees=D("0.25"),
        mark_price=D("60000.5"),
    )

    assert api.get(f"{POSITIONS}/BTCUSDT") == {
        "asset": "BTCUSDT",
        "mode": "one_way",
        "side": "long",
        "size": "0.00000002",
        "average_entry_price": "50000.5",
        "long_size": "0.00000002",
        "long_average_price": "50000.5",
        "short_size": "0",
        "short_average_price": None,
        "realized_pnl": "12.25",  # the fees are deducted
        "fees": "0.25",
        "unrealized_pnl": "0.0002",
        "mark_price": "60000.5",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
    }


def test_a_short_position_has_a_negative_size_and_gains_when_the_price_falls(
    api: Api, runtime: Runtime
) -> None:
    add_position(runtime, size=D("-2"), average_price=D(100), mark_price=D(90))

    position = api.get(f"{POSITIONS}/BTCUSDT")

    assert position["side"] == "short"
    assert position["size"] == "-2"
    assert position["average_entry_price"] == "100"
    assert (position["long_size"], position["long_average_price"]) == ("0", None)
    assert (position["short_size"], position["short_average_price"]) == ("2", "100")
    assert position["unrealized_pnl"] == "20"


def test_a_hedged_position_nets_its_size_and_sums_what_its_legs_would_bring(
    api: Api, runtime: Runtime
) -> None:
    add_position(
        runtime,
        mode="hedge",
        long_size=D(3),
        long_average_price=D(100),
        short_size=D(-1),
        short_average_price=D(120),
        realized_pnl=D(7),
        fees=D(2),
        mark_price=D(110),
    )

    position = api.get(f"{POSITIONS}/BTCUSDT")

    assert position["side"] == "both"
    assert position["size"] == "2"
    assert position["average_entry_price"] is None
    assert (position["long_size"], position["short_size"]) == ("3", "1")
    assert (position["long_average_price"], position["short_average_price"]) == ("100", "120")
    assert position["unrealized_pnl"] == "40"
    assert position["realized_pnl"] == "5"


def test_a_hedge_with_one_leg_has_that_legs_side_and_entry_price(api: Api, runtime: Runtime) -> None:
    add_position(runtime, mode="hedge", short_size=D(-1), short_average_price=D(120), mark_price=D(121))

    position = api.get(f"{POSITIONS}/BTCUSDT")

    assert (position["side"], position["size"], position["average_entry_price"]) == ("short", "-1", "120")
    assert position["unrealized_pnl"] == "-1"


def test_a_flat_position_stays_listed_for_what_it_realized(api: Api, runtime: Runtime) -> None:
    add_position(runtime, realized_pnl=D(-5), fees=D(1))

    [position] = api.positions()

    assert (position["side"], position["size"], position["average_entry_price"]) == ("flat", "0", None)
    assert (position["realized_pnl"], position["unrealized_pnl"]) == ("-6", "0")


def test_without_a_mark_price_the_unrealized_pnl_is_not_known(api: Api, runtime: Runtime) -> None:
    add_position(runtime, size=D(1), average_price=D(100))

    position = api.get(f"{POSITIONS}/BTCUSDT")

    assert position["mark_price"] is None
    assert position["unrealized_pnl"] is None


def test_a_loss_too_small_to_show_is_a_zero_without_a_sign(api: Api, runtime: Runtime) -> None:
    add_position(runtime, size=D("0.000001"), average_price=D("1.0000001"), mark_price=D(1))

    assert api.get(f"{POSITIONS}/BTCUSDT")["unrealized_pnl"] == "0"


def test_positions_are_sorted_by_asset_and_mode_and_paged(api: Api, runtime: Runtime) -> None:
    for asset, mode in (("ETHUSDT", "one_way"), ("BTCUSDT", "one_way"), ("BTCUSDT", "hedge")):
        add_position(runtime, asset=asset, mode=mode)

    pages = [api.get(POSITIONS, limit=2, offset=offset) for offset in (0, 2, 4)]

    listed = [(p["asset"], p["mode"]) for page in pages for p in page["positions"]]
    assert listed == [("BTCUSDT", "hedge"), ("BTCUSDT", "one_way"), ("ETHUSDT", "one_way")]
    assert [page["pagination"] for page in pages] == [
        {"limit": 2, "offset": offset, "total": 3} for offset in (0, 2, 4)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"asset": "ETHUSDT"}, [("ETHUSDT", "one_way")]),
        ({"mode": "hedge"}, [("BTCUSDT", "hedge")]),
        ({"asset": "BTCUSDT", "mode": "one_way"}, [("BTCUSDT", "one_way")]),
        ({"asset": "SOLUSDT"}, []),
    ],
)
def test_positions_are_filtered_by_asset_and_mode(
    api: Api, runtime: Runtime, query: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    for asset, mode in (("ETHUSDT", "one_way"), ("BTCUSDT", "one_way"), ("BTCUSDT", "hedge")):
        add_position(runtime, asset=asset, mode=mode)

    assert [(p["asset"], p["mode"]) for p in api.positions(**query)] == expected


@pytest.mark.parametrize("mode", ["one_way", "hedge"])
def test_of_two_modes_the_accounts_own_is_shown_unless_one_is_asked_for(
    api: Api, runtime: Runtime, mode: str
) -> None:
    add_position(runtime, mode="one_way")
    add_position(runtime, mode="hedge")
    with runtime.engine.connect() as connection:
        connection.execute(insert(lanes).values(symbol="BTCUSDT", position_mode=mode))

    assert api.get(f"{POSITIONS}/BTCUSDT")["mode"] == mode
    assert api.get(f"{POSITIONS}/BTCUSDT", mode="hedge")["mode"] == "hedge"
    assert api.get(f"{POSITIONS}/BTCUSDT", mode="one_way")["mode"] == "one_way"


@pytest.mark.parametrize("asset", ["ETHUSDT", "btcusdt", "BTCUSDT'--", "a%00b", "☃", "X" * 500])
def test_an_asset_without_a_position_is_not_found(api: Api, runtime: Runtime, asset: str) -> None:
    add_position(runtime)

    answer = api.answer(f"{POSITIONS}/{asset}")

    assert answer.status_code == 404
    assert answer.json["code"] == "position_not_found"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (POSITIONS, {"mode": "both"}),
        (POSITIONS, {"asset": "a\x00"}),
        (POSITIONS, {"limit": "0"}),
        (POSITIONS, {"side": "long"}),
        (f"{POSITIONS}/BTCUSDT", {"mode": ""}),
        (f"{POSITIONS}/BTCUSDT", {"asset": "BTCUSDT"}),
    ],
)
def test_a_bad_parameter_is_named(api: Api, path: str, query: dict[str, Any]) -> None:
    assert api.problem(path, **query)["parameter"] == next(iter(query))
