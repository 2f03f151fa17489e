"""Recorded prices to replay instead of the seeded path, from CSV or JSONL files.

A file holds rows of (ms, price) or of (ms, open, high, low, close), oldest first, of one symbol named by
the file (BTCUSDT.csv) or of those in a `symbol` column. Times are taken relative to the earliest row of
all files, which is where the replay starts.
"""

import csv
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from order_manager.paper.numbers import digits_of

_TIMES = ("ms", "time", "timestamp", "start")
_PRICES = ("price", "close", "last")
_BARS = ("open", "high", "low", "close")
_USUAL_BAR_MS = 60_000
_Row = tuple[int, list[Decimal]]  # ms; one price, or open, high, low and close


class TapeError(Exception):
    """A file of recorded prices that cannot be used; the message says why."""


@dataclass(slots=True, kw_only=True)
class Tape:
    """The prices of one symbol. Before the first row the first price holds, after the last the last."""

    ms_per_tick: Decimal
    times: list[int] = field(default_factory=list)  # ms since the start of the replay
    prices: list[Decimal] = field(default_factory=list)

    def price(self, tick: int) -> Decimal:
        return self.prices[self._row(tick)]

    def extremes(self, after: int, until: int) -> tuple[Decimal, Decimal]:
        """The lowest and highest price from tick `after` to tick `until`, both included."""
        passed = self.prices[self._row(after) : self._row(until) + 1]
        return (min(passed), max(passed)) if passed else (self.price(until), self.price(until))

    @property
    def digits(self) -> int:
        """Decimal places that the prices need."""
        return max(digits_of(price) for price in self.prices)

    def _row(self, tick: int) -> int:
        return max(0, bisect_right(self.times, int(tick * self.ms_per_tick)) - 1)


def read_tapes(paths: Iterable[Path], *, ms_per_tick: Decimal) -> dict[str, Tape]:
    """The tapes of all files, by symbol. Raises TapeError naming the file."""
    tapes: dict[str, Tape] = {}
    for path in paths:
        for symbol, rows in _read_file(path).items():
            if symbol in tapes:
                raise TapeError(f"{path}: the prices of {symbol} are in another file already")
            times, prices = zip(*_points(rows), strict=True)
            tapes[symbol] = Tape(ms_per_tick=ms_per_tick, times=list(times), prices=list(prices))
    start = min((tape.times[0] for tape in tapes.values()), default=0)
    for tape in tapes.values():
        tape.times = [time_ms - start for time_ms in tape.times]
    return tapes


def _read_file(path: Path) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    try:
        for row in _rows(path):
            symbol, time_ms, prices = _read(row, path.stem)
            rows = found.setdefault(symbol, [])
            if rows and (rows[-1][0] >= time_ms or len(rows[-1][1]) != len(prices)):
                raise ValueError
            rows.append((time_ms, prices))
    except OSError as error:
        raise TapeError(f"cannot read {path}: {error.strerror}") from None
    except (LookupError, ValueError, TypeError, ArithmeticError):
        good = sum(len(rows) for rows in found.values())
        raise TapeError(f"{path}: after {good} good rows, no later ms with a price or a bar") from None
    if not found:
        raise TapeError(f"{path}: holds no prices")
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any] | list[Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            for line in file:
                if line.strip():
                    yield json.loads(line, parse_float=Decimal)
            return
        header: list[str] | None = None
        for cells in csv.reader(file):
            if not cells:
                continue
            if header is None:
                is_headed = not cells[0].strip().isdigit()
                header = [cell.strip().lower() for cell in cells] if is_headed else []
                if is_headed:
                    continue
            yield dict(zip(header, cells, strict=False)) if header else cells


def _read(row: Mapping[str, Any] | list[Any], name: str) -> tuple[str, int, list[Decimal]]:
    """(symbol, ms, one price or four of a bar)."""
    if isinstance(row, list):
        values = row[1:5] if len(row) >= 5 else row[1:2]
        symbol, time_ms = name, int(row[0])
    else:
        symbol = str(row.get("symbol") or name)
        time_ms = int(_first(row, _TIMES))
        is_bar = all(key in row for key in _BARS)
        values = [row[key] for key in _BARS] if is_bar else [_first(row, _PRICES)]
    prices = [Decimal(str(value).strip()) for value in values]
    if not prices or any(not price.is_finite() or price <= 0 for price in prices):
        raise ValueError
    return symbol, time_ms, prices


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return row[next((name for name in names if name in row), names[0])]


def _points(rows: list[_Row]) -> Iterator[tuple[int, Decimal]]:
    """Prices as they are; of a bar the open, the extreme away from the close, the other one, the close."""
    length = min((b[0] - a[0] for a, b in pairwise(rows)), default=_USUAL_BAR_MS)
    for time_ms, prices in rows:
        if len(prices) == 1:
            yield time_ms, prices[0]
            continue
        opened, high, low, closed = prices
        turns = (low, high) if closed >= opened else (high, low)
        for quarter, price in enumerate((opened, *turns, closed)):
            yield time_ms + quarter * length // 4, price
