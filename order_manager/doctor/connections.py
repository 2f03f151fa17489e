"""Does what we depend on answer? Asked once, briefly, with the reason where not."""

from collections.abc import Callable

import requests
from sqlalchemy import Engine

from order_manager.asking import (
    Ask,
    ask_exchange,
    ask_gateway,
    ask_rabbitmq,
    ask_redis,
    exchange_url,
    gateway_url,
)
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
    mend = "start PostgreSQL, or correct POSTGRES_HOST, _PORT, _DB, _USER, _PASSWORD"
    return _asked("database", where, lambda: queries.ping(engine), mend=mend)


def rabbitmq(settings: Settings) -> list[Finding]:
    where = f"{settings.rabbitmq_host}:{settings.rabbitmq_port}{settings.rabbitmq_vhost}"
    mend = "start RabbitMQ, or correct RABBITMQ_HOST, _PORT, _USER, _PASSWORD, _VHOST"
    return _asked("rabbitmq", where, ask_rabbitmq(settings, timeout_s=TIMEOUT_S), mend=mend)


def redis(settings: Settings) -> list[Finding]:
    if settings.redis_host is None:
        return [
            problem("redis", "REDIS_HOST is not set", "set it, or start everything with order-manager up")
        ]
    where = f"{settings.redis_host}:{settings.redis_port}/{settings.redis_db}"
    said = where + ("" if settings.broker_is_rabbitmq else ", the broker too")
    mend = "start Redis, or correct REDIS_HOST, _PORT, _PASSWORD, _DB"
    return _asked("redis", where, ask_redis(settings, timeout_s=TIMEOUT_S), said=said, mend=mend)


def exchange(settings: Settings) -> list[Finding]:
    url = exchange_url(settings)
    said = f"{settings.bybit_environment}, {url}"
    mend = "start the paper exchange, or correct BYBIT_PAPER_URL"
    if settings.bybit_environment != "paper":
        mend = "look at the network, and at Bybit's status page; BYBIT_ENVIRONMENT says which exchange"
    return _asked("bybit_api", url, ask_exchange(settings, timeout_s=TIMEOUT_S), said=said, mend=mend)


def gateway(settings: Settings) -> list[Finding]:
    ask = ask_gateway(settings, timeout_s=TIMEOUT_S)
    mend = "bring it back (WS_GATEWAY_HOST, _PORT), or run order-manager stream meanwhile"
    return _asked("ws_gateway", gateway_url(settings), ask, mend=mend, otherwise=warning)


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


def _asked(
    about: str,
    where: str,
    ask: Ask,
    *,
    mend: str,
    said: str | None = None,
    otherwise: Callable[[str, str, str], Finding] = problem,
) -> list[Finding]:
    try:
        ask()
    except (requests.HTTPError, ValueError) as error:
        mend = "see its own log or status page: it is there, and not well"
        return [otherwise(about, f"{where} answers with an error: {first_line(error)}", mend)]
    except Exception as error:  # noqa: BLE001 - whatever went wrong, it did not answer
        return [otherwise(about, f"{where} does not answer: {first_line(error)}", mend)]
    return [ok(about, said or where)]
