"""From what the market does to what public topics tell. Idle while nobody listens.

What happened is told a little later, all at once, as the exchange bundles its public messages.
"""

import asyncio
import json
from collections.abc import Callable

from order_manager.paper.exchange import Exchange
from order_manager.paper.floor import FILL, Change
from order_manager.paper.public_sight import Calls, Sight
from order_manager.paper.public_topics import Topic, open_topic
from order_manager.paper.public_trades import Trades
from order_manager.paper.streams import Streams

_TELL_AFTER_S = 0.02
_BEAT_S = 1.0  # for what changes, or is repeated, with time alone

_dumps = json.JSONEncoder(separators=(",", ":")).encode
Key = tuple[str, str]  # category, and symbol or topic


class PublicFeed:
    """Follows an exchange. `streams` knows the listeners, by category in place of an account."""

    def __init__(self, exchange: Exchange, streams: Streams, calls: Calls, clock: Callable[[], int]) -> None:
        self._exchange = exchange
        self._calls = calls
        self._streams = streams
        self._clock = clock
        self._topics: dict[Key, Topic] = {}
        self._engine = exchange.engine
        self._told = (-1, -1)  # tick and price version
        self._touched: set[Key] = set()  # markets
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        exchange.engine.listeners.append(self.listen)
        exchange.followers.append(self.follow)

    def find(self, category: str, name: str) -> Topic | None:
        """The topic that listeners share, or a new one that nobody has; raises as `open_topic` does."""
        self._forget_unheard()
        topic = self._topics.get((category, name))
        first_update = self._exchange.engine.tick + 1
        return topic or open_topic(self._exchange, category, name, first_update=first_update)

    def join(self, category: str, name: str, topic: Topic) -> list[str]:
        """Start or go on with a topic; what a client that joins hears first."""
        if not self._topics:
            self._engine, self._told = self._exchange.engine, self._prices()
        if self._beat is None:
            self._beat = asyncio.get_running_loop().call_later(_BEAT_S, self._on_beat)
        self._topics[category, name] = topic
        return [_text(name, message) for message in topic.first(self._look())]

    def listen(self, change: Change) -> None:
        """Note what happens in a market that somebody listens to."""
        order = change.order
        if not self._topics or order is None:
            return
        self._touched.add((order.category, order.symbol))
        if change.kind == FILL and change.fill is not None:
            trades = self._topics.get((order.category, f"publicTrade.{order.symbol}"))
            if isinstance(trades, Trades):
                digits = self._engine.market_of(order).instrument.price_digits
                trades.add(change.fill, order, digits)

    def follow(self) -> None:
        """Called after each request and tick: when the market has moved, tell it soon."""
        has_moved = self._touched or self._told != self._prices() or self._engine is not self._exchange.engine
        if self._topics and has_moved and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TELL_AFTER_S, self._on_timer)

    def _prices(self) -> tuple[int, int]:
        return self._exchange.engine.tick, self._exchange.engine.price_version

    def _look(self) -> Sight:
        return Sight(self._exchange, self._calls, self._clock())

    def _on_timer(self) -> None:
        self._timer = None
        self._tell(everything=False)

    def _on_beat(self) -> None:
        self._beat = None
        self._tell(everything=True)
        if self._topics:
            self._beat = asyncio.get_running_loop().call_later(_BEAT_S, self._on_beat)

    def _tell(self, *, everything: bool) -> None:
        self._forget_unheard()
        if self._engine is not self._exchange.engine:
            self._restart()
        everything = everything or self._told != self._prices()
        touched, self._touched, self._told = self._touched, set(), self._prices()
        sight = self._look()
        for (category, name), topic in self._topics.items():
            if everything or (category, name.rpartition(".")[2]) in touched:
                for message in topic.news(sight):
                    self._streams.tell(category, name, _text(name, message))

    def _forget_unheard(self) -> None:
        for key in [key for key in self._topics if not self._streams.has_listeners(*key)]:
            del self._topics[key]

    def _restart(self) -> None:
        """Begin anew with another engine. Whoever listens to a symbol that has gone hears no more."""
        self._engine, self._told = self._exchange.engine, (-1, -1)
        names, self._topics = list(self._topics), {}
        for category, name in names:
            try:
                topic = open_topic(self._exchange, category, name, first_update=1)
            except KeyError:
                continue
            if topic is not None:
                self._topics[category, name] = topic


def _text(name: str, message: dict[str, object]) -> str:
    return _dumps({"topic": name, **message})
