"""One HTTP request to Bybit: signed as sent, sent once, and its failure named by what may have happened.

A failure before the request left is Unavailable. After that the exchange may have acted, so for a POST
it is OutcomeUnknown; a GET changes nothing and is Unavailable. Nothing is sent twice here.
"""

import http.client
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from order_manager import metrics
from order_manager.bybit.answers import body_of, envelope_of, root_cause, said_by, until_reset, was_not_sent
from order_manager.bybit.encoding import Value, body_text, query_text
from order_manager.bybit.retcodes import RATE_LIMIT_EXCEEDED, error_class
from order_manager.bybit.signing import sign_request
from order_manager.errors import (
    AccessDenied,
    ExchangeError,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unavailable,
)

log = structlog.get_logger()

SHOWN = 200  # characters of what the exchange says
IP_BAN_S = 600.0  # "access too frequent": the ban lifts by itself after ten minutes of silence

_NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException)

CallHook = Callable[[str, str, float], None]  # endpoint, "ok" or the error's name, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A successful answer."""

    result: dict[str, Any]
    time_ms: int  # the exchange's clock


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


def ignore_call(endpoint: str, outcome: str, seconds: float) -> None:
    """The default hook."""


class Transport:
    """A pool of kept-alive connections to one host. Safe for threads; make a new one after a fork."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        api_secret: str = "",
        recv_window_ms: int = 5000,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 10.0,
        pool_size: int = 4,
        now_ms: Callable[[], int] = clock_ms,
        on_call: CallHook = ignore_call,
    ) -> None:
        self.offset_ms = 0  # added to our clock in every signature
        self.calls: Counter[str] = Counter()  # requests sent or tried, by endpoint
        self.limits: dict[str, int] = {}  # the newest X-Bapi-Limit, by endpoint
        self.now_ms = now_ms
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._api_secret = api_secret
        self._recv_window_ms = recv_window_ms
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._on_call = on_call
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc comes between us and the exchange
        self._session.mount(
            self._base_url, HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0)
        )
        # Straight to the adapter: the session's merging of defaults costs more than the signature.
        self._adapter = self._session.get_adapter(self._base_url)

    def close(self) -> None:
        self._session.close()

    def get(
        self, endpoint: str, params: Mapping[str, Value], *, cursor: str = "", signed: bool = True
    ) -> Reply:
        """Ask. Raises Unavailable, RateLimited, Refused or AccessDenied; asking again is safe."""
        query = query_text(params, cursor=cursor)
        return self._send("GET", endpoint, query, signed=signed)

    def post(self, endpoint: str, body: Mapping[str, Value], *, signed_at_ms: int | None = None) -> Reply:
        """Tell, once. Raises OutcomeUnknown when it may have been applied; else as `get`.

        `signed_at_ms` is the moment, on our clock, after which the exchange's receive window runs: it
        refuses what arrives later, however long the request lay about. None: now.
        """
        return self._send("POST", endpoint, body_text(body), signed=True, signed_at_ms=signed_at_ms)

    def _send(
        self, method: str, endpoint: str, payload: str, *, signed: bool, signed_at_ms: int | None = None
    ) -> Reply:
        is_read = method == "GET"
        request = self._prepared(method, endpoint, payload, signed=signed, signed_at_ms=signed_at_ms)
        self.calls[endpoint] += 1
        started = time.perf_counter()
        response: requests.Response | None = None
        try:
            try:
                response = self._adapter.send(request, timeout=self._timeout, stream=True)
                content = body_of(response, until=started + self._timeout[1])
            except _NETWORK_ERRORS as error:
                raise self._lost(error, is_read=is_read) from error
            reply = self._judged(response, content, endpoint, is_read=is_read)
        except ExchangeError as error:
            seconds = time.perf_counter() - started
            log.warning(
                "exchange_call_failed",
                endpoint=endpoint,
                error=type(error).__name__,
                ret_code=error.ret_code,
                http_status=response.status_code if response is not None else None,
                message=error.message,
                exchange_trace_id=response.headers.get("Traceid") if response is not None else None,
                latency_ms=round(seconds * 1000),
            )
            self._on_call(endpoint, type(error).__name__, seconds)
            raise
        seconds = time.perf_counter() - started
        log.debug("exchange_call_done", endpoint=endpoint, latency_ms=round(seconds * 1000))
        self._on_call(endpoint, "ok", seconds)
        return reply

    def _prepared(
        self, method: str, endpoint: str, payload: str, *, signed: bool, signed_at_ms: int | None
    ) -> requests.PreparedRequest:
        """The request with its headers. Built by hand: `prepare()` would quote the query again."""
        request = requests.PreparedRequest()
        request.method = method
        request.url = self._base_url + endpoint
        headers = CaseInsensitiveDict({"Accept-Encoding": "gzip"})
        if method == "GET":
            request.url += f"?{payload}" if payload else ""
        else:
            request.body = payload.encode()
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(request.body))
        if signed:
            timestamp_ms = (self.now_ms() if signed_at_ms is None else signed_at_ms) + self.offset_ms
            headers["X-BAPI-API-KEY"] = self._api_key
            headers["X-BAPI-TIMESTAMP"] = str(timestamp_ms)
            headers["X-BAPI-RECV-WINDOW"] = str(self._recv_window_ms)
            headers["X-BAPI-SIGN"] = sign_request(
                self._api_secret,
                timestamp_ms=timestamp_ms,
                api_key=self._api_key,
                recv_window_ms=self._recv_window_ms,
                payload=payload,
            )
        request.headers = headers
        return request

    def _lost(self, error: Exception, *, is_read: bool) -> ExchangeError:
        """No answer: did the request leave?"""
        message = f"{type(error).__name__}: {root_cause(error)}"
        if is_read or was_not_sent(error):
            return Unavailable(self._redacted(message))
        return OutcomeUnknown(self._redacted(message))

    def _judged(self, response: requests.Response, content: bytes, endpoint: str, *, is_read: bool) -> Reply:
        status, headers = response.status_code, response.headers
        limit = headers.get("X-Bapi-Limit", "")
        if limit.isdecimal() and int(limit) > 0:
            self.limits[endpoint] = int(limit)
            metrics.RATE_LIMIT.labels(endpoint).set(int(limit))
        left = headers.get("X-Bapi-Limit-Status", "")
        if left.isdecimal():
            metrics.RATE_LEFT.labels(endpoint).set(int(left))
        envelope = envelope_of(content)
        code = envelope["retCode"] if envelope else 0
        error = error_class(code, endpoint, is_read=is_read)
        time_ms = self._time_of(envelope)
        if envelope is not None and status < 300 and error is None:
            result = envelope.get("result")
            return Reply(result=result if isinstance(result, dict) else {}, time_ms=time_ms)
        message = self._redacted(said_by(status, content, envelope))[:SHOWN]  # half a key is no key to redact
        if status == 403 and b"too frequent" in content[:4096].lower():
            raise RateLimited(message, ret_code=code, retry_after_s=IP_BAN_S)
        if status in (401, 403):
            raise AccessDenied(message, ret_code=code)
        if status == 429:
            raise RateLimited(message, ret_code=code)
        if error is not None and (status < 300 or status in (400, 404)):
            if code == RATE_LIMIT_EXCEEDED:
                raise RateLimited(message, ret_code=code, retry_after_s=until_reset(headers, time_ms))
            raise error(message, ret_code=code)
        if status in (400, 404):
            raise Refused(message)
        # A 5xx, a page of the CDN, half an answer: it says nothing of what became of the request.
        raise (Unavailable if is_read else OutcomeUnknown)(message, ret_code=code)

    def _time_of(self, envelope: Mapping[str, Any] | None) -> int:
        """The exchange's clock in ms; ours, corrected, where the answer does not say."""
        time_ms = envelope.get("time") if envelope else None
        return time_ms if isinstance(time_ms, int) and time_ms > 0 else self.now_ms() + self.offset_ms

    def _redacted(self, message: str) -> str:
        """Without our key: a wrong signature is answered with the text that was signed."""
        for secret in (self._api_secret, self._api_key):
            message = message.replace(secret, "***") if secret else message
        return message
