"""The servers of a run, which can be killed and come back, each on a thread of its own."""

import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from order_manager.database import migrations
from order_manager.embedded import PostgresServer, RabbitmqServer, RedisServer, free_port
from order_manager.embedded.processes import EmbeddedError
from tests.chaos.plan import RABBITMQ, REDIS

START_WITHIN_S = 90
DATABASE = "chaos"


class Keeper:
    """Runs a server's restarts one after the other.

    On one thread until the end: the kernel takes the end of the thread that started a server for the end
    of its parent.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name=f"keeper of {name}", daemon=True)
        self._thread.start()

    def ask(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def wait(self) -> None:
        """Until all that was asked is done; raises what went wrong."""
        self._jobs.join()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """After this the kernel stops what it started."""
        self._jobs.put(None)
        self._thread.join(timeout=START_WITHIN_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - told by wait()
                self.failure = self.failure or error
            finally:
                self._jobs.task_done()


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    environment: Mapping[str, str]
    database_url: str
    restart: Mapping[str, Callable[[str, float], None]]  # server -> (how, seconds away)


def again(start: Callable[[], None], what: str) -> None:
    """Start, until it works: after a kill a server's children need a moment to go."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            start()
            return
        except EmbeddedError:
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{what} did not start again") from None
            time.sleep(0.3)


@contextmanager
def running_servers(folder: Path, broker: str) -> Iterator[Servers]:
    """PostgreSQL, Redis and, as the broker, RabbitMQ. Where Redis is the broker it keeps its data."""
    database = PostgresServer(data_dir=folder, port=free_port(), password="chaos", durable=False)
    database.prepare()
    redis = RedisServer(data_dir=folder, port=free_port(), password="chaos", durable=broker == REDIS)
    redis.prepare()
    logs = folder / "logs"
    postgres_process = database.process(logs / "postgres.log")
    redis_process = redis.process(logs / "redis.log")
    rabbitmq = None
    if broker == RABBITMQ:
        rabbitmq = RabbitmqServer(folder / "rabbitmq", log_path=logs / "rabbitmq.log")

    def start_postgres() -> None:
        database.prepare()
        postgres_process.start(database.is_ready, timeout_s=START_WITHIN_S)

    def restart_postgres(how: str, away_s: float) -> None:
        (postgres_process.kill if how == "kill" else postgres_process.stop)()
        time.sleep(away_s)
        again(start_postgres, "PostgreSQL")

    def restart_redis(how: str, away_s: float) -> None:
        (redis_process.stop if how == "graceful" else redis_process.kill)()
        if how == "lose":
            shutil.rmtree(redis.folder)
            redis.prepare()
        time.sleep(away_s)
        again(lambda: redis_process.start(redis.is_ready, timeout_s=START_WITHIN_S), "Redis")

    def restart_rabbitmq(how: str, away_s: float) -> None:
        assert rabbitmq is not None
        (rabbitmq.kill if how == "kill" else rabbitmq.process.stop)()
        time.sleep(away_s)
        again(lambda: rabbitmq.start(timeout_s=START_WITHIN_S), "RabbitMQ")

    try:
        start_postgres()
        redis_process.start(redis.is_ready)
        environment = {**redis.environment(), **database.environment(DATABASE)}
        restart = {"postgres": restart_postgres, REDIS: restart_redis}
        if rabbitmq is not None:
            rabbitmq.start(timeout_s=START_WITHIN_S)
            environment |= rabbitmq.environment()
            restart[RABBITMQ] = restart_rabbitmq
        migrations.upgrade(database.create_database(DATABASE))
        yield Servers(environment=environment, database_url=database.url(DATABASE), restart=restart)
    finally:
        if rabbitmq is not None:
            rabbitmq.stop()
        redis_process.stop()
        postgres_process.stop()
