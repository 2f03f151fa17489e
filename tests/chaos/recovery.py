"""How long the fleet took to work again after each disruption."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.chaos.havoc import Blow
from tests.chaos.plan import UNLISTED

Row = Mapping[str, Any]


def recoveries(blows: Sequence[Blow], rows: Sequence[Row]) -> dict[str, list[float]]:
    """kind of disruption -> seconds until every symbol had ended a signal that arrived after it.

    A disruption after which no more signal of some symbol arrived is left out.
    """
    by_symbol: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["finished_at"] is not None and row["symbol"] != UNLISTED:
            by_symbol[row["symbol"]].append((row["received_at"].timestamp(), row["finished_at"].timestamp()))
    for moments in by_symbol.values():
        moments.sort()
    found: dict[str, list[float]] = defaultdict(list)
    for blow in blows:
        ends = []
        for moments in by_symbol.values():
            later = moments[bisect_right(moments, (blow.at, 0.0)) :]
            if not later:
                break
            ends.append(min(finished for _, finished in later))
        else:
            found[blow.what].append(max(ends, default=blow.at) - blow.at)
    return dict(found)


def summed_up(times: Sequence[float]) -> str:
    return f"p50 {median(times):.1f} s, max {max(times):.1f} s" if times else "-"
