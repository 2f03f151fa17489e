"""Scenarios run the real processes; each gets a database of its own and an empty broker."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from order_manager.embedded import PostgresServer, RedisServer
from tests.scenarios.composed import ComposedHouse, composed_house
from tests.scenarios.house import House, running_house
from tests.servers import flush

HouseMaker = Callable[..., AbstractContextManager[House]]
ComposedHouseMaker = Callable[..., AbstractContextManager[ComposedHouse]]


@pytest.fixture
def house_on(
    broker: Mapping[str, str],
    postgres_server: PostgresServer,
    fresh_database: Callable[[], str],
    tmp_path: Path,
) -> HouseMaker:
    """A function that runs the house on the broker in turn; settings are keyword arguments."""
    name = fresh_database()
    servers = {**broker, **postgres_server.environment(name)}

    def make(**options: Any) -> AbstractContextManager[House]:
        return running_house(tmp_path, servers, database_url=postgres_server.url(name), **options)

    return make


@pytest.fixture
def composed_house_on(
    broker: Mapping[str, str],
    postgres_server: PostgresServer,
    fresh_database: Callable[[], str],
    tmp_path: Path,
) -> ComposedHouseMaker:
    """The same of every program, as docker-compose.yml has them; not started."""
    name = fresh_database()
    servers = {**broker, **postgres_server.environment(name)}

    def make(**options: Any) -> AbstractContextManager[ComposedHouse]:
        return composed_house(tmp_path, servers, database_url=postgres_server.url(name), **options)

    return make


@pytest.fixture(scope="module")
def house_on_redis(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    fresh_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> HouseMaker:
    """The same on Redis alone, where the broker does not matter; a module's tests may share a house.

    One house at a time: each begins with an empty broker and a database of its own.
    """

    def make(**options: Any) -> AbstractContextManager[House]:
        flush(redis_server)
        name = fresh_database()
        return running_house(
            tmp_path_factory.mktemp("house"),
            {**redis_server.environment(), **postgres_server.environment(name)},
            database_url=postgres_server.url(name),
            **options,
        )

    return make
