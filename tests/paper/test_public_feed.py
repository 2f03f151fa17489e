"""The public feed alone: it looks at the market only while somebody listens."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from order_manager.paper.exchange import Exchange, PaperSettings
from order_manager.paper.market_data import PUBLIC
from order_manager.paper.public_feed import PublicFeed
from order_manager.paper.streams import Connection

NAMES = ["orderbook.50.BTCUSDT", "tickers.BTCUSDT", "publicTrade.BTCUSDT"]


def clock() -> int:
    return time.time_ns() // 1_000_000


class Rig:
    """An exchange with frozen prices, a feed, and how often the feed asked for what."""

    def __init__(self) -> None:
        self.looks: Counter[str] = Counter()
        self.exchange = Exchange(PaperSettings(price_interval_ms=0, stream_queue_limit=5), clock())
        calls = {path: partial(self._look, path) for path in PUBLIC}
        self.feed = PublicFeed(self.exchange, self.exchange.public_streams, calls, clock)

    def _look(self, path: str, exchange: Exchange, params: Mapping[str, Any], now_ms: int) -> Any:
        self.looks[path] += 1
        return PUBLIC[path](exchange, params, now_ms)

    def listener(self) -> Connection:
        streams = self.exchange.public_streams
        connection = streams.connect(lambda: None, "", clock())
        connection.account = "linear"
        for name in NAMES:
            topic = self.feed.find("linear", name)
            assert topic is not None
            streams.subscribe(connection, [name])
            for text in self.feed.join("linear", name, topic):
                connection.send(text)
        return connection

    async def tick(self) -> None:
        self.exchange.engine.advance(self.exchange.engine.tick + 1, clock())
        self.exchange.commit()
        await asyncio.sleep(0.05)


def test_nothing_is_looked_at_without_listeners() -> None:
    async def scenario() -> None:
        rig = Rig()
        await rig.tick()
        assert not rig.looks
        connection = rig.listener()
        await rig.tick()
        assert set(rig.looks.values()) == {2}
        rig.exchange.public_streams.leave(connection)
        for _ in range(3):
            await rig.tick()
        assert set(rig.looks.values()) == {2}

    asyncio.run(scenario())


def test_listeners_of_a_topic_share_the_work_and_the_text() -> None:
    async def scenario() -> None:
        rig = Rig()
        one, two = rig.listener(), rig.listener()
        seen = Counter(rig.looks)
        await rig.tick()
        assert {path: rig.looks[path] - seen[path] for path in seen} == dict.fromkeys(seen, 1)
        news = list(one.queue)[2:], list(two.queue)[2:]
        assert news[0] == news[1]
        assert len(news[0]) == 3

    asyncio.run(scenario())


def test_a_listener_too_far_behind_is_cut_off() -> None:
    async def scenario() -> None:
        rig = Rig()
        slow = rig.listener()
        await rig.tick()
        assert slow.is_open
        await rig.tick()
        assert not slow.is_open
        assert not slow.queue

    asyncio.run(scenario())
