"""Scenarios run the real processes; each gets a database of its own and an empty broker."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from order_manager.embedded import PostgresServer
from tests.scenarios.house import House, running_house

HouseMaker = Callable[..., AbstractContextManager[House]]


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
