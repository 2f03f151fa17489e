"""Leases: whatever comes and goes, the workers end with every lane leased once and fairly."""

from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.leases import LeaseChange, lease_change

ANYBODY = None


def change(mine=(), lanes=(1, 2, 3, 4), holders=None, workers=(7,), me=7, bound_to_me=ANYBODY, bound=()):
    return lease_change(
        mine=mine,
        lanes=lanes,
        holders=holders or {},
        workers=workers,
        me=me,
        bound_to_me=bound_to_me,
        bound=bound,
    )


class Fleet:
    """Locks as PostgreSQL keeps them: a try succeeds only where nobody holds."""

    def __init__(self, lanes: list[int]) -> None:
        self.lanes = lanes
        self.holders: dict[int, int] = {}
        self.workers: dict[int, set[int] | None] = {}

    def join(self, worker: int, bound_to: set[int] | None = None) -> None:
        self.workers[worker] = bound_to

    def leave(self, worker: int) -> None:
        del self.workers[worker]
        self.holders = {lane: holder for lane, holder in self.holders.items() if holder != worker}

    def look(self, me: int) -> LeaseChange:
        bound = {lane for lanes in self.workers.values() for lane in lanes or ()}
        return lease_change(
            mine=self.held(me),
            lanes=self.lanes,
            holders=dict(self.holders),
            workers={worker for worker, bound_to in self.workers.items() if bound_to is None} | {me},
            me=me,
            bound_to_me=self.workers[me],
            bound=bound,
        )

    def apply(self, me: int, wanted: LeaseChange) -> None:
        for lane in wanted.release:
            assert self.holders.pop(lane) == me  # one gives up only what is one's own
        for lane in wanted.take:
            self.holders.setdefault(lane, me)

    def turn(self, me: int) -> bool:
        wanted = self.look(me)
        self.apply(me, wanted)
        return bool(wanted.release or wanted.take)

    def held(self, worker: int) -> list[int]:
        return [lane for lane, holder in self.holders.items() if holder == worker]

    def loads(self) -> list[int]:
        return [len(self.held(worker)) for worker, bound_to in self.workers.items() if bound_to is None]


def settle(fleet: Fleet, order: list[int], *, at_once: bool = False) -> None:
    """Turn until nothing changes for a round; the lot of them may look before any acts."""
    for _ in range(4 * (len(fleet.lanes) + len(fleet.workers)) + 8):
        if at_once:
            wishes = [(me, fleet.look(me)) for me in order]
            for me, wanted in wishes:
                fleet.apply(me, wanted)
            moved = any(wanted.release or wanted.take for _, wanted in wishes)
        else:
            moves = [fleet.turn(me) for me in order]
            moved = any(moves)
        if not moved:
            return
    raise AssertionError(f"no peace: {fleet.holders} among {fleet.workers}")


def assert_fair(fleet: Fleet) -> None:
    assert sorted(fleet.holders) == fleet.lanes
    assert max(fleet.loads()) - min(fleet.loads()) <= 1


def test_a_worker_alone_takes_everything():
    assert sorted(change().take) == [1, 2, 3, 4]


def test_what_another_holds_is_not_tried_for():
    assert set(change(holders={1: 9, 2: 9}, workers=(7, 9)).take) == {3, 4}


def test_one_who_has_too_many_gives_some_up_before_anything_else():
    wanted = change(mine=[1, 2, 3, 4], holders=dict.fromkeys([1, 2, 3, 4], 7), workers=(7, 9))
    assert len(wanted.release) >= 1
    assert wanted.take == ()


def test_a_lane_that_is_no_more_is_given_up():
    assert change(mine=[9], holders={9: 7}).release == (9,)


def test_a_bound_worker_wants_its_lanes_and_nothing_else():
    wanted = change(mine=[1], holders={1: 7, 4: 9}, bound_to_me={3, 4}, bound={3, 4})
    assert wanted == LeaseChange(release=(1,), take=(3,))


def test_others_leave_alone_what_a_live_worker_is_bound_to():
    wanted = change(mine=[3], holders={3: 7}, bound={3, 4})
    assert wanted.release == (3,)
    assert set(wanted.take) <= {1, 2}


def test_more_workers_than_lanes_leave_some_idle_and_in_peace():
    fleet = Fleet([1, 2])
    for worker in range(10, 15):
        fleet.join(worker)
    settle(fleet, list(fleet.workers))
    assert sorted(fleet.holders) == [1, 2]
    assert sorted(fleet.loads()) == [0, 0, 0, 1, 1]


def test_without_lanes_nobody_does_anything():
    assert change(lanes=()) == LeaseChange(release=(), take=())


@given(
    lanes=st.integers(1, 12),
    steps=st.lists(
        st.tuples(st.sampled_from(["join", "leave"]), st.integers(1, 6), st.integers(0, 3)), max_size=12
    ),
    at_once=st.booleans(),
    data=st.data(),
)
def test_whoever_joins_and_leaves_all_lanes_end_leased_once_and_fairly(lanes, steps, at_once, data):
    fleet = Fleet(list(range(1, lanes + 1)))
    fleet.join(100)  # never leaves, or nobody is left
    for what, worker, turns in steps:
        if what == "join" and worker not in fleet.workers:
            fleet.join(worker)
        elif what == "leave" and worker in fleet.workers:
            fleet.leave(worker)
        for _ in range(turns):  # not even settled when the next comes
            fleet.turn(data.draw(st.sampled_from(sorted(fleet.workers))))
    settle(fleet, data.draw(st.permutations(sorted(fleet.workers))), at_once=at_once)
    assert_fair(fleet)


@given(lanes=st.integers(1, 10), bound=st.sets(st.integers(1, 10)), workers=st.integers(1, 4))
def test_bound_lanes_end_with_their_worker_and_the_rest_is_shared(lanes, bound, workers):
    fleet = Fleet(list(range(1, lanes + 1)))
    for worker in range(workers):
        fleet.join(10 + worker)
    settle(fleet, list(fleet.workers))
    mine = {lane for lane in bound if lane <= lanes}
    fleet.join(99, bound_to=mine)
    settle(fleet, list(fleet.workers))
    assert set(fleet.held(99)) == mine
    assert_fair(fleet)
    fleet.leave(99)
    settle(fleet, list(fleet.workers))
    assert_fair(fleet)
