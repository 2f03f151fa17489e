"""How long the fleet took to work again after each disruption."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.chaos.havoc import Blow
from tests.chaos.plan import UNLISTED

Row = Mapping[str, Any]


@dataclass(slots=True)
class Recovery:
    """After one kind of disruption, in seconds, a number for each time it happened."""

    resumed: list[float] = field(default_factory=list)  # until every symbol had ended a signal
    caught_up: list[float] = field(default_factory=list)  # a signal that arrived after the disruption


def recoveries(blows: Sequence[Blow], rows: Sequence[Row]) -> dict[str, Recovery]:
    """By kind of disruption. One after which some symbol had nothing left to do is left out."""
    by_symbol: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["finished_at"] is not None and row["symbol"] != UNLISTED:
            by_symbol[row["symbol"]].append((row["received_at"].timestamp(), row["finished_at"].timestamp()))
    for moments in by_symbol.values():
        moments.sort()
    ends = {symbol: sorted(end for _, end in moments) for symbol, moments in by_symbol.items()}
    found: dict[str, Recovery] = defaultdict(Recovery)
    for blow in blows:
        resumed = [_first(moments, blow.at) for moments in ends.values()]
        if None not in resumed:
            found[blow.what].resumed.append(max(one for one in resumed if one is not None) - blow.at)
        later = [moments[bisect_right(moments, (blow.at, 0.0)) :] for moments in by_symbol.values()]
        if all(later):
            caught_up = max(min(end for _, end in moments) for moments in later)
            found[blow.what].caught_up.append(caught_up - blow.at)
    return dict(found)


def _first(moments: Sequence[float], after: float) -> float | None:
    place = bisect_right(moments, after)
    return moments[place] if place < len(moments) else None


def summed_up(times: Sequence[float]) -> str:
    return f"p50 {median(times):.1f} s, max {max(times):.1f} s" if times else "-"
