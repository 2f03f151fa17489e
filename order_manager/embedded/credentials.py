"""Passwords and keys that are made once per data folder and kept in its secrets.json."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from order_manager.embedded.files import write_atomically


class Credentials:
    """The secrets of one data folder, in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str, *, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
        """The secret called `name`, made with `make` the first time. Safe to repeat."""
        known: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}
        if name not in known:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            known[name] = make()
            write_atomically(self._path, json.dumps(known, indent=2) + "\n", mode=0o600)
        return known[name]
