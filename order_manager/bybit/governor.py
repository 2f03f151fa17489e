"""One rate governor for the account across the fleet: who may send when, kept in Redis.

Per endpoint (and category where the exchange counts so) a sliding window: a request takes the earliest
slot that leaves at most `limit` slots in any window, and waits for it. Creates, cancels and reads have
families of their own, so none waits behind another.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

import redis
import structlog

from order_manager import metrics

log = structlog.get_logger()

# Requests per second and UID, before an answer tells the account's own. linear, spot.
PER_CATEGORY_LIMITS = {
    "/v5/order/create": {"linear": 10, "spot": 20},
    "/v5/order/amend": {"linear": 10, "spot": 10},
    "/v5/order/cancel": {"linear": 10, "spot": 20},
    "/v5/order/cancel-all": {"linear": 10, "spot": 20},
}
ACCOUNT_LIMITS = {
    "/v5/order/realtime": 50,
    "/v5/order/history": 50,
    "/v5/execution/list": 50,
    "/v5/position/list": 50,
    "/v5/account/wallet-balance": 50,
    "/v5/account/info": 50,
    "/v5/account/fee-rate": 5,
    "/v5/user/query-api": 10,
}

# The exchange's window and ours do not start together: a tenth more is our headroom.
WINDOW_S = 1.1
IP_LIMIT = 600  # requests per address in IP_WINDOW_S; beyond it the address is banned for ten minutes
IP_WINDOW_S = 5.5
# Shares of the address's limit: reads stop first, then creates; a cancel finds room to the last.
_IP_SHARES = (("/v5/order/cancel", 0.97), ("/v5/order/create", 0.9), ("/v5/order/amend", 0.9))
_READ_IP_SHARE = 0.8

EVERYTHING = "*"  # the family that stands for all: a banned address


class Governor(Protocol):
    """Says how long to wait before a request, and hears what the exchange says of its limits."""

    def acquire(self, family: str, *, max_wait_s: float) -> float:
        """Seconds to wait for the slot taken. Above `max_wait_s` none was taken: do not send."""
        ...

    def pause_left(self, family: str) -> float:
        """Seconds that the family still has to be silent."""
        ...

    def pause(self, family: str, seconds: float) -> None:
        """Nobody in the fleet sends to this family for so long."""
        ...

    def learn(self, family: str, limit: int) -> None:
        """The exchange's own limit, requests per second."""
        ...


class NoGovernor:
    """Never waits."""

    def acquire(self, family: str, *, max_wait_s: float) -> float:
        return 0.0

    def pause_left(self, family: str) -> float:
        return 0.0

    def pause(self, family: str, seconds: float) -> None:
        pass

    def learn(self, family: str, limit: int) -> None:
        pass


def family_of(endpoint: str, category: str) -> str:
    """What shares one counter at the exchange."""
    return f"{endpoint}:{category}" if endpoint in PER_CATEGORY_LIMITS else endpoint


def default_limit(family: str) -> int:
    """Requests per second; 0 for an endpoint that has no limit of its own (market data)."""
    endpoint, _, category = family.partition(":")
    if category:
        return PER_CATEGORY_LIMITS[endpoint][category]
    return ACCOUNT_LIMITS.get(endpoint, 0)


def _ip_share(family: str) -> float:
    return next((share for prefix, share in _IP_SHARES if family.startswith(prefix)), _READ_IP_SHARE)


# KEYS: slots, address, limits, pause of the family, pause of all. Redis's clock, so the fleet shares one.
# ARGV: family, default limit, window us, address limit, address window us, longest wait us.
# Returns {wait us, limit}; a wait above the longest takes no slot.
_ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or ARGV[2])
local window, address_limit, address_window = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local slot = now
for _, paused in ipairs(redis.call('MGET', KEYS[4], KEYS[5])) do
  if paused then slot = math.max(slot, tonumber(paused)) end
end
if limit > 0 then
  local nth = redis.call('LINDEX', KEYS[1], limit - 1)
  if nth then slot = math.max(slot, nth + window) end
end
if address_limit > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', now - address_window))
  local nth = redis.call('ZREVRANGE', KEYS[2], address_limit - 1, address_limit - 1, 'WITHSCORES')
  if nth[2] then slot = math.max(slot, nth[2] + address_window) end
end
local wait = slot - now
if wait > tonumber(ARGV[6]) then return {wait, limit} end
local text = string.format('%.0f', slot)
local keep_ms = math.ceil((wait + math.max(window, address_window)) / 1000) + 1000
if limit > 0 then
  redis.call('LPUSH', KEYS[1], text)
  redis.call('LTRIM', KEYS[1], 0, 1999)
  redis.call('PEXPIRE', KEYS[1], keep_ms)
end
if address_limit > 0 then
  local unique = redis.call('INCR', KEYS[2] .. ':n')
  redis.call('ZADD', KEYS[2], text, unique)
  redis.call('PEXPIRE', KEYS[2], keep_ms)
  redis.call('PEXPIRE', KEYS[2] .. ':n', keep_ms)
