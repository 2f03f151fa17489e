"""The private WebSocket, /v5/private: connecting, authentication, subscriptions, pings, idle clients.

`public_server` builds the public ones on it. Own rules where the exchange documents none: a request with
one bad topic subscribes to nothing; a failed authentication leaves the connection open for another try;
only text frames keep a connection alive.
"""

import asyncio
import hmac
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from order_manager.metrics import PAPER_FAULTS
from order_manager.paper.exchange import Exchange
from order_manager.paper.numbers import parse_integer
from order_manager.paper.streams import TOPICS, Connection, Streams

PATH = "/v5/private"
_ACTIVE_TIME = re.compile(r"([0-9]{1,3})(s|m)")
_CLOSE_WAIT_S = 0.5
# As over a network. Clients note a subscription just after they have sent it, and trip over an answer that
# comes sooner.
_ANSWER_AFTER_S = 0.01
_MOST_FRAME_BYTES = 64 * 1024

_dumps = json.JSONEncoder(separators=(",", ":")).encode
Json = dict[str, Any]


def add_stream_routes(app: web.Application, exchange: Exchange, clock: Callable[[], int]) -> None:
    server = StreamServer(exchange, exchange.streams, clock)
    app.router.add_get(PATH, server.handle, allow_head=False)
    app.on_shutdown.append(server.shut_down)


class OpRefusal(Exception):
    """An op that is answered with success false; the text is its ret_msg."""


