"""The process: starting, refusing to start, moving prices, dying and coming back."""

import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from order_manager.paper import main
from order_manager.paper.instruments import default_instruments
from order_manager.paper.ledger import Ledger
from order_manager.paper.markets import Market
from order_manager.paper.prices import path_price

from .client import Client, Control
from .conftest import running_exchange

FROZEN = ("--price-interval-ms", "0", "--create-limit", "100000", "--read-limit", "100000")


def test_a_busy_port_is_named_and_the_exit_code_is_2(shared_url: str) -> None:
    port = shared_url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "order_manager.paper", "--port", port],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"paper exchange: port {port} on 127.0.0.1 is in use\n"


def test_a_control_token_is_for_loopback_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "0.0.0.0", "--port", "0", "--control-token", "t"]) == 2
    assert "loopback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(number: signal.Signals) -> None:
    with running_exchange("--price-interval-ms", "10") as (url, process):
        client = Client(url)
        assert client.get("/v5/account/info")["retCode"] == 0  # a connection that stays open
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        client.session.close()


def test_everything_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    state_file = tmp_path / "state" / "paper.jsonl"
    options = (*FROZEN, "--state-file", str(state_file))
    with running_exchange(*options) as (url, process):
        client, control = Client(url), Control(url)
        control.pin("50000", level_qty="1")
        control.post("accounts", api_key="SECOND", api_secret="S2", balance={"BTC": "2"})
        filled = client.market("Buy", "0.100", orderLinkId="filled")
        partly = client.limit("Buy", "0.010", "49900.00", orderLinkId="partly")
        gone = client.limit("Buy", "0.010", "49000.00", orderLinkId="gone")
        client.cancel(gone)
        client.limit("Buy", "0.01", "49900.0", category="spot")
        client.post(
            "/v5/position/set-leverage",
            category="linear",
            symbol="BTCUSDT",
            buyLeverage="20",
            sellLeverage="20",
        )
        client.post("/v5/position/switch-mode", category="linear", symbol="SOLUSDT", mode=3)
        control.pin("49899.90", fill_ratio="0.5")
        last = client.limit("Buy", "0.010", "49000.00", orderLinkId="last")
        assert last in state_file.read_text()  # written before the answer, not when a buffer is full
        names = ("orders", "fills", "positions")
        before = {name: control.get(name) for name in names}
        ledger, wallet = control.get("ledger")["entries"], client.wallet()
        process.kill()
        process.wait()
        client.session.close()
        control.session.close()
    with state_file.open("a") as file:
        file.write('{"tick": 0, "orders": [["cut of')  # as a process that died while writing leaves it
    for _ in range(2):
        with running_exchange(*options) as (url, process):
            client, control = Client(url), Control(url)
            assert {name: control.get(name) for name in names} == before
            assert control.get("ledger")["entries"][: len(ledger)] == ledger
            again = client.wallet()
            assert again == wallet
            assert client.position()["leverage"] == "20"
            assert len(client.rows("/v5/position/list", category="linear", symbol="SOLUSDT")) == 2
            assert client.create(qty="0.010", price="49000.00", orderLinkId="gone")["retCode"] == 110072
            assert Client(url, key="SECOND", secret="S2", session=client.session).coin("BTC")["equity"] == "2"
            # The realtime query forgets closed orders when the service restarts; history does not.
            query = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "filled"}
            assert client.rows("/v5/order/realtime", **query) == []
            assert client.rows("/v5/order/history", **query)[0]["orderId"] == filled
            assert client.order(partly)["orderStatus"] == "PartiallyFilled"
            client.session.close()
            control.session.close()
    with running_exchange(*options) as (url, process):
        client, control = Client(url), Control(url)
        control.pin("49899.90")
        assert client.order(partly)["orderStatus"] == "Filled"
        client.session.close()
        control.session.close()


