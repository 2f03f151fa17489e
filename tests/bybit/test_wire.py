import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.bybit import wire
from order_manager.bybit.encoding import body_text
from order_manager.bybit.fields import UnknownWireValue
from order_manager.domain.orders import (
    Category,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from order_manager.domain.reconciling import apply_report
from tests.builders import an_order

D = Decimal


def a_request(**changes) -> OrderRequest:
    request = OrderRequest(
        client_order_id="om-1",
        symbol="BTCUSDT",
        category=Category.LINEAR,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.POST_ONLY,
        quantity=D("0.010"),
        price=D("50000.50"),
    )
    return replace(request, **changes)


def a_row(recorded, **changes):
    return recorded("order_realtime")["response"]["result"]["list"][0] | changes


def report(row, category=Category.LINEAR) -> OrderReport:
    return wire.order_report(row, category=category)


def test_a_linear_limit_order_goes_out_with_every_field():
    assert body_text(wire.order_to_wire(a_request(reduce_only=True, position_idx=1))) == (
        '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010",'
        '"timeInForce":"PostOnly","orderLinkId":"om-1","price":"50000.50","positionIdx":1,"reduceOnly":true}'
    )


def test_a_market_order_has_no_price():
    body = wire.order_to_wire(
        a_request(order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, price=None, side=Side.SELL)
    )
    assert "price" not in body
    assert (body["side"], body["orderType"], body["timeInForce"]) == ("Sell", "Market", "IOC")
    assert "marketUnit" not in body


def test_a_spot_market_order_says_that_its_quantity_is_base():
    body = wire.order_to_wire(
        a_request(category=Category.SPOT, order_type=OrderType.MARKET, price=None, reduce_only=True)
    )
    assert body["marketUnit"] == "baseCoin"
    assert not {"reduceOnly", "positionIdx", "price"} & body.keys()


def test_a_spot_limit_order_has_no_market_unit():
    assert "marketUnit" not in wire.order_to_wire(a_request(category=Category.SPOT))


@pytest.mark.parametrize("time_in_force", TimeInForce)
def test_every_time_in_force_has_a_name(time_in_force):
    name = wire.order_to_wire(a_request(time_in_force=time_in_force))["timeInForce"]
    assert wire.TIMES_IN_FORCE[str(name)] is time_in_force


def test_the_documented_open_order_is_read(recorded):
    found = report(a_row(recorded))
    assert found == OrderReport(
        client_order_id="test-000005",
        exchange_order_id="fd4300ae-7847-404e-b947-b46980a4d140",
        symbol="ETHUSDT",
        category=Category.LINEAR,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        status=OrderStatus.PENDING,
        quantity=D("0.10"),
        price=D("1600.00"),
        filled_quantity=D(0),
        average_price=None,
        fees=D(0),  # paid in the discount coin: in the detail only
        reduce_only=False,
        position_idx=1,
        reason=None,
        created_at=datetime(2023, 5, 22, 6, 55, 40, 559000, tzinfo=UTC),
        updated_at=datetime(2023, 5, 22, 6, 55, 40, 561000, tzinfo=UTC),
        fee_detail={"MNT": D("0.00242968")},
    )


def test_a_post_only_order_that_would_take_is_cancelled_with_its_reason(recorded):
    found = report(recorded("order_history")["response"]["result"]["list"][0])
    assert found.status is OrderStatus.CANCELLED
    assert found.reason == "EC_PostOnlyWillTakeLiquidity"
    assert found.time_in_force is TimeInForce.POST_ONLY


def test_an_order_of_the_stream_names_its_category_itself(recorded):
    for row in recorded("ws_private_order")["response"]["data"]:
        wire.order_report({**row, "category": "linear"})
    with pytest.raises(UnknownWireValue):
        wire.order_report({**row, "category": "option"})


STATUSES = {
    "New": OrderStatus.PENDING,
    "Untriggered": OrderStatus.PENDING,
    "Triggered": OrderStatus.PENDING,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_every_status_has_ours(name, status, recorded):
    assert report(a_row(recorded, orderStatus=name)).status is status


@pytest.mark.parametrize("ours", OrderStatus)
@pytest.mark.parametrize("name", STATUSES)
def test_every_word_has_an_answer_in_every_state_of_ours(name, ours, recorded):
    row = a_row(recorded, orderStatus=name, cumExecQty="0.04", avgPrice="1600")
    theirs = report(row)
    order = an_order(status=ours, exchange_order_id=theirs.exchange_order_id, quantity=theirs.quantity)
    correction = apply_report(order, theirs)
    if ours is OrderStatus.DRY_RUN:
        assert correction is None
        return
    assert correction is not None
    assert correction.filled_delta == D("0.04")
    assert correction.order.status.is_terminal or not (ours.is_terminal or theirs.status.is_terminal)
    assert apply_report(correction.order, theirs) is None


@pytest.mark.parametrize("value", ["Created", "PendingCancel", "", None, 7])
def test_an_unknown_status_is_loud_and_carries_the_order(value, recorded):
    row = a_row(recorded, orderStatus=value)
    with pytest.raises(UnknownWireValue) as caught:
        report(row)
    assert (caught.value.field, caught.value.value, caught.value.row) == ("orderStatus", value, row)


def test_the_filled_quantity_corrects_the_word(recorded):
    assert report(a_row(recorded, cumExecQty="0.04")).status is OrderStatus.PARTIALLY_FILLED
    cancelled = a_row(recorded, orderStatus="Cancelled", cumExecQty="0.04")
    assert report(cancelled).status is OrderStatus.CANCELLED
    complete = a_row(recorded, orderStatus="PartiallyFilledCanceled", cumExecQty="0.10")
    assert report(complete, Category.SPOT).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("rejected", "cancelled", "reason"),
    [
        ("EC_NoError", "UNKNOWN", None),
        ("", "", None),
        ("EC_NoError", "CancelByUser", "CancelByUser"),
        ("EC_PerCancelRequest", "CancelByReduceOnly", "CancelByReduceOnly"),
        ("EC_PerCancelRequest", "UNKNOWN", "EC_PerCancelRequest"),
        ("EC_NoImmediateQtyToFill", "UNKNOWN", "EC_NoImmediateQtyToFill"),
        ("EC_PostOnlyWillTakeLiquidity", "CancelByUser", "EC_PostOnlyWillTakeLiquidity"),
    ],
)
def test_the_reason_is_the_one_that_says_most(rejected, cancelled, reason, recorded):
    row = a_row(recorded, orderStatus="Cancelled", rejectReason=rejected, cancelType=cancelled)
    assert report(row).reason == reason


def test_the_fill_that_crossed_a_cancel_has_no_reason(recorded):
    row = a_row(recorded, orderStatus="Filled", cancelType="CancelByUser", cumExecQty="0.10")
    assert report(row | {"rejectReason": "EC_OrigClOrdIDDoesNotExist"}).reason is None


@pytest.mark.parametrize("average", ["", "0", None])
def test_an_empty_average_price_is_worked_out_from_the_value(average, recorded):
    row = a_row(recorded, avgPrice=average, cumExecQty="0.04", cumExecValue="64")
    assert report(row).average_price == D(1600)


def test_a_spot_market_order_in_quote_wanted_what_it_bought(recorded):
    row = a_row(
        recorded,
        orderType="Market",
        marketUnit="quoteCoin",
        qty="500",
        cumExecQty="0.009999",
        avgPrice="50000.1",
        orderStatus="PartiallyFilledCanceled",
    )
    told = report(row, Category.SPOT)
    assert (told.status, told.quantity, told.filled_quantity) == (
        OrderStatus.FILLED,
        Decimal("0.009999"),
        Decimal("0.009999"),
    )


def test_a_market_order_shows_no_price_of_its_own(recorded):
    assert report(a_row(recorded, orderType="Market")).price is None


FEES = [
    ({"USDT": "0.5"}, "ETHUSDT", Category.LINEAR, D("0.5")),
    ({"USDC": "0.5"}, "ETHPERP", Category.LINEAR, D("0.5")),
    ({"ETH": "0.001"}, "ETHUSDT", Category.SPOT, D("2")),
    ({"ETH": "0.001", "USDT": "1"}, "ETHUSDT", Category.SPOT, D("3")),
    ({"MNT": "3"}, "ETHUSDT", Category.SPOT, D(0)),
    ({}, "ETHUSDT", Category.LINEAR, D("0.25")),
]


@pytest.mark.parametrize(("detail", "symbol", "category", "fees"), FEES)
def test_fees_are_in_quote(detail, symbol, category, fees, recorded):
    row = a_row(
        recorded, symbol=symbol, cumFeeDetail=detail, cumExecFee="0.25", avgPrice="2000", cumExecQty="0.1"
    )
    assert report(row, category).fees == fees


def test_the_old_fee_field_is_the_fallback(recorded):
    row = a_row(recorded, cumExecFee="0.25")
    del row["cumFeeDetail"]
    assert report(row).fees == D("0.25")
    assert report(row | {"cumExecFee": ""}).fees == 0


NEEDED = ["orderId", "symbol", "side", "orderType", "orderStatus", "qty", "createdTime", "updatedTime"]
UNNEEDED = [
    "orderLinkId",
    "timeInForce",
    "price",
    "avgPrice",
    "cumExecQty",
    "cumExecFee",
    "cumFeeDetail",
    "reduceOnly",
    "positionIdx",
    "cancelType",
    "rejectReason",
    "createType",
    "leavesQty",
    "tpslMode",
    "smpType",
]


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_field_that_we_need_is_loud(name, recorded):
    row = a_row(recorded)
    del row[name]
    with pytest.raises(UnknownWireValue, match=name):
        report(row)


@pytest.mark.parametrize("name", UNNEEDED)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_missing_field_that_we_do_not_need_is_not(name, how, recorded):
    row = a_row(recorded)
    row.pop(name, None)
    report(row | ({name: ""} if how == "empty" else {}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("side", ""),
        ("orderType", "UNKNOWN"),
        ("qty", "many"),
        ("qty", "NaN"),
        ("qty", 0.1),
        ("cumExecQty", "Infinity"),
        ("positionIdx", 3),
        ("updatedTime", "0"),
        ("updatedTime", "99999999999999999999"),
        ("updatedTime", "1.5"),
        ("cumFeeDetail", {"USDT": "x"}),
    ],
)
def test_a_strange_value_is_loud(field, value, recorded):
    with pytest.raises(UnknownWireValue):
        report(a_row(recorded, **{field: value}))


def test_the_documented_execution_is_read(recorded):
    row = recorded("execution_list")["response"]["result"]["list"][0]
    found = wire.execution(row, category=Category.LINEAR)
    assert found.exec_id == row["execId"]
    assert found.fill.quantity == D(row["execQty"])
    assert found.fill.price == D(row["execPrice"])
    assert found.fill.fee == D(row["execFee"])
    assert found.executed_at.tzinfo is UTC
    for row in recorded("ws_private_execution")["response"]["data"]:
        wire.execution({**row, "category": "linear"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("side", "Both"),
        ("side", ""),
        ("execId", ""),
        ("orderId", None),
        ("execQty", "x"),
        ("execPrice", ""),
        ("execTime", "soon"),
    ],
)
def test_a_strange_execution_is_loud(field, value, recorded):
    row = recorded("execution_list")["response"]["result"]["list"][0]
    with pytest.raises(UnknownWireValue, match=field):
        wire.execution(row | {field: value}, category=Category.LINEAR)


def test_only_some_kinds_of_executions_fill_an_order(recorded):
    row = recorded("execution_list")["response"]["result"]["list"][0]
    kinds = ["Trade", "AdlTrade", "BustTrade", "", "Funding", "Settle", "Delivery", "NewKind"]
    read = [wire.execution(row | {"execType": kind}, category=Category.LINEAR) for kind in kinds]
    assert [one.is_trade for one in read] == [True] * 4 + [False] * 4


@given(
    quantity=st.decimals(min_value="1e-18", max_value="1e12", allow_nan=False),
    price=st.decimals(min_value="1e-12", max_value="1e9", allow_nan=False),
    side=st.sampled_from(Side),
    time_in_force=st.sampled_from(TimeInForce),
)
def test_what_goes_out_comes_back_the_same(quantity, price, side, time_in_force):
    request = a_request(quantity=quantity, price=price, side=side, time_in_force=time_in_force)
    text = body_text(wire.order_to_wire(request))
    assert "E" not in text.partition('"qty":')[2].partition(",")[0]
    row = json.loads(text, parse_float=D) | {
        "orderId": "1", "orderStatus": "New", "createdTime": "1700000000000", "updatedTime": "1700000000000",
    }  # fmt: skip
    back = wire.order_report(row)
    assert (back.quantity, back.price, back.side, back.time_in_force) == (
        quantity,
        price,
        side,
        time_in_force,
    )
