"""Fixtures that every test may use: the servers. And how tests are shared between processes."""

import pytest

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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where several processes run the tests, a module stays in one, and all that run a fleet do."""
    group = "houses" if item.nodeid.startswith(HOUSES) else item.nodeid.partition("::")[0]
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that the processes end at about the same time."""
    items.sort(key=lambda item: not item.nodeid.startswith(HOUSES))
