"""Break the product on purpose, in a copy of the tree, and see which test notices.

    python -m tests.chaos.mutations [name ...]

Each mutation is a replacement of text that must fit exactly once; its tests are run in turn until one fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.house import ROOT

CHAOS = "tests/chaos/test_chaos.py"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".data", "__pycache__", ".*_cache", "*.egg-info")
WITHIN_S = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]  # that should notice, the nearest first


MUTATIONS = (
    Mutation(
        name="ack before store",
        changes=(
            Change(
                path="order_manager/messaging/intake_rabbitmq.py",
                old="        try:\n            self._handle([delivery for _, delivery in at_hand])",
                new="        at_hand[-1][0].ack(multiple=True)\n"
                "        at_hand[-1][0].ack = lambda **_: None\n"
                "        try:\n            self._handle([delivery for _, delivery in at_hand])",
            ),
            Change(
                path="order_manager/messaging/intake_redis.py",
                old="        self._handle([Delivery(*unwrapped(raw), self._queue) for raw in taken])\n",
                new="        self._redis.delete(self._in_hand)\n"
                "        self._handle([Delivery(*unwrapped(raw), self._queue) for raw in taken])\n",
            ),
        ),
        tests=(
            CHAOS,
            "tests/messaging",
            "tests/scenarios/test_intake.py",
        ),
    ),
    Mutation(
        name="resend after a time-out with a new link id",
        changes=(
            Change(
                path="order_manager/services/place_orders.py",
                old="        settled = settle_order(lane, sent, desk)  # raises while it is still unknown\n"
                "        if settled.is_in_flight:\n            raise\n        return settled\n",
                new='        name = order.client_order_id[:-3] + "9-0"\n'
                "        anew = replace(order.request, client_order_id=name)\n"
                "        acceptance = desk.exchange.place_order(anew)\n",
            ),
        ),
        tests=(CHAOS, "tests/services", "tests/scenarios/test_unknown_outcomes.py"),
    ),
    Mutation(
        name="10006 is taken for not found",
        changes=(
            Change(
                path="order_manager/bybit/client.py",
                old="        for row in self._calls.rows(endpoint, query):\n"
                "            _check_name(row, name)\n"
                "            return wire.order_report(row, category=self._category)\n        return None\n",
                new="        from order_manager.errors import RateLimited\n\n        try:\n"
                "            for row in self._calls.rows(endpoint, query):\n"
                "                _check_name(row, name)\n"
                "                return wire.order_report(row, category=self._category)\n"
                "        except RateLimited:\n            return None\n        return None\n",
            ),
        ),
        tests=(CHAOS, "tests/bybit", "tests/scenarios/test_unknown_outcomes.py"),
    ),
    Mutation(
        name="publish before commit",
        changes=(
            Change(
                path="order_manager/services/place_orders.py",
                old="    lane.record_accepted(\n",
                new="    desk.publisher.publish([event])\n    lane.record_accepted(\n",
            ),
        ),
        tests=(CHAOS, "tests/services", "tests/scenarios/test_server_restarts.py"),
    ),
    Mutation(
        name="no lane lock",
        changes=(
            Change(
                path="order_manager/database/lane_sql.py",
                old="CAST(pg_try_advisory_lock(:lock_class, id) AS text)",
                new="CAST(pg_try_advisory_lock(:lock_class, id) OR true AS text)",
            ),
        ),
        tests=(CHAOS, "tests/database/test_lane.py", "tests/scenarios/test_lane_sessions.py"),
    ),
)


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Path]:
    """A copy of the tree with the mutation in it; the tree itself is not touched."""
    folder = Path(tempfile.mkdtemp(prefix="om-mutated-"))
    folder.chmod(0o755)
    try:
        tree = folder / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        for change in mutation.changes:
            path = tree / change.path
            text = path.read_text()
            if text.count(change.old) != 1:
                raise LookupError(f"{mutation.name}: fits {text.count(change.old)} times in {change.path}")
            path.write_text(text.replace(change.old, change.new))
        yield tree
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def noticed_by(tree: Path, tests: str) -> list[str]:
    """The tests that fail, with their reasons. What they leave behind goes with the tree."""
    scratch = tree.parent / "tmp"
    scratch.mkdir(mode=0o755, exist_ok=True)
    argv = [sys.executable, "-m", "pytest", "-q", "-rfE", "--no-header", "--tb=line", *tests.split()]
    with subprocess.Popen(
        argv,
        cwd=tree,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            return [f"{tests}: not done within {WITHIN_S} s"]
    return [line.partition(" ")[2] for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]


def main(wanted: Sequence[str]) -> int:
    """0 when each was noticed."""
    missed = 0
    for mutation in MUTATIONS:
        if wanted and not any(name in mutation.name for name in wanted):
            continue
        found: list[str] = []
        with mutated(mutation) as tree:
            for tests in mutation.tests:
                started = time.monotonic()
                found = noticed_by(tree, tests)
                print(
                    f"{mutation.name}: {tests}: {len(found)} failed, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
                for name in found[:5]:
                    print(f"    {name[:300]}", flush=True)
        missed += not found
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
