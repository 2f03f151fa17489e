"""A pretend exchange on a socket: it keeps what it was sent, and answers, or fails, as it is told."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from order_manager.bybit.client import BybitClient
from order_manager.bybit.transport import Transport
from order_manager.domain.orders import Category

KEY, SECRET = "TESTKEY0000000001", "test-secret-0123456789abcdefABCDEF"

Answer = Callable[[socket.socket], bool]  # True: the connection stays open


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def http(
    body: bytes | str, *, status: int = 200, headers: dict[str, str] | None = None, keep: bool = True
) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]

    def answer(connection: socket.socket) -> bool:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return keep

    return answer


def ok(result: Any = None, *, time_ms: int = 1_700_000_000_000, **headers: str) -> Answer:
    return ret_code(0, result=result, time_ms=time_ms, **headers)


def ret_code(
    code: int, *, result: Any = None, message: str = "", time_ms: int = 1_700_000_000_000, **headers: str
) -> Answer:
    envelope = {"retCode": code, "retMsg": message, "result": result or {}, "time": time_ms}
    return http(
        json.dumps(envelope), headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def rows(*found: Any, cursor: str = "") -> Answer:
    return ok({"list": list(found), "nextPageCursor": cursor})


def reset(connection: socket.socket) -> bool:
    """After reading the request: the connection dies with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang_up(connection: socket.socket) -> bool:
    """After reading the request: closed without a word, as a keep-alive that ran out would be."""
    return False


def truncated(connection: socket.socket) -> bool:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"retCode":0,"result":{"orderId":"1"')
    return False


def stall(connection: socket.socket) -> bool:
    """Never answers; the client's patience ends first."""
    connection.settimeout(5)
    connection.recv(1)
    return False


def stall_in_the_body(connection: socket.socket) -> bool:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"retCode":0')
    return stall(connection)


def trickle(connection: socket.socket) -> bool:
    """Answers well, byte by byte, for much longer than the client's patience."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"retCode":0,"result":{}')
    for _ in range(475):
        connection.sendall(b" ")
        time.sleep(0.01)
    connection.sendall(b"}")
    return False


@dataclass
class PretendBybit:
    """Plays `script`, one answer per request, then refuses to know more."""

    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> "PretendBybit":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() before close(): a thread blocked in accept() would keep the port open.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def play(self, *answers: Answer) -> None:
        self.script.extend(answers)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.requests.append(request)
                    answer = self.script.pop(0) if self.script else http("nothing scripted", status=404)
                    if not answer(connection):
                        return
        except (OSError, ValueError):  # the peer went away, or did not speak HTTP
            return


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, target, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        headers[name] = value
    return Request(method, target, headers, stream.read(int(headers.get("Content-Length", 0))))


@dataclass
class Pauses:
    """Stands in for time.sleep: keeps the waits, and may raise."""

    waits: list[float] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.error is not None:
            raise self.error


def a_transport(url: str, **options: Any) -> Transport:
    defaults: dict[str, Any] = {"api_key": KEY, "api_secret": SECRET, "read_timeout_s": 0.3}
    return Transport(url, **(defaults | options))


def a_client(url: str, **options: Any) -> BybitClient:
    transport = options.pop("transport", None) or a_transport(url)
    defaults: dict[str, Any] = {"category": Category.LINEAR, "pause": Pauses()}
    return BybitClient(transport, **(defaults | options))
