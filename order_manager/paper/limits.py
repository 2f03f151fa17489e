"""Request limits: per account, endpoint and category in a rolling second; and the ban of an address."""

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from order_manager.paper.instruments import SPOT

_WINDOW_MS = 1000
_AMEND = "/v5/order/amend"
_ORDER_FAMILY = frozenset(
    f"/v5/order/{name}"
    for name in ("create", "amend", "cancel", "cancel-all", "create-batch", "amend-batch", "cancel-batch")
)
DEFAULT_CREATE_LIMIT = 10
DEFAULT_READ_LIMIT = 50

# Requests per second, alike for all categories and not raised by tiers.
_FIXED: dict[str, int] = {
    "/v5/position/set-leverage": 10,
    "/v5/position/switch-mode": 10,
    "/v5/position/switch-isolated": 10,
    "/v5/position/set-tpsl-mode": 10,
    "/v5/position/trading-stop": 10,
    "/v5/position/set-auto-add-margin": 10,
    "/v5/position/add-margin": 10,
    "/v5/order/disconnected-cancel-all": 5,
    "/v5/account/set-margin-mode": 5,
    "/v5/account/set-limit-px-action": 10,
    "/v5/account/fee-rate": 5,
    "/v5/account/instruments-info": 10,
    "/v5/account/query-dcp-info": 5,
    "/v5/account/smp-group": 5,
    "/v5/account/transaction-log": 25,
    "/v5/asset/coin/query-info": 5,
    "/v5/asset/transfer/query-account-coins-balance": 5,
    "/v5/user/query-api": 10,
}


class Budget(NamedTuple):
    """What a request met: the limit, what remains, when it frees up (ms), and how many units it got."""

    limit: int
    remaining: int
    reset_ms: int
    granted: int

    @property
    def is_allowed(self) -> bool:
        return self.granted > 0


class RateLimits:
    """Rolling one-second windows. A refused request uses nothing up (the exchange does not say)."""

    def __init__(
        self, *, create_limit: int = DEFAULT_CREATE_LIMIT, read_limit: int = DEFAULT_READ_LIMIT
    ) -> None:
        self.create_limit = create_limit
        self.read_limit = read_limit
        self._windows: dict[Hashable, deque[int]] = {}

    def limit_for(self, endpoint: str, category: str) -> int:
        """Requests per second. The default tier gives spot 20 where futures get 10, but amend 10."""
        if endpoint in _ORDER_FAMILY:
            is_default = self.create_limit == DEFAULT_CREATE_LIMIT
            return 20 if is_default and category == SPOT and endpoint != _AMEND else self.create_limit
        return _FIXED.get(endpoint, self.read_limit)

    def take(self, uid: int, endpoint: str, category: str, now_ms: int, units: int = 1) -> Budget:
        """Use up to `units` up, as many as are left: a batch takes one for each of its orders."""
        bucket = category if endpoint in _ORDER_FAMILY else ""
        return self._take((uid, endpoint, bucket), self.limit_for(endpoint, category), now_ms, units)

    def clear(self) -> None:
        self._windows.clear()

    def _take(self, key: Hashable, limit: int, now_ms: int, units: int) -> Budget:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = deque()
        oldest = now_ms - _WINDOW_MS
        while window and window[0] <= oldest:
            window.popleft()
        if len(window) >= limit:
            return Budget(limit, 0, (window[0] if window else now_ms) + _WINDOW_MS, 0)
        granted = min(units, limit - len(window))
        for _ in range(granted):
            window.append(now_ms)
        reset_ms = now_ms if granted == units else window[0] + _WINDOW_MS
        return Budget(limit, limit - len(window), reset_ms, granted)


class AddressLimit:
    """600 requests in 5 s per address; a breach bans the address for `ban_ms`, ten minutes by default.

    Off unless asked for: on localhost all clients share one address, and one test would ban the others.
    """

    LIMIT = 600
    WINDOW_MS = 5000

    def __init__(self, *, is_on: bool, ban_ms: int = 600_000) -> None:
        self.is_on = is_on
        self.ban_ms = ban_ms
        self._requests: dict[str, deque[int]] = {}
        self._banned_until: dict[str, int] = {}

    def clear(self) -> None:
        """Forget what was counted; bans stay."""
        self._requests.clear()

    def is_banned(self, address: str, now_ms: int) -> bool:
        """Count one request of `address`; whether it must be answered with HTTP 403."""
        if not self.is_on:
            return False
        if now_ms < self._banned_until.get(address, 0):
            return True
        window = self._requests.setdefault(address, deque())
        while window and window[0] <= now_ms - self.WINDOW_MS:
            window.popleft()
        window.append(now_ms)
        if len(window) > self.LIMIT:
            self._banned_until[address] = now_ms + self.ban_ms
            window.clear()
            return True
        return False
