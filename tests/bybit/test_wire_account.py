from datetime import UTC, datetime
from decimal import Decimal

import pytest

from order_manager.bybit import hosts, wire_account
from order_manager.bybit.fields import UnknownWireValue
from order_manager.bybit.wire_account import BalanceRule
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Category
from order_manager.domain.positions import PositionMode

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def variant(example, name):
    found = next(one for one in example["variants"] if one["name"] == name)
    return found["response"]["result"]["list"][0]


@pytest.fixture
def linear_row(recorded):
    return recorded("market_instruments_info")["response"]["result"]["list"][0]


@pytest.fixture
def spot_row(recorded):
    return variant(recorded("market_instruments_info"), "spot")


def test_a_linear_instrument(linear_row):
    assert wire_account.instrument(linear_row, category=Category.LINEAR) == Instrument(
        symbol="BTCUSDT",
        category=Category.LINEAR,
        base_coin="BTC",
        quote_coin="USDT",
        tick_size=D("0.10"),
        lot_size=D("0.001"),
        min_quantity=D("0.001"),
        min_notional=D(5),
        max_limit_quantity=D("1190.000"),
        max_market_quantity=D("500.000"),
        min_price=D("0.10"),
        max_price=D("1999999.80"),
        is_trading=True,
    )


def test_a_spot_instrument_has_its_own_fields(spot_row):
    assert wire_account.instrument(spot_row, category=Category.SPOT) == Instrument(
        symbol="BTCUSDT",
        category=Category.SPOT,
        base_coin="BTC",
        quote_coin="USDT",
        tick_size=D("0.1"),
        lot_size=D("0.000001"),
        min_quantity=D(0),
        min_notional=D(5),
        max_limit_quantity=D(83),
        max_market_quantity=D("41.5"),
        is_trading=True,
    )


def test_an_instrument_before_its_launch_does_not_trade(recorded):
    row = variant(recorded("market_instruments_info"), "linear_pre_market")
    assert not wire_account.instrument(row, category=Category.LINEAR).is_trading


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("priceFilter", "tickSize", ""),
        ("priceFilter", "tickSize", "0"),
        ("lotSizeFilter", "qtyStep", None),
        ("lotSizeFilter", "maxOrderQty", ""),
    ],
)
def test_a_rule_that_we_need_is_loud_when_missing(section, name, value, linear_row):
    row = linear_row | {section: linear_row[section] | {name: value}}
    with pytest.raises(UnknownWireValue, match=name):
        wire_account.instrument(row, category=Category.LINEAR)
    with pytest.raises(UnknownWireValue, match=section):
        wire_account.instrument(linear_row | {section: None}, category=Category.LINEAR)


def test_a_linear_market(recorded):
    row = recorded("market_tickers")["variants"][0]["response"]["result"]["list"][0]
    found = wire_account.market(row, at=NOW)
    assert (found.bid, found.ask) == (D(row["bid1Price"]), D(row["ask1Price"]))
    assert (found.last, found.mark, found.at) == (D(row["lastPrice"]), D(row["markPrice"]), NOW)


def test_a_spot_market_has_no_mark_and_shows_the_last_price(recorded):
    found = wire_account.market(variant(recorded("market_tickers"), "spot"), at=NOW)
    assert found.mark == found.last == D("20533.13")


def test_an_empty_side_of_the_book_shows_the_last_price():
    row = {"symbol": "X", "lastPrice": "7", "bid1Price": "", "ask1Price": "0", "markPrice": ""}
    found = wire_account.market(row, at=NOW)
    assert (found.bid, found.ask, found.mark) == (7, 7, 7)
    with pytest.raises(UnknownWireValue, match="lastPrice"):
        wire_account.market(row | {"lastPrice": ""}, at=NOW)


ACCOUNT = {
    "totalAvailableBalance": "900.5",
    "coin": [
        {
            "coin": "USDT",
            "walletBalance": "1000",
            "locked": "100",
            "totalPositionIM": "50",
            "totalOrderIM": "20",
            "bonus": "5",
        }
    ],
}


@pytest.mark.parametrize(
    ("rule", "amount"),
    [
        (BalanceRule.ACCOUNT, D("900.5")),
        (BalanceRule.COIN_SPENDABLE, D(900)),
        (BalanceRule.COIN_ISOLATED, D(825)),
    ],
)
def test_the_balance_rule_is_explicit(rule, amount):
    assert wire_account.available_balance(ACCOUNT, rule=rule, coin="USDT") == amount


def test_isolated_margin_has_no_account_total_and_uses_the_coin():
    account = ACCOUNT | {"totalAvailableBalance": ""}
    assert wire_account.available_balance(account, rule=BalanceRule.ACCOUNT, coin="USDT") == 825


