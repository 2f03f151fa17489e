"""Wait until Celery workers answer: python -m order_manager.fleet.ping <seconds> <name> ..."""

import sys
import time
from collections.abc import Iterable

from order_manager import app


def silent_after(timeout_s: float, names: Iterable[str]) -> set[str]:
    """Those of the workers `names` (without @host) that have not answered within `timeout_s`."""
    silent = set(names)
    expected = len(silent)
    deadline = time.monotonic() + timeout_s
    while silent and time.monotonic() < deadline:
        # With a limit it returns at the last answer instead of at the timeout.
        for answer in app.control.ping(timeout=1.0, limit=expected) or []:
            silent -= {node.partition("@")[0] for node in answer}
    return silent


def main(arguments: list[str]) -> int:
    silent = silent_after(float(arguments[0]), arguments[1:])
    print("no answer from:" if silent else "all answered", *sorted(silent))  # noqa: T201
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
