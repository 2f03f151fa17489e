"""An answer as it comes off the wire, and what the want of one says of the request."""

import http.client
import io
import json
import ssl
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import requests
import urllib3

RESET_UNKNOWN_S = 2.0  # after 10006 without a reset header
LONGEST_RESET_S = 10.0
READ_BYTES = 65536
MUCH = 2000  # characters of what the exchange says


def body_of(response: requests.Response, *, until: float) -> bytes:
    """The whole body, or a network error: at the latest `until`.

    The socket's time-out begins anew with every byte that arrives, so an answer that trickles would hold us
    for as long as it likes. http.client gives what there is; urllib3 waits for as much as it was asked for.
    """
    source = response.raw._original_response
    parts: list[bytes] = []
    try:
        while part := source.read1(READ_BYTES):
            parts.append(part)
            if time.perf_counter() > until:
                raise requests.exceptions.ReadTimeout("the answer came too slowly")
        if source.length:
            raise http.client.IncompleteRead(b"", source.length)
        encoding = {"Content-Encoding": response.headers.get("Content-Encoding", "")}
        content: bytes = urllib3.HTTPResponse(io.BytesIO(b"".join(parts)), encoding).data
    except BaseException as error:
        response.close()
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            raise requests.exceptions.ConnectionError(error) from error
        raise
    source.close()  # all of it is read: the connection may be used again
    response.raw.release_conn()
    return content


def envelope_of(content: bytes) -> dict[str, Any] | None:
    """The answer as JSON with a retCode, or None if it is not that."""
    try:
        envelope = json.loads(content, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(envelope, dict) or type(envelope.get("retCode")) is not int:
        return None
    return envelope


def said_by(status: int, content: bytes, envelope: Mapping[str, Any] | None) -> str:
    """What an answer that is no success says, in a line for people: without control characters."""
    text = str(envelope.get("retMsg") or "") if envelope else content[:MUCH].decode(errors="replace")
    shown = " ".join("".join(one if one.isprintable() else " " for one in text[:MUCH]).split())
    if envelope is not None and status < 300:
        return shown or "refused without a message"
    if shown:
        return f"HTTP {status}: {shown}"
    return f"HTTP {status} without a {'message' if envelope or content else 'body'}"


def until_reset(headers: Mapping[str, str], time_ms: int) -> float:
    """Seconds until the exchange counts anew; its clock on both sides."""
    reset = headers.get("X-Bapi-Limit-Reset-Timestamp", "")
    if not reset.isdecimal():
        return RESET_UNKNOWN_S
    return min(max((int(reset) - time_ms) / 1000, 0.05), LONGEST_RESET_S)


def was_not_sent(error: Exception) -> bool:
    """True only if no byte of the request can have reached the exchange."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return True
    return isinstance(root_cause(error), ssl.SSLCertVerificationError)  # found out in the handshake


def root_cause(error: BaseException) -> BaseException:
    """The innermost exception: requests and urllib3 wrap each other in `args` and `reason`."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        error = inner
    return error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
