"""The client against a pretend exchange: what it sends, how often, and what it makes of the answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from order_manager.bybit.fields import UnknownWireValue
from order_manager.bybit.governor import EVERYTHING, NoGovernor
from order_manager.domain.orders import Category, OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from order_manager.domain.positions import PositionMode
from order_manager.errors import (
    AccessDenied,
    InsufficientBalance,
    LaneLost,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)
from order_manager.services.ports import Exchange
from tests.bybit import pretend
from tests.bybit.pretend import Pauses, PretendBybit, a_client, a_transport, http, ok, ret_code, rows

CREATE, CANCEL, AMEND = "/v5/order/create", "/v5/order/cancel", "/v5/order/amend"
LADDER = ["/v5/order/realtime", "/v5/order/history", "/v5/execution/list"]
TIME = "/v5/market/time"
D = Decimal

REQUEST = OrderRequest(
    client_order_id="om-1",
    symbol="BTCUSDT",
    category=Category.LINEAR,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    quantity=D("0.10"),
    price=D("1600"),
)
ACCEPTED = ok({"orderId": "x-1", "orderLinkId": "om-1"})
NOT_APPLIED = {"rate limit": ret_code(10006), "busy": http("", status=429), "restarting": ret_code(10019)}
IN_DOUBT = {
    "timeout": pretend.stall,
    "reset": pretend.reset,
    "hang up": pretend.hang_up,
    "truncated": pretend.truncated,
    "502": http("<html>", status=502),
    "10000": ret_code(10000),
    "10016": ret_code(10016),
    "unheard of": ret_code(424242),
}
WRITES = {
    CREATE: lambda client: client.place_order(REQUEST),
    CANCEL: lambda client: client.cancel_order("BTCUSDT", "om-1"),
    AMEND: lambda client: client.amend_order("BTCUSDT", "om-1", quantity=D("0.2"), price=None),
}


def an_order(**changes):
    order = {
        "orderId": "x-1",
        "orderLinkId": "om-1",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "orderStatus": "New",
        "qty": "0.1",
        "price": "1600",
        "createdTime": "1700000000000",
        "updatedTime": "1700000000000",
    }
    return order | changes


def a_fill(**changes):
    fill = {
        "execId": "e-1",
        "orderId": "x-1",
        "orderLinkId": "om-1",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "execQty": "0.1",
        "execPrice": "1600",
        "execFee": "0.1",
        "execType": "Trade",
        "execTime": "1700000000000",
    }
    return fill | changes


def each(table):
    return pytest.mark.parametrize("answer", table.values(), ids=table.keys())


def test_the_client_is_an_exchange(exchange: PretendBybit):
    port: Exchange = a_client(exchange.url)
    assert port


# Writes


def test_an_accepted_order_has_its_exchange_id(exchange: PretendBybit):
    exchange.play(ACCEPTED)
    acceptance = a_client(exchange.url).place_order(REQUEST)
    assert acceptance.exchange_order_id == "x-1"
    assert acceptance.at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    (request,) = exchange.requests
    assert request.json["qty"] == "0.10"
    assert request.json["orderLinkId"] == "om-1"


def test_cancel_and_amend_name_the_order_by_our_id(exchange: PretendBybit):
    exchange.play(ok(), ok(), ok())
    client = a_client(exchange.url)
    client.cancel_order("BTCUSDT", "om-1")
    client.amend_order("BTCUSDT", "om-1", quantity=D("1E-3"), price=None)
    client.amend_order("BTCUSDT", "om-1", quantity=None, price=D("7"))
    name = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "om-1"}
    assert [request.json for request in exchange.requests] == [
        name,
        name | {"qty": "0.001"},
        name | {"price": "7"},
    ]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@each(IN_DOUBT)
def test_a_write_in_doubt_is_never_sent_again_blind(answer, write, exchange: PretendBybit):
    exchange.play(answer, ACCEPTED)
    pauses = Pauses()
    with pytest.raises(OutcomeUnknown):
        write(a_client(exchange.url, pause=pauses))
    assert len(exchange.requests) == 1
    assert pauses.waits == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@each(NOT_APPLIED)
def test_a_write_that_was_certainly_not_applied_is_sent_again(answer, write, exchange: PretendBybit):
    exchange.play(answer, answer, ACCEPTED)
    pauses = Pauses()
    write(a_client(exchange.url, pause=pauses))
    assert len(exchange.requests) == 3
    assert len(pauses.waits) == 2
    assert len({request.body for request in exchange.requests}) == 1


@each(NOT_APPLIED)
def test_the_last_attempt_s_error_is_the_caller_s(answer, exchange: PretendBybit):
    exchange.play(*[answer] * 5)
    with pytest.raises((RateLimited, Unavailable)):
        a_client(exchange.url, attempts=2).place_order(REQUEST)
    assert len(exchange.requests) == 2


def test_each_attempt_is_signed_with_the_moment_that_the_caller_vouches_for(exchange: PretendBybit):
    exchange.play(ret_code(10019), ACCEPTED)
    moments = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (1, 2)]
    stamps = [str(int(moment.timestamp() * 1000)) for moment in moments]
    a_client(exchange.url).place_order(REQUEST, sign_at=lambda: moments.pop(0))
    assert [request.headers["X-BAPI-TIMESTAMP"] for request in exchange.requests] == stamps


def test_an_attempt_that_the_caller_forbids_is_not_sent(exchange: PretendBybit):
    def forbid() -> datetime:
        raise LaneLost("gone")

    with pytest.raises(LaneLost):
        a_client(exchange.url).place_order(REQUEST, sign_at=forbid)
    assert exchange.requests == []


def test_doubt_after_a_harmless_failure_is_still_doubt(exchange: PretendBybit):
    exchange.play(ret_code(10019), pretend.reset, ACCEPTED)
    with pytest.raises(OutcomeUnknown):
        a_client(exchange.url).place_order(REQUEST)
    assert len(exchange.requests) == 2


@pytest.mark.parametrize(
    ("code", "error"), [(110007, InsufficientBalance), (110094, Refused), (10003, AccessDenied)]
)
def test_a_final_answer_is_not_asked_for_again(code, error, exchange: PretendBybit):
    exchange.play(ret_code(code), ACCEPTED)
    with pytest.raises(error) as caught:
        a_client(exchange.url).place_order(REQUEST)
    assert caught.value.ret_code == code
    assert len(exchange.requests) == 1


def test_cancelling_a_gone_order_is_the_caller_s_to_look_up(exchange: PretendBybit):
    exchange.play(ret_code(110001))
    with pytest.raises(OrderNotFound):
        a_client(exchange.url).cancel_order("BTCUSDT", "om-1")


def test_an_acceptance_without_an_id_is_in_doubt(exchange: PretendBybit):
    exchange.play(ok({}))
    with pytest.raises(OutcomeUnknown):
        a_client(exchange.url).place_order(REQUEST)


# Duplicates


def test_a_duplicate_that_is_our_own_order_is_adopted(exchange: PretendBybit):
    exchange.play(ret_code(110072), rows(an_order()))
    assert a_client(exchange.url).place_order(REQUEST).exchange_order_id == "x-1"


@pytest.mark.parametrize(
    "change", [{"side": "Sell"}, {"qty": "0.2"}, {"orderType": "Market"}, {"symbol": "ETHUSDT"}]
)
def test_a_duplicate_that_is_another_order_is_refused(change, exchange: PretendBybit):
    exchange.play(ret_code(110072), rows(an_order(**change)))
    with pytest.raises(Refused) as caught:
        a_client(exchange.url).place_order(REQUEST)
    assert caught.value.ret_code == 110072


def test_a_duplicate_that_does_not_show_yet_is_in_doubt(exchange: PretendBybit):
    exchange.play(ret_code(110072), rows(), rows(), rows())
    with pytest.raises(OutcomeUnknown):
        a_client(exchange.url).place_order(REQUEST)
    assert exchange.paths == [CREATE, *LADDER]


@pytest.mark.parametrize(
    "answer", [ret_code(10016), ret_code(10006), ret_code(10003), rows(an_order(orderStatus="Odd"))]
)
def test_a_duplicate_whose_look_up_fails_is_in_doubt_and_never_unapplied(answer, exchange: PretendBybit):
    exchange.play(ret_code(110072), *[answer] * 3)
    with pytest.raises(OutcomeUnknown):
        a_client(exchange.url).place_order(REQUEST)


# The ladder


def test_the_first_rung_that_knows_the_order_ends_the_ladder(exchange: PretendBybit):
    exchange.play(rows(), rows(an_order(orderStatus="Filled", cumExecQty="0.1")))
    before = datetime.now(UTC)
    found = a_client(exchange.url).evidence("BTCUSDT", "om-1")
    assert found.report is not None
    assert found.report.status is OrderStatus.FILLED
    assert before <= found.asked_at <= datetime.now(UTC)
    assert exchange.paths == LADDER[:2]
    assert exchange.requests[0].query == "category=linear&symbol=BTCUSDT&orderLinkId=om-1"


def test_absence_takes_every_rung(exchange: PretendBybit):
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    exchange.play(rows(), rows(), rows())
    found = a_client(exchange.url, now=lambda: asked).evidence("BTCUSDT", "om-1")
    assert (found.report, found.asked_at) == (None, asked)
    assert exchange.paths == LADDER


@pytest.mark.parametrize("rung", range(3))
def test_a_rung_that_does_not_answer_is_not_absence(rung, exchange: PretendBybit):
    exchange.play(*[rows()] * rung, *[ret_code(10016)] * 3)
    with pytest.raises(Unavailable):
        a_client(exchange.url).evidence("BTCUSDT", "om-1")
    assert len(exchange.requests) == rung + 3


@pytest.mark.parametrize("rung", range(3))
def test_a_rung_that_is_rate_limited_is_not_absence(rung, exchange: PretendBybit):
    exchange.play(*[rows()] * rung, *[ret_code(10006)] * 3, *[rows()] * 3)
    with pytest.raises(RateLimited):
        a_client(exchange.url).evidence("BTCUSDT", "om-1")


@pytest.mark.parametrize("rung", range(3))
def test_a_rung_that_recovers_is_asked_again(rung, exchange: PretendBybit):
    exchange.play(*[rows()] * rung, pretend.reset, pretend.truncated, *[rows()] * (3 - rung))
    assert a_client(exchange.url).evidence("BTCUSDT", "om-1").report is None


@pytest.mark.parametrize("rung", range(3))
@pytest.mark.parametrize("answer", [ok({}), ok({"list": None}), ok({"list": ["x"]})])
def test_an_answer_without_a_list_is_not_absence(answer, rung, exchange: PretendBybit):
    exchange.play(*[rows()] * rung, answer)
    with pytest.raises(UnknownWireValue):
        a_client(exchange.url).evidence("BTCUSDT", "om-1")


def test_an_answer_about_another_order_is_no_evidence(exchange: PretendBybit):
    exchange.play(rows(an_order(orderLinkId="someone-else")))
    with pytest.raises(UnknownWireValue):
        a_client(exchange.url).evidence("BTCUSDT", "om-1")


def test_a_fill_without_an_order_leads_to_the_order_of_its_days(exchange: PretendBybit):
    exchange.play(rows(), rows(), rows(a_fill()), rows(an_order(orderStatus="Filled", cumExecQty="0.1")))
    found = a_client(exchange.url).evidence("BTCUSDT", "om-1")
    assert found.report is not None
    assert exchange.requests[-1].query.endswith("startTime=1699740800000&endTime=1700259200000")


def test_a_fill_whose_order_shows_nowhere_is_asked_about_again(exchange: PretendBybit):
    exchange.play(rows(), rows(), rows(a_fill()), rows())
    with pytest.raises(OutcomeUnknown):
        a_client(exchange.url).evidence("BTCUSDT", "om-1")


# Reads


def test_open_orders_are_paged_to_the_empty_cursor_with_the_cursor_as_it_came(exchange: PretendBybit):
    exchange.play(
        rows(an_order(), cursor="page_token%3D1%26"),
        rows(cursor="page_token%3D2%26"),
        rows(an_order(), an_order(orderId="x-2"), an_order(orderId="x-3", orderStatus="Cancelled")),
    )
    found = a_client(exchange.url).open_orders("BTCUSDT")
    assert [order.exchange_order_id for order in found] == ["x-1", "x-2"]
    first = "category=linear&symbol=BTCUSDT&openOnly=0&limit=50"
    assert [request.query for request in exchange.requests] == [
        first,
        f"{first}&cursor=page_token%3D1%26",
        f"{first}&cursor=page_token%3D2%26",
    ]


def test_pages_that_do_not_end_are_an_error_not_an_answer(exchange: PretendBybit):
    exchange.play(*[rows(an_order(), cursor="again")] * 5)
    with pytest.raises(Unavailable):
        a_client(exchange.url).open_orders("BTCUSDT")


def test_executions_come_once_and_oldest_first(exchange: PretendBybit):
    late, early = a_fill(execId="e-2", execTime="1700000001000"), a_fill()
    exchange.play(rows(late, early, cursor="c"), rows(early))
    found = a_client(exchange.url).executions("BTCUSDT", "om-1")
    assert [fill.exec_id for fill in found] == ["e-1", "e-2"]


NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY_MS = 86_400_000


def since(client_url, days, **options):
    return a_client(client_url, now=lambda: NOON, **options).executions_since(
        "BTCUSDT", NOON - timedelta(days)
    )


def windows(exchange):
    """(start, end) of each window that was asked about, in ms before now."""
    found = []
    for request in exchange.requests:
        query = dict(part.split("=") for part in request.query.split("&"))
        now_ms = int(NOON.timestamp() * 1000)
        found.append((now_ms - int(query["startTime"]), now_ms - int(query["endTime"])))
    return found


def test_executions_since_a_moment_are_asked_for_up_to_a_minute_ahead(exchange: PretendBybit):
    late, early = a_fill(execId="e-2", orderId="x-9", orderLinkId=""), a_fill(execTime="1690000000000")
    exchange.play(rows(late, early))
    found = since(exchange.url, 1)
    assert [(fill.exec_id, fill.exchange_order_id, fill.client_order_id) for fill in found] == [
        ("e-1", "x-1", "om-1"),
        ("e-2", "x-9", ""),
    ]
    assert exchange.paths == ["/v5/execution/list"]
    assert exchange.requests[0].query.startswith("category=linear&symbol=BTCUSDT&startTime=")
    assert exchange.requests[0].query.endswith("&limit=100")
    assert windows(exchange) == [(DAY_MS, -60_000)]


def test_a_longer_time_is_asked_about_in_windows_of_less_than_seven_days_without_a_gap(
    exchange: PretendBybit,
):
    exchange.play(rows(a_fill(), cursor="c"), rows(a_fill()), rows(a_fill(execId="e-2"), a_fill()), rows())
    assert len(since(exchange.url, 15)) == 2
    first, again, second, third = windows(exchange)
    assert first == again == (15 * DAY_MS, 8 * DAY_MS + 1000)
    assert second == (first[1], DAY_MS + 2000)
    assert third == (second[1], -60_000)
    assert exchange.requests[1].query.endswith("&cursor=c")


def test_a_moment_ahead_of_both_clocks_has_no_executions(exchange: PretendBybit):
    assert since(exchange.url, -1) == ()
    assert exchange.requests == []


@pytest.mark.parametrize("window", range(2))
def test_a_window_that_does_not_answer_is_not_an_empty_one(window, exchange: PretendBybit):
    exchange.play(*[rows(a_fill())] * window, *[ret_code(10016)] * 3)
    with pytest.raises(Unavailable):
        since(exchange.url, 10)


def test_an_execution_that_cannot_be_read_does_not_hide_the_others(exchange: PretendBybit):
    exchange.play(rows(a_fill(execId="e-2", side="Both"), a_fill()))
    with capture_logs() as logs:
        assert [fill.exec_id for fill in since(exchange.url, 1)] == ["e-1"]
    assert [line["order"] for line in logs if line["event"] == "record_unreadable"] == ["x-1"]


def test_an_order_that_cannot_be_read_is_left_out_of_the_list_and_loud_by_name(exchange: PretendBybit):
    odd = an_order(orderId="x-2", orderStatus="Odd")
    exchange.play(rows(odd, an_order()), rows(odd))
    client = a_client(exchange.url)
    assert [order.exchange_order_id for order in client.open_orders("BTCUSDT")] == ["x-1"]
    with pytest.raises(UnknownWireValue):
        client.evidence("BTCUSDT", "om-1", exchange_order_id="x-2")


def test_others_orders_go_by_the_exchanges_name(exchange: PretendBybit):
    exchange.play(ok(), rows(), rows(), rows(), rows(a_fill(orderLinkId="")))
    client = a_client(exchange.url)
    client.cancel_order("BTCUSDT", "", exchange_order_id="x-1")
    assert exchange.requests[0].json == {"category": "linear", "symbol": "BTCUSDT", "orderId": "x-1"}
    assert client.evidence("BTCUSDT", "", exchange_order_id="x-1").report is None
    assert len(client.executions("BTCUSDT", "", exchange_order_id="x-1")) == 1
    for request in exchange.requests[1:]:
        assert "orderId=x-1" in request.query
        assert "orderLinkId" not in request.query


@pytest.mark.parametrize("rung", range(3))
def test_an_answer_about_another_order_is_no_evidence_by_either_name(rung, exchange: PretendBybit):
    answer = rows(a_fill(orderId="x-2")) if rung == 2 else rows(an_order(orderId="x-2"))
    exchange.play(*[rows()] * rung, answer)
    with pytest.raises(UnknownWireValue):
        a_client(exchange.url).evidence("BTCUSDT", "", exchange_order_id="x-1")


def test_symbols_in_use_have_a_position_or_an_open_order_in_either_coin(exchange: PretendBybit):
    leg = {"symbol": "AUSDT", "positionIdx": 0, "side": "Buy", "size": "2", "avgPrice": "10"}
    exchange.play(
        rows(leg),
        rows(),
        rows(an_order(symbol="BUSDT"), cursor="c"),
        rows(an_order(symbol="AUSDT")),
        rows(an_order(symbol="CPERP", orderStatus="Odd")),
    )
    assert a_client(exchange.url).symbols_in_use() == {"AUSDT", "BUSDT", "CPERP"}
    assert [request.query for request in exchange.requests[2:]] == [
        "category=linear&openOnly=0&limit=50&settleCoin=USDT",
        "category=linear&openOnly=0&limit=50&settleCoin=USDT&cursor=c",
        "category=linear&openOnly=0&limit=50&settleCoin=USDC",
    ]


def test_on_spot_the_symbols_in_use_are_those_of_open_orders(exchange: PretendBybit):
    exchange.play(rows(an_order()))
    client = a_client(exchange.url, category=Category.SPOT)
    assert client.symbols_in_use() == {"BTCUSDT"}
    assert [request.query for request in exchange.requests] == ["category=spot&openOnly=0&limit=50"]
    assert client.position("BTCUSDT") is None


def test_a_flat_position_is_a_position(exchange: PretendBybit):
    flat = {"symbol": "BTCUSDT", "positionIdx": 0, "side": "", "size": "0", "avgPrice": "0"}
    exchange.play(rows(flat), rows())
    client = a_client(exchange.url)
    found = client.position("BTCUSDT")
    assert found is not None
    assert (found.mode, found.net.size, found.net.average_price) == (PositionMode.ONE_WAY, 0, None)
    assert client.position("BTCUSDT") is None


def test_a_coins_balance_counts_what_is_locked(exchange: PretendBybit):
    exchange.play(
        rows({"coin": [{"coin": "BTC", "walletBalance": "1.5", "locked": "1"}]}), rows({"coin": []})
    )
    client = a_client(exchange.url)
    assert (client.coin_balance("BTC"), client.coin_balance("BTC")) == (D("1.5"), 0)
    assert exchange.requests[0].query == "accountType=UNIFIED&coin=BTC"


@each(IN_DOUBT | NOT_APPLIED)
def test_a_read_is_asked_again_whatever_happened(answer, exchange: PretendBybit):
    ticker = {"symbol": "BTCUSDT", "lastPrice": "7", "bid1Price": "6", "ask1Price": "8", "markPrice": "7.5"}
    exchange.play(answer, rows(ticker))
    found = a_client(exchange.url).market("BTCUSDT")
    assert (found.bid, found.ask, found.mark) == (6, 8, D("7.5"))
    assert len(exchange.requests) == 2


def test_a_market_that_the_answer_does_not_hold_is_loud(exchange: PretendBybit):
    exchange.play(rows())
    with pytest.raises(UnknownWireValue):
        a_client(exchange.url).market("BTCUSDT")


@pytest.mark.parametrize(
    "answer", [ret_code(10001, message="symbol invalid"), rows(), rows({"symbol": "BTCUSD"})]
)
def test_a_symbol_that_is_not_listed_has_no_instrument(answer, exchange: PretendBybit):
    exchange.play(answer)
    assert a_client(exchange.url).instrument("NOPEUSDT") is None


def test_an_instrument_that_cannot_be_read_does_not_hide_the_others(exchange: PretendBybit, recorded):
    good = recorded("market_instruments_info")["response"]["result"]["list"][0]
    exchange.play(rows(good | {"symbol": "BAD", "priceFilter": {}}, good), rows(good))
    client = a_client(exchange.url)
    with capture_logs() as logs:
        assert [found.symbol for found in client.instruments()] == ["BTCUSDT"]
    assert [line["symbol"] for line in logs if line["event"] == "instrument_unreadable"] == ["BAD"]
    found = client.instrument("BTCUSDT")
    assert found is not None
    assert found.lot_size == D("0.001")


def test_the_balance_rule_follows_the_category(exchange: PretendBybit):
    wallet = rows(
        {
            "totalAvailableBalance": "900",
            "coin": [{"coin": "USDT", "walletBalance": "1000", "locked": "10"}],
        }
    )
    exchange.play(wallet, wallet)
    assert a_client(exchange.url).available_balance() == 900
    assert a_client(exchange.url, category=Category.SPOT).available_balance() == 990


def test_positions_of_a_symbol_and_of_all(exchange: PretendBybit):
    long = {"symbol": "BTCUSDT", "positionIdx": 1, "side": "Buy", "size": "2", "avgPrice": "10"}
    short = {"symbol": "BTCUSDT", "positionIdx": 2, "side": "", "size": "0", "avgPrice": "0"}
    exchange.play(rows(long, short), rows(long), rows(), rows(long, short))
    client = a_client(exchange.url)
    (found,) = client.positions("BTCUSDT")
    assert (found.mode, found.long.size, found.short.size) == (PositionMode.HEDGE, 2, 0)
    assert len(client.positions()) == 1
    assert [request.query for request in exchange.requests[1:]] == [
        "category=linear&settleCoin=USDT&limit=200",
        "category=linear&settleCoin=USDC&limit=200",
    ]
    assert client.position_mode("BTCUSDT") is PositionMode.HEDGE
    assert a_client(exchange.url, category=Category.SPOT).position_mode("BTCUSDT") is PositionMode.ONE_WAY


def test_the_key_tells_what_it_may_do(exchange: PretendBybit):
    exchange.play(ok({"readOnly": 0, "permissions": {"Spot": ["SpotTrade"]}}))
    assert a_client(exchange.url).key_info().can_trade


# Waiting


def test_waits_grow_as_the_settings_say(exchange: PretendBybit):
    exchange.play(*[ret_code(10016)] * 5)
    pauses = Pauses()
    client = a_client(
        exchange.url, pause=pauses, attempts=5, base_delay_s=1.0, max_delay_s=5.0, multiplier=2.0
    )
    with pytest.raises(Unavailable):
        client.market("BTCUSDT")
    assert len(pauses.waits) == 4
    for wait, least in zip(pauses.waits, [1, 2, 4, 5], strict=True):
        assert least <= wait <= min(least + 0.25, 5)


def test_a_rate_limit_waits_for_the_reset_the_exchange_named(exchange: PretendBybit):
    exchange.play(ret_code(10006, X_Bapi_Limit_Reset_Timestamp="1700000000400"), ACCEPTED)
    pauses = Pauses()
    a_client(exchange.url, pause=pauses).place_order(REQUEST)
    assert pauses.waits == [0.4]


def test_a_ban_is_not_waited_out_inside_a_call(exchange: PretendBybit):
    exchange.play(http("access too frequent", status=403), ACCEPTED)
    pauses = Pauses()
    with pytest.raises(RateLimited) as caught:
        a_client(exchange.url, pause=pauses).place_order(REQUEST)
    assert caught.value.retry_after_s == 600
    assert (len(exchange.requests), pauses.waits) == (1, [])


def test_a_wait_may_give_up(exchange: PretendBybit):
    exchange.play(ret_code(10019), ACCEPTED)
    with pytest.raises(LaneLost):
        a_client(exchange.url, pause=Pauses(error=LaneLost("gone"))).place_order(REQUEST)
    assert len(exchange.requests) == 1


def test_every_retry_is_one_line(exchange: PretendBybit):
    exchange.play(ret_code(10019), ACCEPTED)
    with capture_logs() as logs:
        a_client(exchange.url).place_order(REQUEST)
    (line,) = [line for line in logs if line["event"] == "exchange_retry_scheduled"]
    assert (line["endpoint"], line["attempt"]) == (CREATE, 1)


# The clock


def test_a_clock_out_of_the_window_is_measured_and_corrected(exchange: PretendBybit):
    exchange.play(ret_code(10002), ok({"timeNano": "1700000000000000000"}), ACCEPTED)
    pauses = Pauses()
    client = a_client(
        exchange.url, transport=a_transport(exchange.url, now_ms=lambda: 1_700_000_002_500), pause=pauses
    )
    with capture_logs() as logs:
        client.place_order(REQUEST)
    assert exchange.paths == [CREATE, TIME, CREATE]
    stamps = [exchange.requests[at].headers["X-BAPI-TIMESTAMP"] for at in (0, 2)]
    assert stamps == ["1700000002500", "1700000000000"]
    assert pauses.waits == [0.0]
    assert [line["skew_ms"] for line in logs if line["event"] == "clock_corrected"] == [2500]


def test_a_clock_that_stays_wrong_ends_as_not_applied(exchange: PretendBybit):
    exchange.play(*[ret_code(10002), pretend.reset] * 3)
    with pytest.raises(Unavailable) as caught:
        a_client(exchange.url).place_order(REQUEST)
    assert caught.value.ret_code == 10002
    assert exchange.paths == [CREATE, TIME] * 3


def test_the_exchange_s_time_and_our_skew(exchange: PretendBybit):
    exchange.play(ok({"timeNano": "1700000000123456789"}), ok({"timeNano": "1700000000000000000"}))
    client = a_client(exchange.url, transport=a_transport(exchange.url, now_ms=lambda: 1_700_000_000_040))
    assert client.server_time() == datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
    assert client.clock_skew_ms() == 40


# The governor


class Recorder(NoGovernor):
    def __init__(self, *waits: float, left: float = 0.0) -> None:
        self.waits = list(waits)
        self.left = left
        self.said: list[tuple[object, ...]] = []

    def acquire(self, family: str, *, max_wait_s: float) -> float:
        self.said.append(("acquire", family))
        return self.waits.pop(0) if self.waits else 0.0

    def pause_left(self, family: str) -> float:
        left, self.left = self.left, 0.0
        return left

    def pause(self, family: str, seconds: float) -> None:
        self.said.append(("pause", family, seconds))

    def learn(self, family: str, limit: int) -> None:
        self.said.append(("learn", family, limit))


def test_every_attempt_takes_its_turn(exchange: PretendBybit):
    governor, pauses = Recorder(0.3), Pauses()
    exchange.play(ACCEPTED, rows())
    client = a_client(exchange.url, governor=governor, pause=pauses)
    client.place_order(REQUEST)
    client.open_orders("BTCUSDT")
    assert governor.said == [("acquire", f"{CREATE}:linear"), ("acquire", LADDER[0])]
    assert pauses.waits == [0.3]


def test_whoever_waited_through_a_pause_queues_anew(exchange: PretendBybit):
    governor, pauses = Recorder(0.3, 0.2, left=1.0), Pauses()
    exchange.play(ACCEPTED)
    a_client(exchange.url, governor=governor, pause=pauses).place_order(REQUEST)
    assert pauses.waits == [0.3, 0.2]


def test_a_hit_limit_silences_the_family_and_a_ban_everything(exchange: PretendBybit):
    governor = Recorder()
    exchange.play(ret_code(10006, X_Bapi_Limit="5"), ACCEPTED, http("access too frequent", status=403))
    client = a_client(exchange.url, governor=governor)
    client.place_order(REQUEST)
    with pytest.raises(RateLimited):
        client.cancel_order("BTCUSDT", "om-1")
    assert ("learn", f"{CREATE}:linear", 5) in governor.said
    assert ("pause", f"{CREATE}:linear", 2.0) in governor.said
    assert ("pause", EVERYTHING, 600.0) in governor.said


def test_a_turn_that_is_too_far_away_is_not_waited_for(exchange: PretendBybit):
    pauses = Pauses()
    with pytest.raises(RateLimited) as caught:
        a_client(exchange.url, governor=Recorder(31.0), pause=pauses).place_order(REQUEST)
    assert caught.value.retry_after_s == 31.0
    assert (exchange.requests, pauses.waits) == ([], [])


def test_spot_counts_apart(exchange: PretendBybit):
    governor = Recorder()
    exchange.play(ACCEPTED)
    client = a_client(exchange.url, governor=governor, category=Category.SPOT)
    client.place_order(replace(REQUEST, category=Category.SPOT))
    assert governor.said == [("acquire", f"{CREATE}:spot")]
