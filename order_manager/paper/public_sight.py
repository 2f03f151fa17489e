"""What the public topics see: the market at one moment, as the REST endpoints tell it."""

from collections.abc import Callable, Mapping
from typing import Any

from order_manager.paper.exchange import Exchange
from order_manager.paper.wire import Json

Calls = Mapping[str, Callable[[Exchange, Mapping[str, Any], int], Json]]


class Sight:
    """The market at one moment. Each thing is looked at once, however many topics ask."""

    def __init__(self, exchange: Exchange, calls: Calls, now_ms: int) -> None:
        self.exchange = exchange
        self.now_ms = now_ms
        self._calls = calls
        self._seen: dict[tuple[str, ...], Json] = {}

    def look(self, path: str, category: str, symbol: str, **more: str) -> Json:
        """The result of a public REST endpoint."""
        key = path, category, symbol, *more.values()
        if key not in self._seen:
            params = {"category": category, "symbol": symbol, **more}
            self._seen[key] = self._calls[path](self.exchange, params, self.now_ms)
        return self._seen[key]
