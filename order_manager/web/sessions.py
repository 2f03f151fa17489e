"""Who signed in to the console: a cookie that reads, made of an API key and never the key itself.

Nothing is kept of who is signed in: any process checks the cookie with the keys it has, and a key that is
taken out ends what it signed in. Of who signed out Redis keeps the session's id until its cookie would have
expired, so that a copy of the cookie is worth nothing. It reads only, so that no other site can have a
browser change anything.
"""

import functools
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import deque

import redis
import structlog
from flask import Response, request

from order_manager.settings import Settings

log = structlog.get_logger(__name__)

COOKIE = "order_manager_console"
LIFETIME_S = 12 * 3600
RETRY_REDIS_AFTER_S = 5.0
READING = frozenset({"GET", "HEAD"})
_TOKEN = re.compile(r"v2\.([0-9]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})", re.ASCII)
_ROUNDS = 100_000  # whoever has seen a cookie can try keys on it at home: let each cost something


def sign_in(response: Response, key: str, *, now: float | None = None) -> None:
    """Give the browser a cookie of `key`, which the caller has checked."""
    expires_at = int(time.time() if now is None else now) + LIFETIME_S
    session_id = secrets.token_hex(16)
    response.set_cookie(
        COOKIE,
        f"v2.{expires_at}.{session_id}.{_signature(key, expires_at, session_id)}",
        max_age=LIFETIME_S,
        httponly=True,
        secure=request.is_secure,
        samesite="Strict",
    )


def sign_out(response: Response, settings: Settings, ended: "Ended") -> None:
    """Take the cookie back, and have no copy of it accepted."""
    if (session := _session(settings)) is not None:
        ended.add(*session)
    response.delete_cookie(COOKIE, httponly=True, secure=request.is_secure, samesite="Strict")


def is_signed_in(settings: Settings, ended: "Ended") -> bool:
    """Whether the request has a cookie that one of our keys signed, not expired and not signed out."""
    session = _session(settings)
    return session is not None and session[0] not in ended


def _session(settings: Settings) -> tuple[str, float] | None:
    """The id of the request's session and the seconds left of it; None without a good cookie."""
    parts = _TOKEN.fullmatch(request.cookies.get(COOKIE, ""))
    if parts is None:
        return None
    expires_at, session_id = int(parts[1]), parts[2]
    keys = (*settings.operating_keys, *settings.reading_keys)
    # All, found or not.
    found = [hmac.compare_digest(parts[3], _signature(key, expires_at, session_id)) for key in keys]
    left_s = expires_at - time.time()
    return (session_id, left_s) if any(found) and 0 < left_s <= LIFETIME_S else None


def _signature(key: str, expires_at: int, session_id: str) -> str:
    return hmac.new(_secret(key), f"v2.{expires_at}.{session_id}".encode(), "sha256").hexdigest()


@functools.lru_cache(maxsize=64)
def _secret(key: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", key.encode(), b"order_manager console cookie", _ROUNDS)


class Ended:
    """Sessions that were signed out, known to every process that has this Redis.

    Without Redis the console goes on, as it is needed then: each process knows those that it ended itself.
    """

    def __init__(self, client: "redis.Redis | None", *, at_most: int = 1000) -> None:
        self._client, self._at_most = client, at_most
        self._own: dict[str, None] = {}
        self._away_until = 0.0
        self._lock = threading.Lock()

    def add(self, session_id: str, left_s: float) -> None:
        """Raises nothing: whoever signs out is signed out here at least."""
        with self._lock:
            self._own[session_id] = None
            if len(self._own) > self._at_most:
                del self._own[next(iter(self._own))]
        if self._client is None:
            return
        try:
            self._client.set(_name(session_id), 1, ex=int(left_s) + 1)
        except redis.RedisError as error:
            log.warning("console_sign_out_not_shared", error=repr(error))

    def __contains__(self, session_id: str) -> bool:
        if session_id in self._own:
            return True
        if self._client is None or time.monotonic() < self._away_until:
            return False
        try:
            return bool(self._client.exists(_name(session_id)))
        except redis.RedisError:  # readiness tells of it
            self._away_until = time.monotonic() + RETRY_REDIS_AFTER_S
            return False


def ended_sessions(settings: Settings) -> Ended:
    """Those of the house. Nothing is connected yet."""
    if settings.redis_host is None:
        return Ended(None)
    return Ended(
        redis.Redis.from_url(settings.redis_url, socket_timeout=0.25, socket_connect_timeout=0.25, retry=None)
    )


def _name(session_id: str) -> str:
    return f"console:signed-out:{session_id}"


class Tries:
    """Failed tries to sign in, by address: after a few it has to wait, whatever it sends. One per process."""

    def __init__(self, *, at_most: int = 8, span_s: float = 60.0, addresses: int = 1000) -> None:
        self._at_most, self._span_s, self._addresses = at_most, span_s, addresses
        self._failed: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """How long before it may try again; 0: now."""
        with self._lock:
            failed = self._failed.get(address)
            if failed is None or len(failed) < self._at_most:
                return 0.0
            return max(0.0, failed[0] + self._span_s - time.monotonic())

    def failed(self, address: str) -> None:
        with self._lock:
            failed = self._failed.pop(address, None) or deque(maxlen=self._at_most)
            failed.append(time.monotonic())
            self._failed[address] = failed
            if len(self._failed) > self._addresses:
                del self._failed[next(iter(self._failed))]  # who failed longest ago

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._failed.pop(address, None)
