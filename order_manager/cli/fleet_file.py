"""What runs, as `order-manager up` wrote it into its data folder."""

import json
import os
from pathlib import Path
from typing import Any


def fleet_rows(data_dir: Path) -> list[dict[str, Any]]:
    """Its processes; [] where no fleet runs here."""
    try:
        rows = json.loads((data_dir / "fleet.json").read_text())
    except (OSError, ValueError):
        return []
    return [
        {
            "name": row["name"],
            "pid": row["pid"],
            "state": row["state"] if row["pid"] is None or _lives(row["pid"]) else "gone",
            "started_at": row["started_at"],
            "metrics": row.get("metrics"),
        }
        for row in rows
    ]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
