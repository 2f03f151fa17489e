"""The public WebSockets, /v5/public/linear and /v5/public/spot: subscriptions and pings, no keys.

Own rules where the exchange documents none: a request with one bad topic subscribes to nothing, on spot
too; leaving a topic that one does not listen to succeeds; the words for too many characters.
"""

from collections.abc import Callable

from aiohttp import web

from order_manager.paper.exchange import Exchange
from order_manager.paper.instruments import CATEGORIES, SPOT
from order_manager.paper.public_feed import PublicFeed
from order_manager.paper.public_sight import Calls
from order_manager.paper.public_topics import Topic
from order_manager.paper.stream_server import (
    Json,
    OpRefusal,
    StreamServer,
    check_new,
    read_args,
)
from order_manager.paper.streams import Connection

PATH = "/v5/public/"
_MOST_SPOT_ARGS = 10  # of one request
_MOST_CHARACTERS = 21_000  # of all topics of one connection


def add_public_stream_routes(
    app: web.Application, exchange: Exchange, calls: Calls, clock: Callable[[], int]
) -> None:
    """`calls` are the public REST endpoints, which the streams tell the same as."""
    server = PublicStreamServer(exchange, calls, clock)
    app.router.add_get(f"{PATH}{{category:{'|'.join(CATEGORIES)}}}", server.handle, allow_head=False)
    app.on_shutdown.append(server.shut_down)


class PublicStreamServer(StreamServer):
    """Serves the public WebSocket clients of one exchange. A connection's account is its category."""

    def __init__(self, exchange: Exchange, calls: Calls, clock: Callable[[], int]) -> None:
        super().__init__(exchange, exchange.public_streams, clock)
        self._feed = PublicFeed(exchange, exchange.public_streams, calls, clock)
        self._joined: dict[str, Topic] = {}  # by the op that is being answered

    def _greet(self, connection: Connection, request: web.Request) -> int:
        connection.account = request.match_info["category"]
        return 0

    def _reply(self, connection: Connection, text: str) -> None:
        """The answer first, then the snapshots of what was subscribed to."""
        self._joined = {}
        super()._reply(connection, text)
        for name, topic in self._joined.items():
            for message in self._feed.join(connection.account, name, topic):
                connection.topics[name] += 1
                connection.send(message)

    def answer(self, connection: Connection, text: str) -> Json:
        answer = super().answer(connection, text)
        return answer if connection.account == SPOT else {"req_id": "", **answer}

    def _pong(self, connection: Connection, echo: Json) -> Json:
        return {"success": True, "ret_msg": "pong", "conn_id": connection.conn_id, **echo, "op": "ping"}

    def _obey(self, connection: Connection, op: object, args: object) -> Json:
        if op == "subscribe":
            self._subscribe(connection, read_args(args))
        elif op == "unsubscribe":
            topics = [topic for topic in read_args(args) if topic in connection.topics]
            self._streams.unsubscribe(connection, topics)
        else:
            raise OpRefusal("error:invalid op")
        return {"ret_msg": op} if connection.account == SPOT else {}

    def _subscribe(self, connection: Connection, names: list[str]) -> None:
        category = connection.account
        if category == SPOT and len(names) > _MOST_SPOT_ARGS:
            raise OpRefusal(f"args size >{_MOST_SPOT_ARGS}")
        if sum(map(len, [*connection.topics, *names])) > _MOST_CHARACTERS:
            raise OpRefusal(f"error:args over {_MOST_CHARACTERS} characters")
        check_new(connection, names)
        found = {name: self._find(category, name) for name in names}
        self._streams.subscribe(connection, names)
        self._joined = found

    def _find(self, category: str, name: str) -> Topic:
        try:
            topic = self._feed.find(category, name)
        except KeyError:
            if category == SPOT:
                raise OpRefusal(f"Invalid symbol :[{name}]") from None
            topic = None
        if topic is None:
            raise OpRefusal(f"error:handler not found,topic:{name}")
        return topic
