"""From changes to messages: what the private stream tells each account.

Changes are gathered while one request or price tick is worked and told when it is committed. So fills
concluded together make one execution message and one order row, and positions and wallets are told as they
are in the end. Only what somebody subscribed to is built.
"""

import json
import uuid
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from order_manager.paper.accounts import Account
from order_manager.paper.floor import (
    CANCEL_TOO_LATE,
    FILL,
    ORDER_AMENDED,
    ORDER_CANCELLED,
    ORDER_OPENED,
    WALLET,
    Change,
    Floor,
)
from order_manager.paper.instruments import LINEAR
from order_manager.paper.orders import Order
from order_manager.paper.stream_wire import (
    fill_to_stream,
    leg_to_stream,
    order_to_stream,
    wallet_to_stream,
)
from order_manager.paper.wire import Json

ORDER, EXECUTION, POSITION, WALLET_TOPIC = "order", "execution", "position", "wallet"
_MOST_ROWS = 20  # of one order message

_dumps = json.JSONEncoder(separators=(",", ":")).encode
_category = itemgetter("category")


class Message(NamedTuple):
    """News for one account. `kind` is the all-in-one topic; `category` is empty for the wallet."""

    account: str
    kind: str
    category: str
    id: str
    time_ms: int
    data: str  # JSON

    def under(self, topic: str) -> str:
        """The text that a subscriber of `topic` gets."""
        return f'{{"id":"{self.id}","topic":"{topic}","creationTime":{self.time_ms},"data":{self.data}}}'


class Feed:
    """Listens to the engine. `wanted` says, by API key, which topics have subscribers."""

    def __init__(self, floor: Floor, wanted: dict[str, set[str]], publish: Callable[[Message], None]) -> None:
        self.floor = floor
        self._wanted = wanted
        self._publish = publish
        self._batches: dict[str, _Batch] = {}

    def listen(self, change: Change) -> None:
        account = change.account
        wanted = self._wanted.get(account.api_key)
        if not wanted:
            return
        batch = self._batches.get(account.api_key)
        if batch is None:
            batch = self._batches[account.api_key] = _Batch(account, wanted)
        batch.add(change, self.floor)

    def flush(self) -> None:
        """Publish what happened since the last call. Nearly free when nothing did."""
        if self._batches:
            batches, self._batches = self._batches, {}
            for batch in batches.values():
                for kind, category, rows in batch.messages(self.floor):
                    self._publish(
                        Message(
                            batch.account.api_key,
                            kind,
                            category,
                            str(uuid.uuid4()),
                            batch.time_ms,
                            _dumps(rows),
                        )
                    )

    def restart(self, floor: Floor) -> None:
        """Go on with a new engine; what was not yet told is forgotten."""
        self.floor = floor
        self._batches.clear()


class _Batch:
    """What one request or tick did to one account."""

    def __init__(self, account: Account, wanted: set[str]) -> None:
        self.account = account
        self.time_ms = 0
        self._wanted = wanted
        self._orders: list[Json] = []
        self._too_late: list[Json] = []  # second records of orders that a cancel found filled
        self._filling: dict[str, int] = {}  # order id: where its row is, which a later state replaces
        self._fills: dict[str, list[Json]] = {}  # order id: rows
        self._legs: dict[tuple[str, int], None] = {}
        self._coins: dict[str, None] = {}
        self._has_wallet = False

    def add(self, change: Change, floor: Floor) -> None:
        self.time_ms = max(self.time_ms, change.time_ms)
        kind, order = change.kind, change.order
        if order is not None and kind in (ORDER_OPENED, ORDER_AMENDED, ORDER_CANCELLED, FILL):
            if ORDER in self._wanted:
                self._add_order(kind, order, floor)
            if change.fill is not None and EXECUTION in self._wanted:
                row = fill_to_stream(change.fill, order, floor)
                self._fills.setdefault(order.order_id, []).append(row)
            if order.category == LINEAR:  # told on every order action, even when nothing changed
                self._legs[order.symbol, order.position_idx] = None
            self._has_wallet = True  # reserves have changed
        elif kind == CANCEL_TOO_LATE and order is not None and ORDER in self._wanted:
            refused = {"cancelType": "CancelByUser", "rejectReason": "EC_OrigClOrdIDDoesNotExist"}
            self._too_late.append(order_to_stream(order, floor) | refused)
        elif kind == WALLET:
            self._coins[change.coin] = None
            self._has_wallet = True

    def messages(self, floor: Floor) -> list[tuple[str, str, list[Json]]]:
        """(kind, category, rows) of each message to send."""
        found: list[tuple[str, str, list[Json]]] = []
        for category, group in groupby(self._orders, key=_category):
            rows = list(group)
            starts = range(0, len(rows), _MOST_ROWS)
            found += [(ORDER, category, rows[start : start + _MOST_ROWS]) for start in starts]
        found += [(EXECUTION, rows[0]["category"], rows) for rows in self._fills.values()]
        found += [(ORDER, row["category"], [row]) for row in self._too_late]
        if self._legs and POSITION in self._wanted:
            legs = [leg_to_stream(self.account, symbol, idx, floor) for symbol, idx in self._legs]
            found.append((POSITION, LINEAR, legs))
        if self._has_wallet and WALLET_TOPIC in self._wanted:
            found.append((WALLET_TOPIC, "", [wallet_to_stream(self.account, self._coins, floor)]))
        return found

    def _add_order(self, kind: str, order: Order, floor: Floor) -> None:
        """Tell the order's state now; of fills concluded together, and of a Market order, only the last."""
        is_market = order.order_type == "Market"
        if is_market and kind == ORDER_OPENED:
            return
        row = order_to_stream(order, floor)
        place = self._filling.get(order.order_id)
        if place is not None and (kind == FILL or is_market):
            self._orders[place] = row
            return
        if kind == FILL:
            self._filling[order.order_id] = len(self._orders)
        self._orders.append(row)
