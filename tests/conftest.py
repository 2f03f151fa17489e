"""Fixtures that every test may use: the servers."""

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