def test_prices_move_and_repeat() -> None:
    start, tick_size = Decimal(50_000), Decimal("0.10")

    def path(seed: int) -> list[Decimal]:
        return [path_price(seed, "BTCUSDT", tick, start=start, tick_size=tick_size) for tick in range(400)]

    assert path(7) == path(7) != path(8)
    assert path(7)[0] == start
    assert len(set(path(7))) > 200
    assert all(price % tick_size == 0 and abs(price / start - 1) < Decimal("0.06") for price in path(7))
    steps = [abs(a / b - 1) for a, b in zip(path(7), path(7)[1:], strict=False)]
    assert max(steps) < Decimal("0.002")


def test_a_moving_price_fills_resting_orders() -> None:
    options = ("--price-interval-ms", "5", "--extra-symbols", "2", "--partial-fill-chance", "0.5")
    with running_exchange(*options, *FROZEN[2:]) as (url, _):
        client = Client(url)
        ticker = client.session.get(f"{url}/v5/market/tickers?category=linear&symbol=SYM002USDT", timeout=5)
        last = Decimal(ticker.json()["result"]["list"][0]["lastPrice"])
        for step in range(1, 6):
            client.limit("Buy", "10.00", f"{last - step * Decimal('0.01'):.2f}", symbol="SYM002USDT")
            client.limit("Sell", "10.00", f"{last + step * Decimal('0.01'):.2f}", symbol="SYM002USDT")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            fills = client.rows("/v5/execution/list", category="linear", symbol="SYM002USDT")
            if any(fill["isMaker"] for fill in fills):
                break
            time.sleep(0.05)
        client.session.close()
        assert any(fill["isMaker"] for fill in fills)


def test_an_acknowledged_order_stays_invisible_for_a_while() -> None:
    with running_exchange(*FROZEN, "--ack-delay-ms", "250") as (url, _):
        client = Client(url)
        order_id = client.market("Buy", "0.010", orderLinkId="slow")
        query = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
        assert client.rows("/v5/order/realtime", **query) == []
        assert client.rows("/v5/order/realtime", category="linear", symbol="BTCUSDT") == []
        assert client.cancel(order_id)["retCode"] == 110001
        assert client.create(orderType="Market", qty="0.010", orderLinkId="slow")["retCode"] == 110072
        deadline = time.monotonic() + 5
        while not client.rows("/v5/order/realtime", **query) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.order(order_id)["orderStatus"] == "Filled"
        client.session.close()


def test_a_state_file_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state_file = tmp_path / "state.jsonl"
    state_file.write_text("not json\n")
    assert main(["--port", "0", "--state-file", str(state_file)]) == 2
    assert str(state_file) in capsys.readouterr().err
    assert main(["--port", "0", "--state-file", str(tmp_path)]) == 2


def test_a_set_price_is_where_the_path_goes_on_from() -> None:
    instrument = next(iter(default_instruments()))
    market = Market(instrument, seed=7)
    market.set_price(Decimal(60_000), 10, pin=False)
    assert market.price(10) == 60_000
    assert market.price(11) != 60_000
    assert abs(market.price(11) / 60_000 - 1) < Decimal("0.002")
    market.set_price(Decimal(61_000), 12, pin=True)
    assert market.price(10_000) == 61_000


def test_skipped_ticks_skip_no_price() -> None:
    instrument = next(iter(default_instruments()))
    market = Market(instrument, seed=7)
    prices = [market.price(tick) for tick in range(1, 51)]
    assert Market(instrument, seed=7).extremes(0, 50) == (min(prices), max(prices))
    assert Market(instrument, seed=7).extremes(49, 50) == (prices[-1], prices[-1])


def test_the_ledger_lets_go_of_its_oldest_entries() -> None:
    ledger = Ledger(limit=20)
    for number in range(1, 31):
        ledger.add("request", number, "KEY")
    assert len(ledger.entries) <= 20
    assert ledger.after(28) == ledger.entries[-2:]
    assert ledger.after(0) == ledger.entries
    assert ledger.entries[-1]["seq"] == 30
