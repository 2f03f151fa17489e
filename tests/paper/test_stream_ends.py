"""How a private stream ends: idle, too slow, or with the exchange itself."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from order_manager.paper import PaperSettings
from order_manager.paper.exchange import Exchange
from order_manager.paper.order_entry import read_create
from order_manager.paper.server import create_app, now_ms
from order_manager.paper.stream_server import read_active_time

from .conftest import running_exchange
from .stream_client import StreamClient, auth_args

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit"}


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Exchange, str]]:
    """An exchange in this process, for settings that the command line does not have; and its address."""
    keys = (("KEY", "SECRET"),)
    exchange = Exchange(PaperSettings(keys=keys, price_interval_ms=0, **settings), now_ms())
    runner = web.AppRunner(create_app(exchange), shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield exchange, f"http://127.0.0.1:{runner.addresses[0][1]}/v5/private"
    finally:
        await runner.cleanup()


async def logged_in(
    session: aiohttp.ClientSession, url: str, *topics: str
) -> aiohttp.ClientWebSocketResponse:
    stream = await session.ws_connect(url)
    await stream.send_json({"op": "auth", "args": auth_args()})
    await stream.send_json({"op": "subscribe", "args": list(topics)})
    assert [(await stream.receive_json())["success"] for _ in range(2)] == [True, True]
    return stream


def create_and_cancel(exchange: Exchange) -> None:
    account = exchange.by_key["KEY"]
    wish = read_create({**ORDER, "qty": "0.001", "price": "40000.00"}, exchange.engine.markets)
    order = exchange.engine.create(account, wish, now_ms())
    exchange.commit()
    exchange.engine.cancel(order, now_ms())
    exchange.commit()


async def is_ended(stream: aiohttp.ClientWebSocketResponse, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            while (await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
    except TimeoutError:
        return False
    return True


def test_an_idle_stream_is_cut_and_a_used_one_is_not() -> None:
    async def play() -> None:
        async with serving(stream_idle_ms=500) as (exchange, url), aiohttp.ClientSession() as session:
            framing = await session.ws_connect(url)
            pinging = await session.ws_connect(url)
            listening = await logged_in(session, url, "order")
            patient = await session.ws_connect(url + "?max_active_time=30s")
            for _ in range(4):
                await asyncio.sleep(0.15)
                await pinging.send_json({"op": "ping"})
                create_and_cancel(exchange)
                if not framing.closed:
                    await framing.ping()  # a control frame does not count
            assert await is_ended(framing, 0.01)
            assert not await is_ended(pinging, 0.01)
            assert not await is_ended(listening, 0.01)
            assert await is_ended(pinging, 2)
            assert await is_ended(listening, 2)
            assert not await is_ended(patient, 0.01)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("30s", 30_000),
        ("600s", 600_000),
        ("1m", 60_000),
        ("10m", 600_000),
        ("", 0),
        ("29s", 0),
        ("601s", 0),
        ("11m", 0),
        ("45", 0),
        ("1h", 0),
    ],
)
def test_max_active_time_is_30_seconds_to_10_minutes(text: str, ms: int) -> None:
    assert read_active_time(text) == ms


def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up() -> None:
    async def play() -> None:
        limit = 100
        async with (
            serving(stream_queue_limit=limit, balance=Decimal(1_000_000)) as (exchange, url),
            aiohttp.ClientSession() as session,
        ):
            mute = await logged_in(session, url, "order", "position", "wallet")  # never reads again
            reading = await logged_in(session, url, "execution")
            (slow,) = (c for c in exchange.streams.connections if "order" in c.topics)
            for _ in range(20_000):
                create_and_cancel(exchange)
                await asyncio.sleep(0)
                assert len(slow.queue) <= limit
                if not slow.is_open:
                    break
            assert not slow.is_open
            await reading.send_json({"op": "ping"})
            assert (await reading.receive_json())["op"] == "pong"
            assert len(exchange.streams.connections) == 1
            await mute.close()

    asyncio.run(play())


def test_open_streams_do_not_delay_a_stop() -> None:
    with running_exchange("--price-interval-ms", "0") as (url, process), ExitStack() as stack:
        streams = [stack.enter_context(StreamClient(url)).login("order") for _ in range(3)]
        host, port = url.removeprefix("http://").split(":")
        mute = stack.enter_context(socket.create_connection((host, int(port))))
        mute.sendall(
            b"GET /v5/private HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert mute.recv(12) == b"HTTP/1.1 101"  # and it will not answer the close frame
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - started < 2
        for stream in streams:
            stream.wait_closed()
            assert stream.close_code == 1001


def test_without_subscribers_nothing_is_built() -> None:
    async def play() -> None:
        async with serving() as (exchange, url), aiohttp.ClientSession() as session:
            stream = await logged_in(session, url, "order")
            await stream.send_json({"op": "unsubscribe", "args": ["order"]})
            assert (await stream.receive_json())["success"] is True
            assert exchange.streams.wanted == {}
            await stream.close()

    asyncio.run(play())
