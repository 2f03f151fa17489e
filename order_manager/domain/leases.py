"""Leases: which worker consumes which symbol's queue. Pure: what is held -> what to give up and to take."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseChange:
    """Lane ids to give up first, and to try for then."""

    release: tuple[int, ...]
    take: tuple[int, ...]


def lease_change(
    *,
    mine: Collection[int],
    lanes: Sequence[int],
    holders: Mapping[int, int],
    workers: Collection[int],
    me: int,
    bound_to_me: Collection[int] | None,
    bound: Collection[int],
) -> LeaseChange:
    """How `me` should change its leases.

    `lanes`: every lane id; `holders`: lane id -> worker that leases it; `workers`: every live worker that
    is bound to nothing, me included; `bound_to_me`: the lanes that I alone serve (None: I serve any);
    `bound`: the lanes that some live worker is bound to. Workers end within one lane of each other.
    """
    if bound_to_me is not None:
        wanted = [lane for lane in lanes if lane in bound_to_me]
        return LeaseChange(
            release=tuple(sorted(set(mine) - set(wanted))),
            take=tuple(lane for lane in wanted if lane not in holders),
        )
    shared = [lane for lane in lanes if lane not in bound]
    kept = [lane for lane in shared if lane in mine]
    release = sorted(set(mine) - set(kept))
    load = dict.fromkeys(workers, 0) | {me: len(kept)}
    for lane, worker in holders.items():
        if worker != me and worker in load and lane in shared:
            load[worker] += 1
    fair = len(shared) // len(load)  # everybody has at least this many, some have one more
    poorest = min(load.values())
    if len(kept) > fair + 1 or (len(kept) > fair and poorest < fair):
        surplus = max(len(kept) - fair - 1, 1 if poorest < fair else 0)
        return LeaseChange(release=(*release, *kept[-surplus:]), take=())
    free = [lane for lane in shared if lane not in holders]
    if len(kept) < fair:
        wanted_count = fair - len(kept)
    else:
        wanted_count = 1 if poorest >= fair and len(kept) == fair else 0
    # Different workers start at different places, so that they do not all try for the same one.
    start = me % len(free) if free else 0
    return LeaseChange(release=tuple(release), take=tuple((free[start:] + free[:start])[:wanted_count]))
