"""What runs, as `order-manager up` wrote it into its data folder."""

import json
from pathlib import Path
from typing import Any

import psutil


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
            "state": row["state"] if row["pid"] is None else _state(row["pid"], row["state"]),
            "started_at": row["started_at"],
            "metrics": row.get("metrics"),
        }
        for row in rows
    ]


def _state(pid: int, state: str) -> str:
    """The supervisor does not see that a process was stopped by a signal."""
    try:
        return "FROZEN" if psutil.Process(pid).status() == psutil.STATUS_STOPPED else state
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.AccessDenied:
        return state
