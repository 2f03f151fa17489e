"""Servers for tests: started once per run, on free ports and in temporary folders, stopped at its end.

A server whose address is in the environment (POSTGRES_HOST, REDIS_HOST, RABBITMQ_HOST) is used instead of a
started one; for PostgreSQL its user must be allowed to create databases.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import kombu
import pytest
import redis

from order_manager.embedded import PostgresServer, RabbitmqServer, RedisServer, free_port
from order_manager.embedded.rabbitmq import is_installed as rabbitmq_is_installed

CATALOGUE = "om_test_template"
numbers = itertools.count(1)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder below the system's own: pytest's folders are closed to the user that PostgreSQL may run as."""
    folder = Path(tempfile.mkdtemp(prefix="om-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """The configured PostgreSQL, or an embedded one that forgets everything at a power cut."""
    if host := os.environ.get("POSTGRES_HOST"):
        yield PostgresServer(
            data_dir=Path(),
            host=host,
            port=int(os.environ.get("POSTGRES_PORT", "5432")),
            user=os.environ.get("POSTGRES_USER", "order_manager"),
            password=os.environ.get("POSTGRES_PASSWORD", ""),
            durable=False,
        )
        return
    with temporary_folder() as folder:
        server = PostgresServer(data_dir=folder, port=free_port(), password="test", durable=False)
        server.prepare()
        process = server.process(folder / "postgres.log")
        process.start(server.is_ready)
        try:
            yield server
        finally:
            process.stop()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """The configured Redis, or an embedded one that keeps its data in memory."""
    if host := os.environ.get("REDIS_HOST"):
        port, password = os.environ.get("REDIS_PORT", "6379"), os.environ.get("REDIS_PASSWORD", "")
        yield RedisServer(data_dir=Path(), host=host, port=int(port), password=password, durable=False)
        return
    with temporary_folder() as folder:
        server = RedisServer(data_dir=folder, port=free_port(), password="test", durable=False)
        server.prepare()
        process = server.process(folder / "redis.log")
        process.start(server.is_ready)
        try:
            yield server
        finally:
            process.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredRabbitmq:
    """A RabbitMQ that runs already. Tests share it with whoever else does, so each names its queues apart."""

    host: str = field(default_factory=lambda: os.environ["RABBITMQ_HOST"])
    port: int = field(default_factory=lambda: int(os.environ.get("RABBITMQ_PORT", "5672")))
    user: str = field(default_factory=lambda: os.environ.get("RABBITMQ_USER", "guest"))
    password: str = field(default_factory=lambda: os.environ.get("RABBITMQ_PASSWORD", "guest"))

    def environment(self) -> dict[str, str]:
        return {
            "RABBITMQ_HOST": self.host,
            "RABBITMQ_PORT": str(self.port),
            "RABBITMQ_USER": self.user,
            "RABBITMQ_PASSWORD": self.password,
        }

    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}//"

    def clear(self) -> None:
        """Does nothing: AMQP has no way to list the queues."""


@contextmanager
def running_rabbitmq() -> Iterator[RabbitmqServer | ConfiguredRabbitmq]:
    """The configured RabbitMQ, or one of our own. Skips where there is none; fails if that happens in CI."""
    if os.environ.get("RABBITMQ_HOST"):
        yield ConfiguredRabbitmq()
        return
    if not rabbitmq_is_installed():
        reason = "no RabbitMQ: apt-get install rabbitmq-server, or set RABBITMQ_HOST"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with temporary_folder() as folder:
        server = RabbitmqServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL with no database of ours yet."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with all migrations applied, to be copied. Nobody may stay connected to it."""
    from order_manager.database import migrations

    name = f"{CATALOGUE}_{os.getpid()}"
    migrations.upgrade(postgres_server.create_database(name))
    yield name
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def fresh_database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Callable[[], str]]:
    """A function that makes another migrated, empty database and returns its name; dropped at the end."""
    made = []

    def make() -> str:
        name = f"om_test_{os.getpid()}_{next(numbers)}"
        postgres_server.create_database(name, template=migrated_template)
        made.append(name)
        return name

    yield make
    for name in made:
        postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def database_name(fresh_database: Callable[[], str]) -> str:
    """This module's own migrated database."""
    return fresh_database()


@pytest.fixture(scope="module")
def database_url(postgres_server: PostgresServer, database_name: str) -> str:
    """Where this module's own migrated database is, for SQLAlchemy."""
    return postgres_server.url(database_name)


@pytest.fixture(scope="module")
def database_env(postgres_server: PostgresServer, database_name: str) -> dict[str, str]:
    """The same database, as POSTGRES_* for processes and settings."""
    return postgres_server.environment(database_name)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without any table, for the migrations' own tests."""
    name = f"om_test_{os.getpid()}_{next(numbers)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that all tests share; `redis_url` and `broker` empty it."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """An empty Redis database."""
    flush(redis_server)
    return redis_server.url()


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitmqServer | ConfiguredRabbitmq]:
    """A RabbitMQ that all tests share; `rabbitmq_env` and `broker` empty it."""
    with running_rabbitmq() as server:
        yield server


@pytest.fixture
def rabbitmq_env(rabbitmq_server: RabbitmqServer | ConfiguredRabbitmq) -> dict[str, str]:
    """RABBITMQ_* of a broker without queues."""
    rabbitmq_server.clear()
    return rabbitmq_server.environment()


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, redis_server: RedisServer) -> Mapping[str, str]:
    """The environment for a broker without queues, once Redis and once RabbitMQ; REDIS_* is in both."""
    flush(redis_server)
    if request.param == "redis":
        return redis_server.environment()
    return {**redis_server.environment(), **request.getfixturevalue("rabbitmq_env")}


def flush(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url()) as client:
        client.flushall()


def broker_url(env: Mapping[str, str]) -> str:
    """What kombu calls the broker of `broker`'s environment."""
    if "RABBITMQ_HOST" in env:
        address = f"{env['RABBITMQ_HOST']}:{env['RABBITMQ_PORT']}"
        return f"amqp://{env['RABBITMQ_USER']}:{env['RABBITMQ_PASSWORD']}@{address}//"
    return f"redis://:{env['REDIS_PASSWORD']}@{env['REDIS_HOST']}:{env['REDIS_PORT']}/0"


def broker_connection(env: Mapping[str, str]) -> kombu.Connection:
    """A kombu connection to the broker of `broker`'s environment."""
    return kombu.Connection(broker_url(env))
