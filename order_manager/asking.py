"""Does what we depend on answer? One short question for each; an ask raises where it does not."""

from collections.abc import Callable

import requests
from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import KombuError
from redis import ConnectionError as RedisConnectionError
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from order_manager.bybit.hosts import rest_url
from order_manager.settings import Settings

Ask = Callable[[], None]  # may be repeated, by one thread at a time


def ask_rabbitmq(settings: Settings, *, timeout_s: float) -> Ask:
    limits = {"read_timeout": timeout_s, "write_timeout": timeout_s}

    def ask() -> None:
        connection = Connection(
            settings.broker_url, connect_timeout=timeout_s, heartbeat=0, transport_options=limits
        )
        transport = connection.transport  # Connection.connect would try again, past the time limit
        transport.close_connection(transport.establish_connection())

    return ask


def ask_redis(settings: Settings, *, timeout_s: float) -> Ask:
    client = Redis.from_url(
        settings.redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # Once more for a connection that a restart left stale, and not past the time limit.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        max_connections=1,
    )

    def ask() -> None:
        client.ping()

    return ask


def messages_waiting(settings: Settings, queue: str, *, timeout_s: float) -> int | None:
    """How many the broker has on it that nobody took yet; None where it does not tell."""
    try:
        if not settings.broker_is_rabbitmq:
            limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
            with Redis.from_url(settings.redis_url, **limits, retry=None) as client:
                return int(client.llen(queue))
        limits = {"read_timeout": timeout_s, "write_timeout": timeout_s, "max_retries": 1}
        with Connection(
            settings.broker_url, connect_timeout=timeout_s, heartbeat=0, transport_options=limits
        ) as connection:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except (RedisError, KombuError, OSError, AMQPError):
        return None


def exchange_url(settings: Settings) -> str:
    return rest_url(settings.bybit_environment, paper_url=settings.bybit_paper_url)


def ask_exchange(settings: Settings, *, timeout_s: float) -> Ask:
    url = f"{exchange_url(settings)}/v5/market/time"
    session = _session()

    def ask() -> None:
        answer = session.get(url, timeout=timeout_s, allow_redirects=False)
        answer.raise_for_status()
        if answer.json()["retCode"] != 0:
            raise ValueError(f"retCode {answer.json()['retCode']}: {answer.json().get('retMsg')}")

    return ask


def gateway_url(settings: Settings) -> str:
    return f"http://{settings.ws_gateway_host}:{settings.ws_gateway_port}/health"


def ask_gateway(settings: Settings, *, timeout_s: float) -> Ask:
    url = gateway_url(settings)
    session = _session()
    session.headers["X-API-Key"] = settings.ws_gateway_api_key.get_secret_value()

    def ask() -> None:
        answer = session.get(url, timeout=timeout_s, allow_redirects=False)
        if answer.status_code != requests.codes.not_found:  # it answers, it just has no such page
            answer.raise_for_status()

    return ask


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # like the exchange client: no proxy comes between
    return session
