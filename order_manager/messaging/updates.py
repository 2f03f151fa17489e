"""The gateway's messages: an envelope around one Bybit v5 object -> topic and row, or the field at fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from order_manager.errors import MalformedMessage
from order_manager.messaging.fields import SHOWN, json_object, kind, shown, text
from order_manager.queues import BALANCE_UPDATES, ORDER_UPDATES, POSITION_UPDATES

TOPICS = {"order": "order", "position": "position", "balance": "wallet"}  # event_type -> the stream's topic
EVENT_TYPES = {ORDER_UPDATES: "order", POSITION_UPDATES: "position", BALANCE_UPDATES: "balance"}
MAX_BYTES = 2**20  # a wallet with every coin is large


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    topic: str  # order, position or wallet
    row: Mapping[str, Any]
    received_at: datetime | None  # by the gateway, where it says so in a way that can be read


def parse_update(body: bytes, *, queue: str = "") -> Update:
    """The update in `body`, of the kind that `queue` carries where the envelope does not say.

    Raises MalformedMessage. Strict only with what is used: an update that is refused is a fill not seen.
    """
    if len(body) > MAX_BYTES:
        raise MalformedMessage(
            "body_too_large", "", f"the message has {len(body)} bytes; the limit is {MAX_BYTES}"
        )
    fields = json_object(body)
    event_type = text(fields, "event_type", limit=SHOWN) or EVENT_TYPES.get(queue)
    if event_type is None:
        raise MalformedMessage("missing_field", "event_type", "event_type is missing")
    if event_type not in TOPICS:
        raise MalformedMessage(
            "invalid_value",
            "event_type",
            f"event_type must be order, position or balance; it is {shown(event_type)}",
        )
    return Update(topic=TOPICS[event_type], row=_payload(fields, body), received_at=_moment(fields))


def _payload(fields: Mapping[str, Any], body: bytes) -> Mapping[str, Any]:
    payload = fields.get("payload")
    if payload is None or payload == {}:
        raise MalformedMessage("missing_field", "payload", "payload is missing or empty")
    if not isinstance(payload, dict):
        raise MalformedMessage(
            "invalid_type", "payload", f"payload is a {kind(payload)}; an object is wanted"
        )
    # Only an escape can make such a character; most bodies have none.
    if b"\\u" in body and not _is_storable(payload):
        raise MalformedMessage("invalid_text", "payload", "payload has a character that cannot be stored")
    return payload


def _is_storable(value: Any) -> bool:
    """PostgreSQL text holds no NUL, and UTF-8 no lone surrogate."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(_is_storable(key) and _is_storable(part) for key, part in value.items())
    if isinstance(value, list):
        return all(_is_storable(part) for part in value)
    return True


def _moment(fields: Mapping[str, Any]) -> datetime | None:
    value = fields.get("received_at")
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
