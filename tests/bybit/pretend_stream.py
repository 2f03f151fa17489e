"""A private stream to connect to: says what a test wants, when it wants."""

import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


class PretendStream:
    def __init__(self) -> None:
        self.url = ""
        self.seen: list[dict[str, Any]] = []  # frames from the client
        self.connections: list[ServerConnection] = []
        self.on_subscribe: list[str] = []  # sent before the answer to subscribe
        self.answers: dict[str, Answer] = {"auth": self.auth, "subscribe": ok, "ping": pong}

    def auth(self, frame: dict[str, Any]) -> dict[str, Any]:
        key, expires, signature = frame["args"]
        expected = hmac.new(SECRET.encode(), f"GET/realtime{expires}".encode(), "sha256").hexdigest()
        is_good = key == KEY and signature == expected and expires > time.time() * 1000
        return {"op": "auth", "success": is_good, "ret_msg": "" if is_good else f"bad key {key}"}

    def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with suppress(ConnectionClosed, OSError):
            for raw in connection:
                assert isinstance(raw, str), "the exchange wants text"
                frame = json.loads(raw)
                self.seen.append(frame)
                if frame["op"] == "subscribe":
                    for early in self.on_subscribe:
                        connection.send(early)
                answer = self.answers[frame["op"]](frame)
                if answer is not None:
                    connection.send(json.dumps(answer))

    def ops(self) -> list[str]:
        return [frame["op"] for frame in self.seen]

    def send(self, *frames: str | bytes | dict[str, Any]) -> None:
        """To the newest connection."""
        for frame in frames:
            self.connections[-1].send(json.dumps(frame) if isinstance(frame, dict) else frame)

    def cut(self) -> None:
        """The connection ends without a word."""
        with suppress(OSError):
            self.connections[-1].socket.shutdown(socket.SHUT_RDWR)


def ok(frame: dict[str, Any]) -> dict[str, Any]:
    return {"op": frame["op"], "success": True, "ret_msg": "", "conn_id": "c-1"}


def pong(frame: dict[str, Any]) -> dict[str, Any]:
    return {"req_id": frame["req_id"], "op": "pong", "args": ["1672916271846"], "conn_id": "c-1"}


def nothing(frame: dict[str, Any]) -> None:
    """No answer."""


def data(topic: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "topic": topic, "creationTime": 1672364262474, "data": list(rows)}


@contextmanager
def a_stream() -> Iterator[PretendStream]:
    pretend = PretendStream()
    with serve(pretend.handle, "127.0.0.1", 0, ping_interval=None, close_timeout=0.2) as server:
        pretend.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v5/private"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield pretend
        finally:
            server.shutdown()
            thread.join(5)
