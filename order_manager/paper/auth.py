"""Authentication of private requests: key, time window, signature over the bytes as sent."""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from order_manager.paper.accounts import Account
from order_manager.paper.numbers import parse_integer
from order_manager.paper.refusals import ApiRefusal

DEFAULT_RECV_WINDOW_MS = 5000
_MAX_AHEAD_MS = 1000  # a clock this far ahead always fails, whatever the window


class Credentials(NamedTuple):
    """The authentication headers as received."""

    api_key: str
    timestamp: str
    signature: str
    recv_window: str  # "" when the header is absent; signed as such, and 5000 applies


def read_credentials(headers: Mapping[str, str]) -> Credentials | None:
    """The credentials, or None when a required header is missing (the exchange answers HTTP 401)."""
    api_key = headers.get("X-BAPI-API-KEY")
    timestamp = headers.get("X-BAPI-TIMESTAMP")
    signature = headers.get("X-BAPI-SIGN")
    if not (api_key and timestamp and signature):
        return None
    return Credentials(api_key, timestamp, signature, headers.get("X-BAPI-RECV-WINDOW", ""))


def sign(secret: str, timestamp: str, api_key: str, recv_window: str, payload: bytes) -> str:
    """HMAC-SHA256 in lower-case hex. `payload` is the raw query of a GET, the raw body of a POST."""
    text = (timestamp + api_key + recv_window).encode() + payload
    return hmac.digest(secret.encode(), text, "sha256").hex()


def authenticate(
    credentials: Credentials, payload: bytes, accounts: Mapping[str, Account], now_ms: int
) -> Account:
    """The account that sent `payload`. Raises ApiRefusal with 10003, 10002 or 10004."""
    account = accounts.get(credentials.api_key)
    if account is None:
        raise ApiRefusal(10003, "API key is invalid.")
    window = credentials.recv_window or str(DEFAULT_RECV_WINDOW_MS)
    timestamp = credentials.timestamp
    sent_ms, window_ms = parse_integer(timestamp), parse_integer(window)
    is_timely = (
        sent_ms is not None
        and window_ms is not None
        and now_ms - window_ms <= sent_ms < now_ms + _MAX_AHEAD_MS
    )
    if not is_timely:
        raise ApiRefusal(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{timestamp}],server_timestamp[{now_ms}],recv_window[{window}]",
        )
    expected = sign(account.api_secret, timestamp, credentials.api_key, credentials.recv_window, payload)
    if not hmac.compare_digest(expected, credentials.signature):
        origin = (timestamp + credentials.api_key + credentials.recv_window).encode() + payload
        raise ApiRefusal(10004, f"error sign! origin_string[{origin.decode(errors='replace')}]")
    return account
