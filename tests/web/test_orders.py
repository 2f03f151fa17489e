"""GET /api/v1/orders and /api/v1/orders/{order_id}."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from order_manager.wiring import Runtime
from tests.builders import NOW, at
from tests.web.conftest import Api
from tests.web.rows import add_order, an_order_id

ORDERS = "/api/v1/orders"


def ids(orders: list[dict[str, Any]]) -> list[str]:
    return [order["id"] for order in orders]


# What an order looks like


def test_an_order_shows_the_fields_of_the_interface_and_decimals_as_strings(
    api: Api, runtime: Runtime
) -> None:
    order_id = add_order(
        runtime,
        client_order_id="om-fields",
        exchange_order_id="ex-fields",
        signal_id="signal-fields",
        status="filled",
        quantity=Decimal("0.00000001"),
        price=Decimal("100000"),
        filled_quantity=Decimal("0.00000001"),
        average_price=Decimal("99999.5"),
        fees=Decimal("0.000000000000000001"),
        executed_at=at(2),
    )

    assert api.get(f"{ORDERS}/{order_id}") == {
        "id": order_id,
        "order_id": "ex-fields",
        "client_order_id": "om-fields",
        "signal_id": "signal-fields",
        "asset": "BTCUSDT",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "quantity": "0.00000001",
        "price": "100000",
        "status": "filled",
        "filled_quantity": "0.00000001",
        "average_price": "99999.5",
        "fees": "0.000000000000000001",
        "reduce_only": False,
        "reason": None,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "executed_at": "2026-01-02T03:04:07Z",
        "is_dry_run": False,
        "is_external": False,
    }


def test_an_order_in_a_list_is_the_order_by_its_id(api: Api, runtime: Runtime) -> None:
    order_id = add_order(runtime)

    assert api.orders() == [api.get(f"{ORDERS}/{order_id}")]


# One order by its id


def test_an_order_is_found_by_any_of_its_three_ids(api: Api, runtime: Runtime) -> None:
    order_id = add_order(runtime, client_order_id="om-three", exchange_order_id="ex-three")
    add_order(runtime)

    for known_as in (order_id, order_id.upper(), "om-three", "ex-three"):
        assert api.get(f"{ORDERS}/{known_as}")["id"] == order_id
        assert ids(api.orders(order_id=known_as)) == [order_id]


def test_an_id_of_the_exchange_that_is_a_uuid_is_found_too(api: Api, runtime: Runtime) -> None:
    exchange_id = "7f0b8a3c-2f53-4a85-9c1b-7d1f5f1e0a11"
    order_id = add_order(runtime, exchange_order_id=exchange_id)

    assert api.get(f"{ORDERS}/{exchange_id}")["id"] == order_id


def test_the_exchanges_id_wins_over_an_equal_client_order_id(api: Api, runtime: Runtime) -> None:
    add_order(runtime, client_order_id="same")
    by_the_exchange = add_order(runtime, exchange_order_id="same")
    add_order(runtime)

    assert api.get(f"{ORDERS}/same")["id"] == by_the_exchange


@pytest.mark.parametrize(
    "order_id",
    [
        "unknown",
        an_order_id(2**127),
        "{" + an_order_id(1) + "}",
        "urn:uuid:" + an_order_id(1),
        "' OR 1=1 --",
        "%",
        "_",
        "zamówienie-☃",
        "a%00b",
        "x" * 65,
        "x" * 3000,
    ],
)
def test_an_unknown_id_is_not_found_whatever_it_looks_like(api: Api, runtime: Runtime, order_id: str) -> None:
    add_order(runtime)

    answer = api.answer(f"{ORDERS}/{order_id}")

    assert answer.status_code == 404
    assert answer.json["code"] == "order_not_found"


# Filters


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"asset": "ETHUSDT"}, {"symbol": "ETHUSDT"}),
        ({"status": "filled"}, {"status": "filled"}),
        ({"status": "partially_filled"}, {"status": "partially_filled"}),
        ({"status": "cancelled"}, {"status": "cancelled"}),
        ({"status": "rejected"}, {"status": "rejected"}),
        ({"status": "dry_run"}, {"status": "dry_run"}),
        ({"side": "sell"}, {"side": "sell"}),
        ({"signal_id": "the one"}, {"signal_id": "the one"}),
        ({"signal_id": "sygnał-☃"}, {"signal_id": "sygnał-☃"}),
        ({"order_id": "the-one"}, {"exchange_order_id": "the-one"}),
    ],
)
def test_a_filter_lets_only_its_orders_through(
    api: Api, runtime: Runtime, query: dict[str, str], columns: dict[str, str]
) -> None:
    add_order(runtime)
    wanted = add_order(runtime, **columns)

    body = api.get(ORDERS, **query)

    assert ids(body["orders"]) == [wanted]
    assert body["pagination"]["total"] == 1


def test_filters_are_all_applied_together(api: Api, runtime: Runtime) -> None:
    wanted = add_order(runtime, symbol="ETHUSDT", side="sell", status="filled")
    add_order(runtime, symbol="ETHUSDT", side="sell")
    add_order(runtime, symbol="ETHUSDT", status="filled")
    add_order(runtime, side="sell", status="filled")

    assert ids(api.orders(asset="ETHUSDT", side="sell", status="filled")) == [wanted]


def test_both_ends_of_a_span_belong_to_it(api: Api, runtime: Runtime) -> None:
    add_order(runtime, created_at=at(-1))
    first = add_order(runtime, created_at=at(0))
    last = add_order(runtime, created_at=at(10))
    add_order(runtime, created_at=at(10) + timedelta(microseconds=1))

    found = api.orders(date_from=at(0).isoformat(), date_to=at(10).isoformat(), sort_order="asc")

    assert ids(found) == [first, last]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.000000Z",
        "2026-01-02T05:04:05+02:00",
        "2026-01-02T05:04:05 02:00",  # the plus sign was not escaped
        "2026-01-01T22:04:05-05:00",
        "20260102T030405Z",
    ],
)
def test_a_moment_may_be_written_in_any_iso_way_and_is_utc_without_a_zone(
    api: Api, runtime: Runtime, moment: str
) -> None:
    wanted = add_order(runtime, created_at=NOW)

    assert ids(api.orders(date_from=moment, date_to=moment)) == [wanted]


def test_a_date_alone_means_the_whole_day(api: Api, runtime: Runtime) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0)
    add_order(runtime, created_at=midnight - timedelta(microseconds=1))
    first = add_order(runtime, created_at=midnight)
    last = add_order(runtime, created_at=midnight + timedelta(hours=24, microseconds=-1))
    add_order(runtime, created_at=midnight + timedelta(hours=24))

    found = api.orders(date_from="2026-01-02", date_to="2026-01-02", sort_order="asc")

    assert ids(found) == [first, last]


@pytest.mark.parametrize("text", ["'; DROP TABLE orders; --", "%", "_", "\\", '"', "signal-%", "$$", "{}"])
def test_meta_characters_are_text_like_any_other(api: Api, runtime: Runtime, text: str) -> None:
    wanted = add_order(runtime, signal_id=text)
    add_order(runtime)

    assert ids(api.orders(signal_id=text)) == [wanted]
    assert ids(api.orders(order_id=text)) == []
    assert len(api.orders()) == 2


# Pages


def test_no_orders_are_an_empty_page(api: Api) -> None:
    assert api.get(ORDERS) == {"orders": [], "pagination": {"limit": 100, "offset": 0, "total": 0}}


def test_pages_together_are_the_whole_list_once(api: Api, runtime: Runtime) -> None:
    everything = {add_order(runtime, created_at=at(number // 3)) for number in range(10)}

    pages = [api.get(ORDERS, limit=4, offset=offset) for offset in (0, 4, 8)]

    listed = [order["id"] for page in pages for order in page["orders"]]
    assert [len(page["orders"]) for page in pages] == [4, 4, 2]
    assert len(listed) == 10
    assert set(listed) == everything
    assert [page["pagination"] for page in pages] == [
        {"limit": 4, "offset": offset, "total": 10} for offset in (0, 4, 8)
    ]


@pytest.mark.parametrize("offset", [3, 4, 1_000_000])
def test_a_page_behind_the_end_is_empty_and_knows_the_total(api: Api, runtime: Runtime, offset: int) -> None:
    for _ in range(3):
        add_order(runtime)

    assert api.get(ORDERS, offset=offset) == {
        "orders": [],
        "pagination": {"limit": 100, "offset": offset, "total": 3},
    }


def test_a_full_last_page_knows_the_total(api: Api, runtime: Runtime) -> None:
    for side in ("buy", "buy", "sell"):
        add_order(runtime, side=side)

    assert api.get(ORDERS, side="buy", limit=2)["pagination"]["total"] == 2
    assert api.get(ORDERS, side="buy", limit=1)["pagination"]["total"] == 2


# Sorting


def test_the_newest_order_comes_first(api: Api, runtime: Runtime) -> None:
    old, new = add_order(runtime, created_at=at(0)), add_order(runtime, created_at=at(1))

    assert ids(api.orders()) == [new, old]
    assert ids(api.orders(sort_order="asc")) == [old, new]


@pytest.mark.parametrize(
    ("sort_by", "column", "low", "high"),
    [
        ("created_at", "created_at", at(0), at(1)),
        ("updated_at", "updated_at", at(0), at(1)),
        ("executed_at", "executed_at", at(0), at(1)),
        ("asset", "symbol", "BTCUSDT", "ETHUSDT"),
        ("status", "status", "cancelled", "filled"),
        ("quantity", "quantity", Decimal("9"), Decimal("10")),
        ("price", "price", Decimal("9"), Decimal("10")),
    ],
)
def test_orders_are_sorted_by_any_of_the_listed_fields(
    api: Api, runtime: Runtime, sort_by: str, column: str, low: Any, high: Any
) -> None:
    lower, higher = add_order(runtime, **{column: low}), add_order(runtime, **{column: high})

    assert ids(api.orders(sort_by=sort_by, sort_order="asc")) == [lower, higher]
    assert ids(api.orders(sort_by=sort_by, sort_order="desc")) == [higher, lower]


@pytest.mark.parametrize("sort_by", ["price", "executed_at"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
def test_orders_without_the_value_come_last_either_way(
    api: Api, runtime: Runtime, sort_by: str, sort_order: str
) -> None:
    without = add_order(runtime, **{sort_by: None})
    add_order(runtime, price=Decimal(1), executed_at=at(0))

    assert ids(api.orders(sort_by=sort_by, sort_order=sort_order))[-1] == without


@pytest.mark.parametrize(
    "sort_by", ["created_at", "updated_at", "executed_at", "asset", "status", "quantity", "price"]
)
def test_equal_orders_keep_their_places_on_every_page(api: Api, runtime: Runtime, sort_by: str) -> None:
    made = [add_order(runtime) for _ in range(6)]

    for sort_order, expected in (("asc", made), ("desc", made[::-1])):
        pages = [
            api.orders(sort_by=sort_by, sort_order=sort_order, limit=1, offset=place) for place in range(6)
        ]
        assert [order["id"] for [order] in pages] == expected


# Bad parameters


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("limit", "0", "1 to 1000"),
        ("limit", "1001", "1 to 1000"),
        ("limit", "-1", "1 to 1000"),
        ("limit", "ten", "1 to 1000"),
        ("limit", "1e2", "1 to 1000"),
        ("limit", "1.0", "1 to 1000"),
        ("limit", " 1", "1 to 1000"),
        ("limit", "١", "1 to 1000"),
        ("limit", "", "1 to 1000"),
        ("limit", "9" * 5000, "1 to 1000"),
        ("offset", "-1", "0 to 1000000"),
        ("offset", "1000001", "0 to 1000000"),
        ("offset", "9" * 30, "0 to 1000000"),
        ("sort_by", "fees", "created_at, updated_at, executed_at, asset, status, quantity, price"),
        ("sort_by", "created_at; DROP TABLE orders", "created_at"),
        ("sort_order", "up", "asc, desc"),
        ("status", "open", "pending, partially_filled, filled, cancelled, rejected, dry_run"),
        ("status", "", "pending"),
        ("side", "hold", "buy, sell"),
        ("asset", "", "capital letters"),
        ("asset", "btcusdt", "capital letters"),
        ("asset", "BTC'; --", "capital letters"),
        ("asset", "BTCUSDT\x00", "capital letters"),
        ("asset", "X" * 40, "39"),
        ("signal_id", "a\x00b", "printable"),
        ("signal_id", "", "1 to 100"),
        ("signal_id", "x" * 101, "1 to 100"),
        ("order_id", "a\x00b", "printable"),
        ("order_id", "x" * 65, "1 to 64"),
        ("date_from", "yesterday", "ISO 8601"),
        ("date_from", "1735689600", "ISO 8601"),
        ("date_from", "2025-02-30", "ISO 8601"),
        ("date_from", "2025-01-27T10:00:00Z\x00", "ISO 8601"),
        ("date_to", "0001-01-01T00:00:00+14:00", "ISO 8601"),
        ("date_to", "9999-12-31T23:59:59-12:00", "ISO 8601"),
        ("date_to", "", "ISO 8601"),
    ],
)
def test_a_bad_parameter_is_named_with_its_limit_and_its_value(
    api: Api, name: str, value: str, limit: str
) -> None:
    problem = api.problem(ORDERS, **{name: value})

    assert problem["parameter"] == name
    assert limit in problem["limit"]
    assert problem["value"] == value or problem["value"] == value[:200] + "…"


@pytest.mark.parametrize("name", ["stauts", "symbol", "Limit", "a\x00b"])
def test_an_unknown_parameter_is_refused_rather_than_ignored(api: Api, name: str) -> None:
    problem = api.problem(ORDERS, **{name: "1"})

    assert problem["parameter"] == name
    assert "status" in problem["limit"]


def test_one_order_takes_no_parameters(api: Api, runtime: Runtime) -> None:
    assert api.problem(f"{ORDERS}/{add_order(runtime)}", verbose="1")["parameter"] == "verbose"


def test_a_parameter_given_twice_is_refused(api: Api) -> None:
    problem = api.problem(ORDERS, asset=["BTCUSDT", "ETHUSDT"])

    assert problem == {"parameter": "asset", "limit": "given once", "value": "BTCUSDT, ETHUSDT"}


def test_a_span_that_ends_before_it_begins_is_refused(api: Api) -> None:
    problem = api.problem(ORDERS, date_from="2026-01-02", date_to="2026-01-01")

    assert problem == {"parameter": "date_to", "limit": "not before date_from", "value": "2026-01-01"}


def test_all_bad_parameters_are_named_at_once(api: Api) -> None:
    answer = api.answer(ORDERS, limit="0", side="hold", colour="red")

    assert answer.status_code == 400
    named = [problem["parameter"] for problem in answer.json["details"]["parameters"]]
    assert sorted(named) == ["colour", "limit", "side"]


def test_bytes_that_are_no_text_are_refused_or_find_nothing(api: Api, runtime: Runtime) -> None:
    add_order(runtime)

    for query in ("signal_id=%ff%fe", "signal_id=%ed%a0%80", "asset=%c3%28"):
        answer = api.answer(f"{ORDERS}?{query}")
        assert answer.status_code == 400 or answer.json["orders"] == []
