"""Who signed in to the console: a cookie that reads, made of an API key and never the key itself.

Nothing is kept of it: any process checks it with the keys it has, and a key that is taken out ends what it
signed in. It reads only, so that no other site can have a browser change anything.
"""

import functools
import hashlib
import hmac
import re
import threading
import time
from collections import deque

from flask import Response, request

from order_manager.settings import Settings

COOKIE = "order_manager_console"
LIFETIME_S = 12 * 3600
READING = frozenset({"GET", "HEAD"})
_TOKEN = re.compile(r"v1\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_ROUNDS = 100_000  # whoever has seen a cookie can try keys on it at home: let each cost something


def sign_in(response: Response, key: str, *, now: float | None = None) -> None:
    """Give the browser a cookie of `key`, which the caller has checked."""
    expires_at = int(time.time() if now is None else now) + LIFETIME_S
    response.set_cookie(
        COOKIE,
        f"v1.{expires_at}.{_signature(key, expires_at)}",
        max_age=LIFETIME_S,
        httponly=True,
        secure=request.is_secure,
        samesite="Strict",
    )


def sign_out(response: Response) -> None:
    response.delete_cookie(COOKIE, httponly=True, secure=request.is_secure, samesite="Strict")


def is_signed_in(settings: Settings) -> bool:
    """Whether the request has a cookie that one of our keys signed and that has not expired."""
    parts = _TOKEN.fullmatch(request.cookies.get(COOKIE, ""))
    if parts is None:
        return False
    expires_at = int(parts[1])
    keys = (*settings.operating_keys, *settings.reading_keys)
    found = [hmac.compare_digest(parts[2], _signature(key, expires_at)) for key in keys]  # all, found or not
    return any(found) and 0 < expires_at - time.time() <= LIFETIME_S


def _signature(key: str, expires_at: int) -> str:
    return hmac.new(_secret(key), f"v1.{expires_at}".encode(), "sha256").hexdigest()


@functools.lru_cache(maxsize=64)
def _secret(key: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", key.encode(), b"order_manager console cookie", _ROUNDS)


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
