"""A plain client of the streams, synchronous for the tests: its own thread keeps the socket."""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]


def auth_args(key: str = "KEY", secret: str = "SECRET", *, ahead_ms: int = 5000) -> list[Any]:
    expires = time.time_ns() // 1_000_000 + ahead_ms
    sign = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    return [key, expires, sign]


class StreamClient:
    """One connection. `messages` holds every frame so far, in the order in which they came."""

    def __init__(self, url: str, query: str = "", path: str = "/v5/private") -> None:
        self.messages: list[Json] = []
        self.is_closed = False
        self.close_code: int | None = None
        self._url = url.replace("http", "ws", 1) + path + query
        self._changed = threading.Condition()
        self._is_ready = threading.Event()
        self._refused: Exception | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(),), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(5)
        if self._refused is not None:
            self._thread.join(5)
            self._loop.close()
            raise self._refused
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.is_closed:
            asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop)
        self._thread.join(5)
        self._loop.close()

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session:
            try:
                self._socket = await session.ws_connect(self._url)
            except aiohttp.ClientError as error:
                self._refused = error
                return
            finally:
                self._is_ready.set()
            async for frame in self._socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                with self._changed:
                    self.messages.append(json.loads(frame.data))
                    self._changed.notify_all()
            with self._changed:
                self.is_closed, self.close_code = True, self._socket.close_code
                self._changed.notify_all()

    def send(self, **frame: Any) -> None:
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        asyncio.run_coroutine_threadsafe(self._socket.send_str(text), self._loop).result(5)

    def ask(self, **frame: Any) -> Json:
        """Send an op and wait for its answer."""
        before = len(self.answers())
        self.send(**frame)
        self.wait(lambda: len(self.answers()) > before)
        return self.answers()[before]

    def login(self, *topics: str, key: str = "KEY", secret: str = "SECRET") -> Self:
        assert self.ask(op="auth", args=auth_args(key, secret))["success"] is True
        for topic in topics:
            assert self.ask(op="subscribe", args=[topic])["success"] is True
        return self

    def answers(self) -> list[Json]:
        return [message for message in self.messages if "op" in message]

    def told(self, topic: str) -> list[Json]:
        """Data messages of a topic."""
        return [message for message in self.messages if message.get("topic") == topic]

    def rows(self, topic: str) -> list[Json]:
        return [row for message in self.told(topic) for row in message["data"]]

    def wait(self, is_done: Callable[[], bool], timeout: float = 5) -> None:
        with self._changed:
            assert self._changed.wait_for(is_done, timeout), self.messages

    def wait_rows(self, topic: str, count: int) -> list[Json]:
        """The rows of a topic, once there are `count` of them; fails when there are more."""
        self.wait(lambda: len(self.rows(topic)) >= count)
        rows = self.rows(topic)
        assert len(rows) == count, rows
        return rows

    def wait_closed(self, timeout: float = 5) -> None:
        self.wait(lambda: self.is_closed, timeout)

    def settle(self) -> None:
        """Wait until everything sent so far has arrived: a pong comes after it."""
        assert self.ask(op="ping")["op"] in ("pong", "ping")
