"""Does what we depend on answer? Asked once, briefly, with the reason where not."""

import requests
from kombu import Connection
from redis import Redis
from sqlalchemy import Engine

from order_manager.bybit.hosts import rest_url
from order_manager.database import queries
from order_manager.doctor.findings import Finding, Look, first_line, ok, problem, warning
from order_manager.errors import PositionManagerAway
from order_manager.settings import Settings
from order_manager.wiring import build_position_manager

TIMEOUT_S = 3.0


def looks_at_connections(settings: Settings, engine: Engine) -> list[tuple[str, Look]]:
    """Every dependency that is configured, by the names of GET /ready."""
    looks: list[tuple[str, Look]] = [("database", lambda: database(settings, engine))]
    if settings.broker_is_rabbitmq:
        looks.append(("rabbitmq", lambda: rabbitmq(settings)))
    looks += [("redis", lambda: redis(settings)), ("bybit_api", lambda: exchange(settings))]
    if settings.ws_gateway_host is not None:
        looks.append(("ws_gateway", lambda: gateway(settings)))
    if settings.position_manager_host is not None:
        looks.append(("position_manager", lambda: position_manager(settings)))
    return looks


def database(settings: Settings, engine: Engine) -> list[Finding]:
    where = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}"
    try:
        queries.ping(engine)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, it did not answer
        why = getattr(error, "orig", None) or error
        mend = "start PostgreSQL, or correct POSTGRES_HOST, _PORT, _DB, _USER, _PASSWORD"
        return [problem("database", f"{where} does not answer: {first_line(why)}", mend)]
    return [ok("database", where)]


def rabbitmq(settings: Settings) -> list[Finding]:
    where = f"{settings.rabbitmq_host}:{settings.rabbitmq_port}{settings.rabbitmq_vhost}"
    limits = {"read_timeout": TIMEOUT_S, "write_timeout": TIMEOUT_S}
    connection = Connection(
        settings.broker_url, connect_timeout=TIMEOUT_S, heartbeat=0, transport_options=limits
    )
    try:
        transport = connection.transport
        transport.close_connection(transport.establish_connection())
    except Exception as error:  # noqa: BLE001 - likewise
        mend = "start RabbitMQ, or correct RABBITMQ_HOST, _PORT, _USER, _PASSWORD, _VHOST"
        return [problem("rabbitmq", f"{where} does not answer: {first_line(error)}", mend)]
    return [ok("rabbitmq", where)]


def redis(settings: Settings) -> list[Finding]:
    if settings.redis_host is None:
        return [
            problem("redis", "REDIS_HOST is not set", "set it, or start everything with order-manager up")
        ]
    where = f"{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
    try:
        with Redis.from_url(
            settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None
        ) as client:
            client.ping()
    except Exception as error:  # noqa: BLE001 - likewise
        mend = "start Redis, or correct REDIS_HOST, _PORT, _PASSWORD, _DB"
        return [problem("redis", f"{where} does not answer: {first_line(error)}", mend)]
    return [ok("redis", where + ("" if settings.broker_is_rabbitmq else ", the broker too"))]


def exchange(settings: Settings) -> list[Finding]:
    url = rest_url(settings.bybit_environment, paper_url=settings.bybit_paper_url)
    try:
        answer = _session().get(f"{url}/v5/market/time", timeout=TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
        if answer.json()["retCode"] != 0:
            raise ValueError(f"retCode {answer.json()['retCode']}: {answer.json().get('retMsg')}")
    except Exception as error:  # noqa: BLE001 - likewise
        mend = "start the paper exchange, or correct BYBIT_PAPER_URL"
        if settings.bybit_environment != "paper":
            mend = "look at the network, and at Bybit's status page; BYBIT_ENVIRONMENT says which exchange"
        return [problem("bybit_api", f"{url} does not answer: {first_line(error)}", mend)]
    return [ok("bybit_api", f"{settings.bybit_environment}, {url}")]


def gateway(settings: Settings) -> list[Finding]:
    url = f"http://{settings.ws_gateway_host}:{settings.ws_gateway_port}/health"
    session = _session()
    session.headers["X-API-Key"] = settings.ws_gateway_api_key.get_secret_value()
    try:
        answer = session.get(url, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code != requests.codes.not_found:  # it answers, it just has no such page
            answer.raise_for_status()
    except Exception as error:  # noqa: BLE001 - likewise
        mend = "bring it back (WS_GATEWAY_HOST, _PORT), or run order-manager stream meanwhile"
        return [warning("ws_gateway", f"{url} does not answer: {first_line(error)}", mend)]
    return [ok("ws_gateway", url)]


def position_manager(settings: Settings) -> list[Finding]:
    manager = build_position_manager(settings)
    where = f"{settings.position_manager_host}:{settings.position_manager_port}"
    assert manager is not None
    try:
        manager.total_exposure()
    except PositionManagerAway as error:
        mend = "bring it back (POSITION_MANAGER_HOST, _PORT, _API_KEY)"
        if settings.position_manager_fallback == "own":
            return [warning("position_manager", f"{where}: {error}; our own numbers count meanwhile", mend)]
        return [problem("position_manager", f"{where}: {error}; only what reduces is traded", mend)]
    return [ok("position_manager", where)]


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # like the exchange client: no proxy comes between
    return session
