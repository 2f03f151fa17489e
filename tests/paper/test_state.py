"""The state file: all comes back, and it does not grow for ever."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .client import Client, Control
from .conftest import running_exchange

OPTIONS = ("--price-interval-ms", "0", "--create-limit", "100000", "--read-limit", "100000")
VIEWS = ("orders", "fills", "positions")
READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v5/account/transaction-log", {"limit": 50}),
    ("/v5/position/closed-pnl", {"category": "linear"}),
    ("/v5/account/user-setting-config", {}),
    ("/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
    ("/v5/order/history", {"category": "linear"}),
    ("/v5/position/list", {"category": "linear", "symbol": "BTCUSDT"}),
    ("/v5/market/instruments-info", {"category": "linear", "symbol": "BTCUSDT"}),
)


@contextmanager
def exchange(state_file: Path, *options: str) -> Iterator[tuple[Client, Control]]:
    with running_exchange(*OPTIONS, "--state-file", str(state_file), *options) as (url, _):
        client, control = Client(url), Control(url)
        yield client, control
        client.session.close()
        control.session.close()


def everything(client: Client, control: Control) -> list[Any]:
    told = [client.get(path, **params)["result"] for path, params in READS]
    return told + [control.get(name) for name in VIEWS]


def live_a_little(client: Client, control: Control) -> None:
    control.pin("50000", level_qty="1")
    control.post("instruments", category="linear", symbol="BTCUSDT", min_notional="6")
    client.market("Buy", "0.100")
    client.market("Sell", "0.040")
    order_id = client.limit("Buy", "0.010", "49900.00", orderLinkId="amended")
    for step in range(30):
        price = f"{49800 + step}.00"
        order = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id, "price": price}
        assert client.post("/v5/order/amend", **order)["retCode"] == 0
    control.pin("49829", fill_ratio="0.5")
    client.post("/v5/account/set-limit-px-action", category="linear", modifyEnable=False)
    control.post("balance", account="KEY", coin="USDT", change="-10")


def test_all_comes_back_and_the_file_is_cut_down(tmp_path: Path) -> None:
    state_file = tmp_path / "paper.jsonl"
    with exchange(state_file) as (client, control):
        live_a_little(client, control)
        before, ledger = everything(client, control), control.get("ledger")["entries"]
    grown = state_file.stat().st_size
    lines = len(state_file.read_text().splitlines())
    (tmp_path / "paper.jsonl.new").write_text("what a process that died while cutting down leaves")
    for _ in range(2):
        with exchange(state_file) as (client, control):
            assert everything(client, control) == before
            assert control.get("ledger")["entries"][: len(ledger)] == ledger
            assert client.create(qty="0.010", price="70000", orderLinkId="new")["retCode"] == 110121
    assert len(state_file.read_text().splitlines()) < lines / 2
    assert state_file.stat().st_size < grown * 2  # with all that the restarts read
    assert state_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["paper.jsonl"]

    with exchange(state_file, "--ledger-limit", "20") as (client, control):
        page = control.get("ledger")
        assert len(page["entries"]) <= 20
        assert page["first"] > 1
        client.limit("Buy", "0.010", "49000.00")
        assert control.get("ledger")["last"] > page["last"]
    with exchange(state_file, "--ledger-limit", "20") as (client, control):
        entries = control.get("ledger")["entries"]
        assert len(entries) <= 20
        assert entries[-1]["kind"] == "order_created"


def test_a_file_of_before_the_last_fields_can_be_read(tmp_path: Path) -> None:
    state_file = tmp_path / "paper.jsonl"
    with exchange(state_file) as (client, control):
        live_a_little(client, control)
        orders, wallet = control.get("orders"), client.wallet()
    lines = [json.loads(line) for line in state_file.read_text().splitlines()]
    for line in lines:
        for name in ("fills", "positions"):
            line[name] = [row[:-1] for row in line.get(name, [])]
        for account in line.get("accounts", []):
            for name in ("transfers", "moves_spot_price", "moves_linear_price"):
                del account[name]
    state_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with exchange(state_file) as (client, control):
        assert control.get("orders") == orders
        assert client.wallet() == wallet