class StreamServer:
    """Serves WebSocket clients of one exchange."""

    def __init__(self, exchange: Exchange, streams: Streams, clock: Callable[[], int]) -> None:
        self._exchange = exchange
        self._streams = streams
        self._clock = clock
        self._sockets: dict[Connection, web.WebSocketResponse] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One client from its handshake to its end."""
        if self._streams.faults.refusal.takes(self._clock()):
            self._streams.refused += 1
            PAPER_FAULTS.labels("stream", "refuse").inc()
            return web.Response(status=503, text="no connections now")
        # Control frames must not keep a connection alive, so they are answered in `_read`.
        socket = web.WebSocketResponse(
            timeout=_CLOSE_WAIT_S, autoping=False, compress=False, max_msg_size=_MOST_FRAME_BYTES
        )
        await socket.prepare(request)
        transport = request.transport

        def hang_up() -> None:
            if transport is not None:
                transport.abort()

        connection = self._streams.connect(hang_up, request.remote or "", self._clock())
        self._sockets[connection] = socket
        idle_ms = self._greet(connection, request) or self._exchange.settings.stream_idle_ms
        writer = asyncio.create_task(_write(connection, socket))
        try:
            await self._read(connection, socket, idle_ms)
        finally:
            del self._sockets[connection]
            self._streams.leave(connection)
            writer.cancel()
        return socket

    async def shut_down(self, app: web.Application) -> None:
        """Tell every client that we are going, without waiting long for any."""
        reason = b"the exchange is stopping"
        open_now = list(self._sockets.items())
        await asyncio.gather(*(_part(c, s, WSCloseCode.GOING_AWAY, reason) for c, s in open_now))

    def _greet(self, connection: Connection, request: web.Request) -> int:
        """Prepare a new connection; how long it may be idle in ms, 0 for the usual time."""
        return read_active_time(request.query.get("max_active_time", ""))

    async def _read(self, connection: Connection, socket: web.WebSocketResponse, idle_ms: int) -> None:
        """Answer the client's ops until it goes, or is idle: no text from it and none to it."""
        while connection.is_open:
            patience_s = connection.active_s + idle_ms / 1000 - time.monotonic()
            if patience_s <= 0:
                await _part(connection, socket, WSCloseCode.POLICY_VIOLATION, b"idle")
                return
            with suppress(TimeoutError, ConnectionError):
                message = await socket.receive(timeout=patience_s)
                if message.type is WSMsgType.TEXT:
                    connection.active_s = time.monotonic()
                    if "subscribe" in message.data:
                        await asyncio.sleep(_ANSWER_AFTER_S)
                    self._reply(connection, message.data)
                elif message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is not WSMsgType.PONG:
                    return

    def _reply(self, connection: Connection, text: str) -> None:
        connection.send(_dumps(self.answer(connection, text)))

    def answer(self, connection: Connection, text: str) -> Json:
        """What the exchange says to one frame."""
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        op = frame.get("op") if isinstance(frame, dict) else None
        echo = {"req_id": frame["req_id"]} if isinstance(frame, dict) and frame.get("req_id") else {}
        if op == "ping":
            return self._pong(connection, echo)
        answer: Json = {"success": True, "ret_msg": "", **echo, "op": op, "conn_id": connection.conn_id}
        try:
            if not isinstance(frame, dict):
                raise OpRefusal("error:invalid op")
            answer |= self._obey(connection, op, frame.get("args"))
        except OpRefusal as refused:
            answer |= {"success": False, "ret_msg": str(refused)}
        return answer

    def _pong(self, connection: Connection, echo: Json) -> Json:
        return {**echo, "op": "pong", "args": [str(self._clock())], "conn_id": connection.conn_id}

    def _obey(self, connection: Connection, op: object, args: object) -> Json:
        """Do what an op asks; what its answer says beyond the usual."""
        if op == "auth":
            self._authenticate(connection, args)
        elif op == "subscribe":
            self._streams.subscribe(connection, _new_topics(connection, args))
        elif op == "unsubscribe":
            self._streams.unsubscribe(connection, _known_topics(connection, args))
        else:
            raise OpRefusal("error:invalid op")
        return {}

    def _authenticate(self, connection: Connection, args: object) -> None:
        """[API key, expires, signature]; `expires` must lie ahead, as a number or as its text."""
        if connection.account:
            raise OpRefusal("Repeat auth")
        if not (isinstance(args, list) and len(args) == 3 and type(args[1]) in (int, str)):
            raise OpRefusal("Params Error")
        api_key, expires, signature = args[0], str(args[1]), args[2]
        expires_ms = parse_integer(expires)
        if not (isinstance(api_key, str) and isinstance(signature, str) and expires_ms is not None):
            raise OpRefusal("Params Error")
        account = self._exchange.by_key.get(api_key)
        if account is None:
            raise OpRefusal("API key is invalid.")
        if expires_ms <= self._clock():
            raise OpRefusal("Params Error")  # the exchange does not say that it has expired
        expected = hmac.digest(account.api_secret.encode(), f"GET/realtime{expires}".encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise OpRefusal("error sign!")
        connection.account = api_key


def read_active_time(text: str) -> int:
    """`max_active_time` ("30s" to "600s", or minutes, "1m" to "10m") in ms; 0 when it says nothing."""
    found = _ACTIVE_TIME.fullmatch(text)
    if found is None:
        return 0
    seconds = int(found[1]) * (60 if found[2] == "m" else 1)
    return seconds * 1000 if 30 <= seconds <= 600 else 0


def _topics(connection: Connection, args: object) -> list[str]:
    if not connection.account:
        raise OpRefusal("Request not authorized")
    topics = read_args(args)
    for topic in topics:
        if topic not in TOPICS:
            raise OpRefusal(f"error:handler not found,topic:{topic}")
    return topics


def _new_topics(connection: Connection, args: object) -> list[str]:
    topics = _topics(connection, args)
    check_new(connection, topics)
    if len({"." in topic for topic in topics if topic != "wallet"}) > 1:
        raise OpRefusal("error:all-in-one and categorised topics cannot be in one subscription request")
    return topics


def _known_topics(connection: Connection, args: object) -> list[str]:
    topics = _topics(connection, args)
    for topic in topics:
        if topic not in connection.topics:
            raise OpRefusal(f"error:not subscribed,topic:{topic}")
    return topics


def read_args(args: object) -> list[str]:
    """The topics that a request names, at least one."""
    if not (isinstance(args, list) and args and all(isinstance(topic, str) for topic in args)):
        raise OpRefusal("Params Error")
    return args


def check_new(connection: Connection, topics: list[str]) -> None:
    for topic in topics:
        if topic in connection.topics or topics.count(topic) > 1:
            raise OpRefusal(f"error:already subscribed,topic:{topic}")


async def _write(connection: Connection, socket: web.WebSocketResponse) -> None:
    """Send what is queued, at the client's own pace."""
    with suppress(ConnectionError):
        while True:
            await socket.send_str(await connection.next_text())


async def _part(
    connection: Connection, socket: web.WebSocketResponse, code: WSCloseCode, reason: bytes
) -> None:
    """Close politely; a client that does not take part is hung up on."""
    try:
        async with asyncio.timeout(_CLOSE_WAIT_S):
            await socket.close(code=code, message=reason)
    except (TimeoutError, ConnectionError):
        connection.close()
