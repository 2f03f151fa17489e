"""A Position Manager on localhost that says what a test tells it to, and can fail in many ways."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "position-manager-key"


class PretendPositionManager:
    """`positions` by asset; `exposure` is the total. `status`, `delay_s`, `raw` and `drop` spoil answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.positions: dict[str, dict[str, Any]] = {}
        self.exposure: Any = "0"
        self.status: int | None = None
        self.delay_s = 0.0
        self.raw: bytes | None = None
        self.drop = 0  # so many connections are closed without an answer
        self.asked: list[str] = []
        self.keys: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hold(self, asset: str, size: Any, price: Any = "50000", **more: Any) -> None:
        self.positions[asset] = {"asset": asset, "size": size, "average_entry_price": price, **more}

    def answer(self, path: str) -> tuple[int, Any]:
        if path == "/api/v1/portfolio/exposure":
            return 200, {"total_exposure": self.exposure}
        if path == "/api/v1/positions":
            return 200, {"positions": list(self.positions.values())}
        found = self.positions.get(path.removeprefix("/api/v1/positions/"))
        return (404, {"error": "no such position"}) if found is None else (200, found)


@contextmanager
def pretending(port: int) -> Iterator[PretendPositionManager]:
    pretend = PretendPositionManager(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            pretend.asked.append(self.path)
            pretend.keys.add(self.headers.get("X-API-Key"))
            if pretend.drop:
                pretend.drop -= 1
                self.close_connection = True
                return
            time.sleep(pretend.delay_s)
            status, body = pretend.answer(self.path)
            if pretend.status is not None:
                status, body = pretend.status, {"error": "spoilt"}
            data = pretend.raw if pretend.raw is not None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield pretend
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
