"""What this process is called, by its command line: as `order-manager up` and Flower call it."""

import sys
from collections.abc import Sequence
from pathlib import Path


def process_name(argv: Sequence[str] | None = None) -> str:
    """consumer, lane-1, maintenance, beat, web, status, ...; empty for a program that is none of ours."""
    program, *arguments = (argv if argv is not None else sys.argv) or [""]
    path = Path(program)
    parts = {path.stem, path.parent.name} if path.stem == "__main__" else {path.stem}
    if "celery" in parts:
        return _of_celery(arguments)
    if "gunicorn" in parts:
        return "web"
    if parts & {"order-manager", "cli"}:
        return next((one for one in arguments if not one.startswith("-")), "")
    return ""


def _of_celery(arguments: Sequence[str]) -> str:
    for index, one in enumerate(arguments):
        name, _, value = one.partition("=")
        if name in {"-n", "--hostname"}:
            return (value or "".join(arguments[index + 1 : index + 2])).partition("@")[0]
    return next((one for one in arguments if one in {"worker", "beat", "flower"}), "")
