"""Recorded prices: what files say, and what orders meet while they are replayed."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from order_manager.paper import main
from order_manager.paper.tapes import TapeError, read_tapes

from .client import Client, Control
from .conftest import running_exchange

SECOND = Decimal(1000)


def a_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_points_by_file_name(tmp_path: Path) -> None:
    path = a_file(tmp_path / "BTCUSDT.csv", "1000,50000", "3000,50010.5", "6000,49990")
    tape = read_tapes([path], ms_per_tick=SECOND)["BTCUSDT"]
    assert [tape.price(tick) for tick in range(-1, 8)] == [
        Decimal(text) for text in ["50000"] * 3 + ["50010.5"] * 3 + ["49990"] * 3
    ]
    assert tape.extremes(0, 3) == (50000, Decimal("50010.5"))
    assert tape.extremes(1, 6) == (49990, Decimal("50010.5"))


def test_headers_symbols_and_bars(tmp_path: Path) -> None:
    points = a_file(
        tmp_path / "all.jsonl",
        json.dumps({"symbol": "BTCUSDT", "ms": 2000, "price": "50000"}),
        json.dumps({"symbol": "ETHUSDT", "ms": 5000, "price": 3000.5}),
        json.dumps({"symbol": "BTCUSDT", "ms": 4000, "price": "50001"}),
    )
    bars = a_file(
        tmp_path / "SOLUSDT.csv", "ms,open,high,low,close,volume", "1000,10,14,9,12,5", "5000,12,13,8,11,5"
    )
    tapes = read_tapes([points, bars], ms_per_tick=SECOND)
    # All start together, at the earliest row of all.
    assert [int(tapes["BTCUSDT"].price(tick)) for tick in (0, 1, 2, 3)] == [50000, 50000, 50000, 50001]
    assert tapes["ETHUSDT"].price(9) == Decimal("3000.5")
    # A rising bar goes to its low first, a falling one to its high.
    assert [int(tapes["SOLUSDT"].price(tick)) for tick in range(8)] == [10, 9, 14, 12, 12, 13, 8, 11]


@pytest.mark.parametrize(
    "lines",
    [
        [""],
        ["1000,50000", "1000,50001"],
        ["1000,50000", "2000,-1"],
        ["1000,50000", "2000"],
        ["1000,1,2,0,1"],
        ["ms,open", "1000,50000"],
        ["ms,price", "soon,50000"],
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_file(tmp_path / "BTCUSDT.csv", *lines)
    with pytest.raises(TapeError, match=r"BTCUSDT\.csv"):
        read_tapes([path], ms_per_tick=SECOND)
    assert main(["--port", "0", "--price-file", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_two_files_of_one_symbol_are_refused(tmp_path: Path) -> None:
    one = a_file(tmp_path / "BTCUSDT.csv", "1000,50000")
    other = a_file(tmp_path / "BTCUSDT.jsonl", "[1000, 50000]")
    with pytest.raises(TapeError, match="in another file"):
        read_tapes([one, other], ms_per_tick=SECOND)
    with pytest.raises(TapeError, match="cannot read"):
        read_tapes([tmp_path / "missing.csv"], ms_per_tick=SECOND)


def test_a_replay_fills_what_prices_touched_between_two_steps(tmp_path: Path) -> None:
    """Frozen prices, stepped by hand: one step is 200 ms of tape, here at ten times its speed."""
    btc = a_file(tmp_path / "BTCUSDT.csv", "0,60000", "2000,60010", "2500,59900", "3000,60020", "9000,61000")
    new = a_file(tmp_path / "NEWUSDT.csv", "0,0.00125")
    options = ("--price-interval-ms", "0", "--price-file", str(btc), "--price-file", str(new))
    with running_exchange(*options, "--price-speed", "10", "--partial-fill-chance", "0") as (url, _):
        client, control = Client(url), Control(url)

        def last(symbol: str = "BTCUSDT", category: str = "linear") -> str:
            query = f"category={category}&symbol={symbol}"
            rows = client.session.get(f"{url}/v5/market/tickers?{query}", timeout=5).json()["result"]["list"]
            return str(rows[0]["lastPrice"])

        assert (last(), last(category="spot"), last("NEWUSDT")) == ("60000.00", "60000.0", "0.00125")
        low = client.limit("Buy", "0.010", "59910.00")
        lower = client.limit("Buy", "0.010", "59890.00")
        control.post("advance")
        assert (last(), client.order(low)["orderStatus"]) == ("60010.00", "New")
        control.post("advance", ticks=1)
        assert last() == "60020.00"
        assert (client.order(low)["orderStatus"], client.order(low)["avgPrice"]) == ("Filled", "59910")
        assert client.order(lower)["orderStatus"] == "New"
        control.post("advance", ticks=100)
        assert last() == "61000.00"
        client.session.close()
        control.session.close()
