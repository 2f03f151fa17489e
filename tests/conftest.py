"""Fixtures that every test may use: the servers. And how tests are shared between processes."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.servers import (
    broker,
    database_env,
    database_name,
    database_url,
    empty_database_url,
    fresh_database,
    migrated_template,
    postgres_server,
    rabbitmq_env,
    rabbitmq_server,
    redis_server,
    redis_url,
)

__all__ = [
    "broker",
    "database_env",
    "database_name",
    "database_url",
    "empty_database_url",
    "fresh_database",
    "migrated_template",
    "postgres_server",
    "rabbitmq_env",
    "rabbitmq_server",
    "redis_server",
    "redis_url",
]

HOUSES = ("tests/scenarios/", "tests/chaos/")  # each test runs a whole fleet: one at a time, and these first


class Scheduling(LoadScopeScheduling):
    """Of several processes that run the tests: a module stays in one, and so do all that run a fleet."""

    def _split_scope(self, nodeid: str) -> str:
        return "houses" if nodeid.startswith(HOUSES) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that the processes end at about the same time."""
    items.sort(key=lambda item: not item.nodeid.startswith(HOUSES))
