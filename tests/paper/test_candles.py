"""Candles of the price paths, and the public reads that are constant here."""

from collections.abc import Iterator
from decimal import Decimal as D
from itertools import pairwise
from typing import Any

import pytest
import requests

from order_manager.paper.candles import end_of, start_of

from .client import Client, Control
from .conftest import running_exchange

DAY = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def moving_url() -> Iterator[str]:
    with running_exchange("--price-interval-ms", "20") as (url, _):
        yield url


def ask(url: str, path: str, **params: Any) -> Any:
    answer = requests.get(f"{url}/v5/market/{path}", params=params, timeout=5).json()
    assert answer["retCode"] == 0, answer
    return answer["result"]


def test_candles_hang_together(moving_url: str) -> None:
    rows = ask(moving_url, "kline", category="linear", symbol="BTCUSDT", interval="1", limit=30)["list"]
    assert len(rows) == 30
    starts = [int(row[0]) for row in rows]
    assert starts == [starts[0] - n * 60_000 for n in range(30)]
    assert len({row[4] for row in rows}) > 20
    for _, opened, high, low, closed, volume, turnover in rows:
        assert D(low) <= min(D(opened), D(closed)) <= max(D(opened), D(closed)) <= D(high)
        assert D(turnover) == pytest.approx(D(volume) * D(closed))
    for later, earlier in pairwise(rows):
        assert abs(D(later[1]) / D(earlier[4]) - 1) < D("0.01")
    # Finished candles are the same whenever and however they are asked for.
    again = ask(
        moving_url, "kline", symbol="BTCUSDT", interval="1", start=starts[20], end=starts[10], limit=1000
    )
    assert again["list"] == rows[10:21]
    from_start = ask(moving_url, "kline", symbol="BTCUSDT", interval="1", start=starts[20], limit=5)
    assert [int(row[0]) for row in from_start["list"]] == starts[16:21]
    marks = ask(moving_url, "mark-price-kline", symbol="BTCUSDT", interval="1", end=starts[10], limit=2)
    assert marks["list"] == [row[:5] for row in rows[10:12]]


@pytest.mark.parametrize("interval", ["3", "60", "720", "D", "W", "M"])
def test_every_interval(moving_url: str, interval: str) -> None:
    rows = ask(moving_url, "kline", category="spot", symbol="ETHUSDT", interval=interval, limit=3)["list"]
    starts = [int(row[0]) for row in rows]
    assert [end_of(at, interval) for at in starts[1:]] == starts[:-1]


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    friday = 1_700_222_400_000 + 5_000  # 2023-11-17 12:00:05 UTC
    assert start_of(friday, "W") == 1_699_833_600_000  # Monday, 2023-11-13
    assert start_of(friday, "M") == 1_698_796_800_000  # 2023-11-01
    assert end_of(start_of(friday, "M"), "M") - start_of(friday, "M") == 30 * DAY
    assert start_of(friday, "15") == friday - 5_000


def test_a_pinned_price_makes_flat_candles(control: Control) -> None:
    rows = ask(control.url, "kline", category="linear", symbol="BTCUSDT", interval="5", limit=3)["list"]
    assert {price for row in rows for price in row[1:5]} == {"50000.00"}


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"symbol": "BTCUSDT", "interval": "7"}, "interval"),
        ({"symbol": "BTCUSDT"}, "interval"),
        ({"symbol": "NOPE", "interval": "1"}, "symbol"),
        ({"symbol": "BTCUSDT", "interval": "1", "limit": "1001"}, "limit"),
        ({"symbol": "BTCUSDT", "interval": "1", "start": "x"}, "start"),
        ({"symbol": "BTCUSDT", "interval": "1", "start": "2", "end": "1"}, "start"),
        ({"symbol": "BTCUSDT", "interval": "1", "category": "option"}, "category"),
    ],
)
def test_candles_that_cannot_be(control: Control, params: dict[str, str], word: str) -> None:
    answer = control.session.get(f"{control.url}/v5/market/kline", params=params, timeout=5).json()
    assert answer["retCode"] == 10001
    assert word in answer["retMsg"]


@pytest.mark.parametrize(
    ("path", "params", "count"),
    [
        ("risk-limit", {"category": "linear", "symbol": "BTCUSDT"}, 1),
        ("risk-limit", {"category": "inverse"}, 0),
        ("funding/history", {"category": "linear", "symbol": "BTCUSDT", "limit": 3}, 3),
        ("open-interest", {"category": "linear", "symbol": "BTCUSDT", "intervalTime": "1h", "limit": 2}, 2),
        ("account-ratio", {"category": "linear", "symbol": "BTCUSDT", "period": "1d", "limit": 2}, 2),
        ("premium-index-price-kline", {"symbol": "BTCUSDT", "interval": "1", "limit": 2}, 2),
        ("insurance", {}, 0),
        ("delivery-price", {"category": "option"}, 0),
        ("tickers", {"category": "inverse"}, 0),
    ],
)
def test_constant_reads(client: Client, path: str, params: dict[str, Any], count: int) -> None:
    assert len(ask(client.url, path, **params)["list"]) == count
