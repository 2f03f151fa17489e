"""The embedded servers start, forget nothing at a SIGKILL, and keep their secrets."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from order_manager.embedded import (
    Credentials,
    EmbeddedError,
    PostgresServer,
    RabbitmqServer,
    RedisServer,
    ServerProcess,
    free_port,
)
from tests.servers import ConfiguredRabbitmq, broker_connection, temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def query(server: PostgresServer, sql: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_postgres_keeps_committed_rows_through_sigkill(folder: Path) -> None:
    server = PostgresServer(data_dir=folder, port=free_port(), password="a'b\"c%d")
    server.prepare()
    process = server.process(folder / "postgres.log")
    process.start(server.is_ready)
    try:
        query(server, "CREATE TABLE kept AS SELECT 7 AS seven")
        process.kill()
        process.start(server.is_ready)

        assert query(server, "SELECT seven FROM kept") == [(7,)]
        assert query(server, "SHOW synchronous_commit") == [("on",)]
        assert query(server, "SHOW server_encoding") == [("UTF8",)]
    finally:
        process.stop()


def test_postgres_ends_with_a_parent_that_is_killed(folder: Path) -> None:
    code = f"""
import time
from pathlib import Path
from order_manager.embedded import PostgresServer
server = PostgresServer(data_dir=Path({str(folder)!r}), port={free_port()}, password="x", durable=False)
server.prepare()
process = server.process(Path({str(folder)!r}) / "postgres.log")
process.start(server.is_ready)
print(process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        postgres = psutil.Process(int(parent.stdout.readline()))
        family = [postgres, *postgres.children()]
        parent.kill()
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_postgres_starts_over_the_pid_file_of_a_stranger(folder: Path) -> None:
    server = PostgresServer(data_dir=folder, port=free_port(), password="x", durable=False)
    server.prepare()
    stranger = ServerProcess("stranger", ["sleep", "60"], log_path=folder / "stranger.log")
    stranger.start()
    (server.cluster / "postmaster.pid").write_text(f"{stranger.pid}\n{server.cluster}\n")
    try:
        server.prepare()
        process = server.process(folder / "postgres.log")
        process.start(server.is_ready)
        process.stop()
    finally:
        stranger.stop()


def test_postgres_of_another_version_is_refused_by_name(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 9"):
        PostgresServer(data_dir=folder, port=free_port(), password="x").prepare()


def test_a_database_is_copied_from_its_template(postgres_server: PostgresServer) -> None:
    for name in ("om_copy", "om_original"):
        postgres_server.drop_database(name)
    original = postgres_server.create_database("om_original").replace("+psycopg2", "")
    connection = psycopg2.connect(original)
    connection.autocommit = True
    connection.cursor().execute("CREATE TABLE thing ()")
    connection.close()

    copy = postgres_server.create_database("om_copy", template="om_original").replace("+psycopg2", "")
    connection = psycopg2.connect(copy)
    connection.cursor().execute("SELECT FROM thing")
    connection.close()
    for name in ("om_copy", "om_original"):
        postgres_server.drop_database(name)


def test_redis_keeps_its_data_through_sigkill(folder: Path) -> None:
    server = RedisServer(data_dir=folder, port=free_port(), password="secret")
    server.prepare()
    process = server.process(folder / "redis.log")
    process.start(server.is_ready)
    try:
        with redis.Redis.from_url(server.url()) as client:
            client.rpush("orders", "kept")
            client.config_set("appendfsync", "always")
        process.kill()
        process.start(server.is_ready)

        with redis.Redis.from_url(server.url()) as client:
            assert client.lrange("orders", 0, -1) == [b"kept"]
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        process.stop()


def test_redis_wants_its_password(redis_server: RedisServer) -> None:
    address = f"redis://{redis_server.host}:{redis_server.port}/0"
    with redis.Redis.from_url(address) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_server_that_ends_at_once_shows_its_log(folder: Path) -> None:
    process = ServerProcess("broken", ["sh", "-c", "echo no such thing; exit 3"], log_path=folder / "log")
    with pytest.raises(EmbeddedError, match="no such thing"):
        process.start(lambda: False)


def test_a_message_crosses_each_broker(broker: dict[str, str]) -> None:
    with broker_connection(broker) as connection:
        queue = connection.SimpleQueue("om-crossing")
        queue.put({"price": "1.5"})
        assert queue.get(timeout=5).payload == {"price": "1.5"}
        queue.close()


@pytest.mark.rabbitmq
def test_rabbitmq_is_cleared_between_tests(rabbitmq_server: RabbitmqServer | ConfiguredRabbitmq) -> None:
    if isinstance(rabbitmq_server, ConfiguredRabbitmq):
        pytest.skip("a shared RabbitMQ is not cleared")
    with broker_connection(rabbitmq_server.environment()) as connection:
        connection.SimpleQueue("left-behind").close()
    assert rabbitmq_server.evaluate("length(rabbit_amqqueue:list()).") != "{ok, 0}"
    rabbitmq_server.clear()
    assert rabbitmq_server.evaluate("length(rabbit_amqqueue:list()).") == "{ok, 0}"


def test_secrets_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "secrets.json"
    first = Credentials(path).get("postgres")
    assert Credentials(path).get("postgres") == first
    assert Credentials(path).get("redis") != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
