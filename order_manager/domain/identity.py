"""The idempotency key: one signal, one attempt, one slice -> one client_order_id, for ever."""

import base64
import hashlib

MAX_LENGTH = 36  # Bybit orderLinkId, docs/v5/order/create-order


def client_order_id(signal_id: str, *, attempt: int, slice_number: int) -> str:
    """Deterministic and at most 36 characters of letters, digits and dashes.

    120 bits of SHA-256 stand for the signal id, so two signals sharing a key is out of the question; the
    attempt and the slice stay readable.
    """
    return f"{client_order_id_prefix(signal_id)}{attempt}-{slice_number}"


def client_order_id_prefix(signal_id: str) -> str:
    """What the keys of all attempts and slices of a signal begin with, and no other's."""
    digest = hashlib.sha256(signal_id.encode()).digest()[:15]
    key = base64.b32encode(digest).decode().lower()
    return f"om-{key}-"