end
return {wait, limit}
"""

# KEYS: pause. ARGV: us. Only ever lengthens.
_PAUSE = """
local time = redis.call('TIME')
local till = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local old = redis.call('GET', KEYS[1])
if old and tonumber(old) >= till then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil(ARGV[1] / 1000) + 1)
return 1
"""


class LocalGovernor:
    """A window of this process alone; for the fleet it is safe only with a share of the limit."""

    def __init__(self, *, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[str, deque[float]] = {}
        self._pauses: dict[str, float] = {}
        self._limits: dict[str, int] = {}

    def acquire(self, family: str, *, max_wait_s: float) -> float:
        with self._lock:
            now = self._clock()
            slot = now + self._pause_left(family, now)
            limit = self._limits.get(family) or default_limit(family)
            allowed = max(int(limit * self._share), 1) if limit else 0
            slots = self._slots.setdefault(family, deque(maxlen=2000))
            if allowed and len(slots) >= allowed:
                slot = max(slot, slots[-allowed] + WINDOW_S)
            if slot - now <= max_wait_s:
                slots.append(slot)
            return slot - now

    def pause_left(self, family: str) -> float:
        with self._lock:
            return self._pause_left(family, self._clock())

    def _pause_left(self, family: str, now: float) -> float:
        return max(self._pauses.get(family, 0.0) - now, self._pauses.get(EVERYTHING, 0.0) - now, 0.0)

    def pause(self, family: str, seconds: float) -> None:
        with self._lock:
            self._pauses[family] = max(self._pauses.get(family, 0.0), self._clock() + seconds)

    def learn(self, family: str, limit: int) -> None:
        with self._lock:
            self._limits[family] = limit


class RedisGovernor:
    """The fleet's governor. Without Redis each process goes on alone with a quarter of the limit."""

    def __init__(
        self,
        client: "redis.Redis",
        *,
        account: str = "default",
        ip_limit: int | None = IP_LIMIT,
        window_s: float = WINDOW_S,
        retry_redis_after_s: float = 5.0,
    ) -> None:
        """`account` separates accounts in one Redis; `ip_limit` None: the host counts no addresses."""
        self._client = client
        self._acquire = client.register_script(_ACQUIRE)
        self._pause = client.register_script(_PAUSE)
        self._prefix = f"governor:{{{account}}}"
        self._ip_limit = ip_limit or 0
        self._window_us = round(window_s * 1_000_000)
        self._limits: dict[str, int] = {}  # what the fleet goes by, as last heard from Redis
        self._local = LocalGovernor(share=0.25)
        self._retry_redis_after_s = retry_redis_after_s
        self._degraded_until: float | None = None

    def acquire(self, family: str, *, max_wait_s: float) -> float:
        keys = self._keys(family)
        args: list[str | int] = [
            family,
            default_limit(family),
            self._window_us,
            int(self._ip_limit * _ip_share(family)),
            round(IP_WINDOW_S * 1_000_000),
            round(max_wait_s * 1_000_000),
        ]
        answer = self._ask(lambda: self._acquire(keys=keys, args=args))
        if answer is None:
            return self._local.acquire(family, max_wait_s=max_wait_s)
        wait_us, limit = answer
        self._limits[family] = limit
        return cast(int, wait_us) / 1_000_000

    def pause_left(self, family: str) -> float:
        left_ms = self._ask(lambda: self._pauses_left_ms(family))
        return self._local.pause_left(family) if left_ms is None else max(*left_ms, 0) / 1000

    def pause(self, family: str, seconds: float) -> None:
        self._local.pause(family, seconds)
        self._ask(lambda: self._pause(keys=[self._pause_key(family)], args=[round(seconds * 1_000_000)]))

    def learn(self, family: str, limit: int) -> None:
        if self._limits.get(family) == limit:
            return
        self._local.learn(family, limit)
        if self._ask(lambda: self._client.hset(f"{self._prefix}:limits", family, str(limit))) is not None:
            log.info("rate_limit_learned", family=family, limit_per_s=limit)
            self._limits[family] = limit

    def _pauses_left_ms(self, family: str) -> list[int]:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.pttl(self._pause_key(family))
            pipeline.pttl(self._pause_key(EVERYTHING))
            return cast(list[int], pipeline.execute())

    def _keys(self, family: str) -> list[str]:
        return [
            f"{self._prefix}:slots:{family}",
            f"{self._prefix}:address",
            f"{self._prefix}:limits",
            self._pause_key(family),
            self._pause_key(EVERYTHING),
        ]

    def _pause_key(self, family: str) -> str:
        return f"{self._prefix}:pause:{family}"

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Redis's answer, or None while it is away; then it is tried again only every few seconds."""
        if self._degraded_until is not None and time.monotonic() < self._degraded_until:
            return None
        try:
            answer = question()
        except redis.RedisError as error:
            if self._degraded_until is None:
                log.warning("rate_governor_degraded", error=str(error), share_of_limit="1/4")
                metrics.GOVERNOR_DEGRADED.labels("redis").set(1)
            self._degraded_until = time.monotonic() + self._retry_redis_after_s
            return None
        if self._degraded_until is not None:
            self._degraded_until = None
            log.info("rate_governor_recovered")
            metrics.GOVERNOR_DEGRADED.labels("redis").set(0)
        return answer
