"""The ledger: everything the exchange saw and did, in order, for whoever has to judge its clients."""

from typing import Any

from order_manager.paper.floor import (
    CANCEL_TOO_LATE,
    FILL,
    ORDER_AMENDED,
    ORDER_CANCELLED,
    ORDER_CREATED,
    Change,
)
from order_manager.paper.numbers import plain

Entry = dict[str, Any]
REQUEST = "request"  # private endpoints, and paths that nobody serves
MARKET_REQUEST = "market_request"
CONTROL = "control"  # what the control path changed for clients


class Ledger:
    """Numbered entries, newest last. Beyond `limit` entries the oldest tenth is let go."""

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        self.entries: list[Entry] = []
        self.last_seq = 0

    def add(self, kind: str, time_ms: int, account: str, **facts: object) -> Entry:
        """Append an entry; the caller may still complete it while it handles the same event."""
        self.last_seq += 1
        entry: Entry = {
            "seq": self.last_seq, "time_ms": time_ms, "kind": kind, "account": account, **facts
        }  # fmt: skip
        self.entries.append(entry)
        if len(self.entries) > self.limit:
            del self.entries[: max(1, self.limit // 10)]
        return entry

    def trim(self) -> None:
        """Keep no more than the limit of what was restored."""
        del self.entries[: max(0, len(self.entries) - self.limit)]

    def restore(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.last_seq = entry["seq"]

    def clear(self) -> None:
        """Forget the entries; numbering goes on, so that a reader's `since` stays valid."""
        self.entries.clear()

    def after(self, seq: int) -> list[Entry]:
        """The entries numbered above `seq`."""
        return self.entries[max(0, seq + 1 - self.first_seq) :]

    @property
    def first_seq(self) -> int:
        """The number of the oldest entry kept, or of the next one when there is none."""
        return self.last_seq - len(self.entries) + 1

    def listen(self, change: Change) -> None:
        """Record what a change did to an order."""
        describe = _FACTS.get(change.kind)
        if describe is not None:
            self.add(change.kind, change.time_ms, change.account.api_key, **describe(change))


def _ids(change: Change) -> Entry:
    order = change.order
    assert order is not None
    return {
        "order_id": order.order_id,
        "link_id": order.link_id,
        "category": order.category,
        "symbol": order.symbol,
    }


def _created(change: Change) -> Entry:
    order = change.order
    assert order is not None
    return _ids(change) | {
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "qty": plain(order.qty),
        "price": plain(order.price),
        "reduce_only": order.reduce_only,
        "position_idx": order.position_idx,
    }


def _amended(change: Change) -> Entry:
    order = change.order
    assert order is not None
    return _ids(change) | {"qty": plain(order.qty), "price": plain(order.price)}


def _cancelled(change: Change) -> Entry:
    order = change.order
    assert order is not None
    return _ids(change) | {
        "status": order.status,
        "cancel_type": order.cancel_type,
        "reject_reason": order.reject_reason,
        "cum_qty": plain(order.cum_qty),
    }


def _filled(change: Change) -> Entry:
    order, fill = change.order, change.fill
    assert order is not None
    assert fill is not None
    return _ids(change) | {
        "exec_id": fill.exec_id,
        "side": order.side,
        "qty": plain(fill.qty),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "fee_coin": fill.fee_coin,
        "is_maker": fill.is_maker,
        "pnl": plain(fill.pnl),
        "status": order.status,
        "cum_qty": plain(order.cum_qty),
    }


_FACTS = {
    ORDER_CREATED: _created,
    ORDER_AMENDED: _amended,
    ORDER_CANCELLED: _cancelled,
    CANCEL_TOO_LATE: _cancelled,
    FILL: _filled,
}
