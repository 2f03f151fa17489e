"""Signatures: HMAC-SHA256 in lowercase hex over exactly the text that is sent."""

import hmac


def sign_request(secret: str, *, timestamp_ms: int, api_key: str, recv_window_ms: int, payload: str) -> str:
    """Signature of a REST request; `payload` is the raw query of a GET or the raw body of a POST."""
    return _hex_hmac(secret, f"{timestamp_ms}{api_key}{recv_window_ms}{payload}")


def sign_stream(secret: str, *, expires_ms: int) -> str:
    """Signature of the WebSocket `auth` frame, good until `expires_ms`."""
    return _hex_hmac(secret, f"GET/realtime{expires_ms}")


def _hex_hmac(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()
