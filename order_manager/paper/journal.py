"""Memory across restarts: an append-only file, one JSON line per request or tick that changed something.

A line holds the ledger's new entries and the new state of each thing that changed (not the difference),
so replaying is "the last one wins", and at start the file is cut down to what won. Lines reach the
operating system before the answer reaches the client: acknowledged work survives SIGKILL, though not a
power cut (no fsync).
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from order_manager.paper.accounts import Account, Position
from order_manager.paper.floor import Change
from order_manager.paper.instruments import Instrument
from order_manager.paper.ledger import Entry
from order_manager.paper.markets import Market
from order_manager.paper.orders import Fill, Order

Line = dict[str, Any]
T = TypeVar("T")
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Codec(Generic[T]):
    """Dataclass to list and back: its init fields in order, Decimals as text.

    A row written before the last fields existed is shorter; they take their defaults.
    """

    def __init__(self, cls: type[T], *, skip: tuple[str, ...] = ()) -> None:
        kept = [f for f in fields(cls) if f.init and f.name not in skip]  # type: ignore[arg-type]
        self._cls = cls
        self._names = [f.name for f in kept]
        self._decimals = {f.name for f in kept if f.type is Decimal}
        self.encode = attrgetter(*self._names)

    def decode(self, row: list[Any]) -> T:
        pairs = zip(self._names, row, strict=False)
        return self._cls(**{n: Decimal(v) if n in self._decimals else v for n, v in pairs})


ORDERS = Codec(Order, skip=("fills", "reserved"))
FILLS = Codec(Fill)
POSITIONS = Codec(Position, skip=("margin", "unrealised"))
INSTRUMENTS = Codec(Instrument)


class Journal:
    """Collects the changes of one event, then writes them as one line. Without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._orders: dict[str, Order] = {}
        self._fills: list[Fill] = []
        self._positions: dict[tuple[int, str, int], Position] = {}
        self._coins: dict[tuple[int, str], Account] = {}
        self._accounts: dict[int, Account] = {}
        self._markets: dict[tuple[str, str], Market] = {}

    def open(self) -> None:
        """Start appending. Cuts off a last line that a dying process left incomplete."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)  # it holds API secrets
        content = self._path.read_bytes()
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        os.lseek(descriptor, 0, os.SEEK_END)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def compact(self, lines: Iterable[Line]) -> None:
        """Replace what the file holds by `lines`, all at once; call it before `open`."""
        if self._path is None or not self._path.exists():
            return
        fresh = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds API secrets
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(_encode(line) + "\n" for line in lines)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(self._path)

    def restart(self) -> None:
        """Forget everything written so far."""
        self._forget_pending()
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def listen(self, change: Change) -> None:
        account = change.account
        if change.order is not None:
            self._orders[change.order.order_id] = change.order
        if change.fill is not None:
            self._fills.append(change.fill)
        elif change.position is not None:
            leg = change.position
            self._positions[leg.uid, leg.symbol, leg.idx] = leg
        elif change.coin:
            self._coins[account.uid, change.coin] = account
        elif change.order is None:
            self._accounts[account.uid] = account

    def market_changed(self, market: Market) -> None:
        self._markets[market.key] = market

    def commit(self, tick: int, entries: list[Entry]) -> None:
        """Write what was collected since the last call, with the ledger's new `entries`."""
        if self._file is not None:
            line = self._line(entries)
            if line:
                line["tick"] = tick
                self._file.write(_encode(line) + "\n")
                self._file.flush()
        self._forget_pending()

    def read(self) -> Iterator[Line]:
        """The complete lines of the file, oldest first."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _line(self, entries: list[Entry]) -> Line:
        line: Line = {}
        if self._accounts:
            line["accounts"] = [account_row(account) for account in self._accounts.values()]
        if self._markets:
            line["markets"] = [market_row(market) for market in self._markets.values()]
        if self._orders:
            line["orders"] = [ORDERS.encode(order) for order in self._orders.values()]
        if self._fills:
            line["fills"] = [FILLS.encode(fill) for fill in self._fills]
        if self._positions:
            line["positions"] = [POSITIONS.encode(leg) for leg in self._positions.values()]
        if self._coins:
            line["coins"] = [
                (uid, coin, account.coins[coin].balance) for (uid, coin), account in self._coins.items()
            ]
        if entries:
            line["ledger"] = entries
        return line

    def _forget_pending(self) -> None:
        for pending in (
            self._orders,
            self._fills,
            self._positions,
            self._coins,
            self._accounts,
            self._markets,
        ):
            if pending:
                pending.clear()


def account_row(account: Account) -> Line:
    return {
        "uid": account.uid,
        "api_key": account.api_key,
        "api_secret": account.api_secret,
        "created_ms": account.created_ms,
        "default_mode": account.default_mode,
        "modes": account.modes,
        "leverages": account.leverages,
        "moves_spot_price": account.moves_spot_price,
        "moves_linear_price": account.moves_linear_price,
        "transfers": account.transfers,
    }


def market_row(market: Market) -> Line:
    return {
        "instrument": INSTRUMENTS.encode(market.instrument),
        "pinned": market.pinned,
        "factor": market.factor,
        "level_qty": market.level_qty,
    }
