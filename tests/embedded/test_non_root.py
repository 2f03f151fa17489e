"""PostgreSQL runs although we are root, whatever the container allows."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from order_manager.embedded import EmbeddedError, PostgresServer, free_port, non_root
from tests.servers import temporary_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a Docker container with its default rules."""
    monkeypatch.setattr(non_root, "IN_A_USER_NAMESPACE", ("no-such-program",))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def start_and_stop(folder: Path) -> str:
    """Run a server in `folder`; the name of the user it ran as."""
    server = PostgresServer(data_dir=folder, port=free_port(), password="x", durable=False)
    server.prepare()
    process = server.process(folder / "postgres.log")
    process.start(server.is_ready)
    try:
        return str(psutil.Process(process.pid).username())
    finally:
        process.stop()


@pytest.mark.usefixtures("without_namespaces")
def test_without_user_namespaces_it_runs_as_nobody(open_folder: Path) -> None:
    assert start_and_stop(open_folder) == "nobody"


@pytest.mark.usefixtures("without_namespaces")
def test_nobody_reaches_a_data_folder_inside_a_closed_one(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    assert start_and_stop(tmp_path / "closed" / "data") == "nobody"


def test_a_cluster_made_in_a_namespace_is_handed_to_nobody(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_and_stop(open_folder)
    monkeypatch.setattr(non_root, "IN_A_USER_NAMESPACE", ("no-such-program",))
    assert start_and_stop(open_folder) == "nobody"


def test_when_nothing_helps_the_error_says_what_to_do(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(non_root, "can_run", lambda *_: False)
    with pytest.raises(EmbeddedError, match="set POSTGRES_HOST"):
        non_root.as_non_root(["postgres"], open_folder)
