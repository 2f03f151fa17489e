"""Who listens on a stream, to what, and what waits to be sent to whom. No sockets here."""

import asyncio
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from order_manager.metrics import PAPER_FAULTS
from order_manager.paper.feed import Message
from order_manager.paper.instruments import LINEAR, SPOT
from order_manager.paper.stream_faults import StreamFault, StreamFaults

# All-in-one topics and the categories that each can be narrowed to. Inverse and option never have news here.
_CATEGORIES = {
    "order": (SPOT, LINEAR, "inverse", "option"),
    "execution": (SPOT, LINEAR, "inverse", "option"),
    "position": (LINEAR, "inverse", "option"),
    "wallet": (),
}
TOPICS = frozenset(_CATEGORIES) | {f"{kind}.{c}" for kind, names in _CATEGORIES.items() for c in names}


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """One client. `hang_up` ends it at once, from any place."""

    hang_up: Callable[[], None]
    remote: str
    opened_ms: int
    queue_limit: int
    conn_id: str = field(default_factory=lambda: f"{uuid.uuid4().hex[:20]}-p")
    account: str = ""  # API key, once authenticated
    topics: dict[str, int] = field(default_factory=dict)  # topic: messages so far
    sent: int = 0  # frames handed to the socket, answers included
    queue: deque[str] = field(default_factory=deque)
    is_open: bool = True
    active_s: float = field(default_factory=time.monotonic)  # when a text came or went last
    held: dict[StreamFault, str] = field(default_factory=dict)  # by reorder
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, text: str) -> None:
        """Queue a text without waiting; a client that has fallen too far behind is cut off."""
        if not self.is_open:
            return
        if len(self.queue) >= self.queue_limit:
            self.close()
            return
        self.queue.append(text)
        self._news.set()

    async def next_text(self) -> str:
        """The next text to send, waiting for one."""
        while not self.queue:
            self._news.clear()
            await self._news.wait()
        self.sent += 1
        self.active_s = time.monotonic()
        return self.queue.popleft()

    def close(self) -> None:
        """Drop the client; what waits for it is lost."""
        if self.is_open:
            self.stop()
            self.hang_up()

    def stop(self) -> None:
        """Send nothing more."""
        self.is_open = False
        self.queue.clear()
        self.held.clear()


class Streams:
    """All open connections, and the faults on their messages."""

    def __init__(self, *, queue_limit: int) -> None:
        self.queue_limit = queue_limit
        self.faults = StreamFaults()
        self.connections: set[Connection] = set()
        self.opened = 0
        self.refused = 0
        self.wanted: dict[str, set[str]] = {}  # API key: all-in-one names of the subscribed topics
        self._subscribers: dict[tuple[str, str], set[Connection]] = defaultdict(set)  # (API key, topic)
        self._timers: set[asyncio.TimerHandle] = set()

    def connect(self, hang_up: Callable[[], None], remote: str, now_ms: int) -> Connection:
        connection = Connection(
            hang_up=hang_up, remote=remote, opened_ms=now_ms, queue_limit=self.queue_limit
        )
        self.connections.add(connection)
        self.opened += 1
        return connection

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.unsubscribe(connection, list(connection.topics))
        self.connections.discard(connection)
        connection.stop()

    def subscribe(self, connection: Connection, topics: list[str]) -> None:
        for topic in topics:
            connection.topics[topic] = 0
            self._subscribers[connection.account, topic].add(connection)
            self.wanted.setdefault(connection.account, set()).add(topic.partition(".")[0])

    def unsubscribe(self, connection: Connection, topics: list[str]) -> None:
        account = connection.account
        for topic in topics:
            connection.topics.pop(topic, None)
            self._subscribers[account, topic].discard(connection)
            if not self._subscribers[account, topic]:
                del self._subscribers[account, topic]
        kinds = {topic.partition(".")[0] for name, topic in self._subscribers if name == account}
        if kinds:
            self.wanted[account] = kinds
        else:
            self.wanted.pop(account, None)

    def publish(self, message: Message) -> None:
        """Queue a message for all who subscribed to it, under the topic they subscribed to."""
        for topic in (message.kind, f"{message.kind}.{message.category}"):
            if self.has_listeners(message.account, topic):
                self.tell(message.account, topic, message.under(topic))

    def has_listeners(self, account: str, topic: str) -> bool:
        return (account, topic) in self._subscribers

    def tell(self, account: str, topic: str, text: str) -> None:
        """Queue a text for all subscribers of a topic."""
        for connection in list(self._subscribers.get((account, topic), ())):
            connection.topics[topic] += 1
            self._deliver(connection, topic, text)

    def disconnect(self, account: str) -> int:
        """Cut the connections of an account, or all when it is empty; how many."""
        chosen = [c for c in self.connections if account in ("", c.account)]
        for connection in chosen:
            connection.close()
        return len(chosen)

    def clear_faults(self) -> None:
        """Lift all faults. What reordering holds back is sent now, what is delayed when its time comes."""
        self.faults.clear()
        for connection in self.connections:
            self._release(connection, list(connection.held))

    def reset(self) -> None:
        """Lift all faults and forget what they hold; the connections stay."""
        self.faults.clear()
        self.refused = 0
        self.opened = len(self.connections)
        for connection in self.connections:
            connection.held.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _deliver(self, connection: Connection, topic: str, text: str) -> None:
        held = connection.held
        overtaken = [rule for rule in held if rule.covers(topic)] if held else []
        fault = None
        if self.faults.waiting:
            fault = self.faults.take(topic, connection.account, busy=held)
        if fault is not None:
            PAPER_FAULTS.labels("stream", fault.kind).inc()
        if fault is not None and fault.kind == "drop":
            return
        if fault is not None and fault.kind == "delay":
            self._later(fault.delay_ms, partial(connection.send, text))
            return
        if fault is not None and fault.kind == "reorder":
            held[fault] = text
            self._later(fault.delay_ms, partial(self._release, connection, [fault], text))
            return
        connection.send(text)
        if fault is not None:
            connection.send(text)
        self._release(connection, overtaken)

    def _release(self, connection: Connection, rules: list[StreamFault], only: str | None = None) -> None:
        """Send what `rules` hold back; with `only`, nothing but that."""
        for rule in rules:
            text = connection.held.get(rule)
            if text is not None and only in (None, text):
                del connection.held[rule]
                connection.send(text)

    def _later(self, delay_ms: int, action: Callable[[], object]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_ms / 1000, act)
        self._timers.add(timer)