def test_a_coin_that_is_not_listed_is_not_held_and_nothing_is_below_zero():
    rule = BalanceRule.COIN_SPENDABLE
    assert wire_account.available_balance(ACCOUNT, rule=rule, coin="BTC") == 0
    poor = {"totalAvailableBalance": "-3", "coin": [{"coin": "USDT", "walletBalance": "1", "locked": "2"}]}
    assert wire_account.available_balance(poor, rule=BalanceRule.ACCOUNT, coin="USDT") == 0
    assert wire_account.available_balance(poor, rule=rule, coin="USDT") == 0
    with pytest.raises(UnknownWireValue):
        wire_account.available_balance({}, rule=rule, coin="USDT")


def test_the_documented_wallet_is_read(recorded):
    account = recorded("account_wallet_balance")["response"]["result"]["list"][0]
    assert wire_account.available_balance(account, rule=BalanceRule.ACCOUNT, coin="BTC") == D("3.00326056")


def test_a_short_position_is_negative(recorded):
    row = recorded("position_list")["response"]["result"]["list"][0]
    found = wire_account.position("BTCUSD", [row])
    assert (found.mode, found.net.size) == (PositionMode.ONE_WAY, D(-300))
    assert found.net.average_price == D("27464.50441675")


def a_leg(**changes):
    row = {"symbol": "X", "positionIdx": 0, "side": "Sell", "size": "2", "avgPrice": "10", "markPrice": "9"}
    return row | changes


def test_one_leg_is_read_with_its_mark_price(recorded):
    found = wire_account.position_report(a_leg(), category=Category.LINEAR)
    assert (found.size, found.average_price, found.mark_price) == (-2, 10, 9)
    flat = wire_account.position_report(a_leg(size="0", side="", markPrice=""), category=Category.LINEAR)
    assert (flat.size, flat.average_price, flat.mark_price) == (0, None, None)
    for row in recorded("ws_private_position")["response"]["data"]:
        assert wire_account.position_report(row).symbol == row["symbol"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("positionIdx", 3),
        ("positionIdx", None),
        ("positionIdx", ""),
        ("side", ""),
        ("side", "None"),
        ("size", "x"),
        ("symbol", ""),
        ("avgPrice", "x"),
    ],
)
def test_a_strange_leg_is_loud(field, value):
    with pytest.raises(UnknownWireValue, match=field):
        wire_account.position_report(a_leg(**{field: value}), category=Category.LINEAR)


def test_a_coin_of_the_wallet_is_all_of_it_and_one_that_is_not_listed_nothing():
    assert wire_account.coin_balance(ACCOUNT, "USDT") == 1000
    assert wire_account.coin_balance(ACCOUNT, "BTC") == 0
    with pytest.raises(UnknownWireValue):
        wire_account.coin_balance({}, "BTC")


def test_hedge_legs_and_the_stream_s_name_of_the_entry_price():
    rows = [
        {"positionIdx": 1, "side": "Buy", "size": "2", "entryPrice": "10"},
        {"positionIdx": 2, "side": "", "size": "0", "avgPrice": "0"},
    ]
    found = wire_account.position("X", rows)
    assert found.mode is PositionMode.HEDGE
    assert (found.long.size, found.long.average_price, found.short.size) == (2, 10, 0)


@pytest.mark.parametrize("change", [{"positionIdx": None}, {"side": ""}, {"side": "Long"}, {"size": "x"}])
def test_a_strange_position_is_loud(change):
    with pytest.raises(UnknownWireValue):
        wire_account.position("X", [{"positionIdx": 0, "side": "Buy", "size": "2"} | change])


def test_what_a_key_may_do():
    info = wire_account.key_info(
        {
            "readOnly": 0,
            "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": [], "Options": None},
            "ips": ["*"],
            "expiredAt": "2026-10-01T00:00:00Z",
        }
    )
    assert info.can_trade
    assert info.permissions["Options"] == ()
    assert not wire_account.key_info({"readOnly": 1, "permissions": {"Spot": ["SpotTrade"]}}).can_trade
    assert not wire_account.key_info({}).can_trade


def test_each_environment_has_its_hosts():
    paper = "http://127.0.0.1:4700/"
    assert hosts.rest_url("paper", paper_url=paper) == "http://127.0.0.1:4700"
    assert hosts.rest_url("demo", paper_url=paper) == "https://api-demo.bybit.com"
    assert hosts.private_stream_url("paper", paper_url=paper) == "ws://127.0.0.1:4700/v5/private"
    assert hosts.private_stream_url("testnet", paper_url=paper) == "wss://stream-testnet.bybit.com/v5/private"
    assert hosts.public_stream_url("paper", "spot", paper_url=paper) == "ws://127.0.0.1:4700/v5/public/spot"
    assert hosts.public_stream_url("demo", "linear", paper_url=paper) == (
        "wss://stream.bybit.com/v5/public/linear"
    )
    with pytest.raises(KeyError):
        hosts.rest_url("moon", paper_url=paper)
