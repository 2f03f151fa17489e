"""Serve /metrics: of one process, or of one whose children count in a folder that they share."""

import fcntl
import importlib
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

import psutil
import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Metric, ProcessCollector, start_http_server
from prometheus_client.registry import Collector

from order_manager import metrics
from order_manager.settings import Settings

log = structlog.get_logger(__name__)
multiprocess: Any = importlib.import_module("prometheus_client.multiprocess")  # has no types
MmapedDict: Any = importlib.import_module("prometheus_client.mmap_dict").MmapedDict

ADDED_UP = ("counter", "histogram")  # kinds of files that outlive their process: what it counted was counted
THE_DEAD = 0  # a pid that no process has


def serve_metrics(settings: Settings, *, process: str) -> None:
    """Answer on ORDERMANAGER_METRICS_PORT from now on, in a thread; without one do nothing.

    Call it in the process that has the children, before it has them. A port that is taken is told and not
    fatal: trading does not depend on being watched.
    """
    if not settings.metrics_port:
        return
    if metrics.FOLDER:
        forget_predecessors(Path(metrics.FOLDER))
    tell_build(process)
    try:
        server, _ = start_http_server(
            settings.metrics_port, addr=settings.metrics_host, registry=registry_of_tree()
        )
    except OSError as error:
        log.error("metrics_not_served", port=settings.metrics_port, error=str(error))
        return
    _close_in_children(server)
    log.info("metrics_served", address=f"{settings.metrics_host}:{settings.metrics_port}")


def tell_build(process: str) -> None:
    """Say what this process is and of which version."""
    metrics.BUILD.labels(process, version("order-manager"), platform.python_version()).set(1)


def registry_of_tree() -> CollectorRegistry:
    """What to expose: this process's own numbers, or with a folder those of the whole tree."""
    if not metrics.FOLDER:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(Tree(Path(metrics.FOLDER)))
    ProcessCollector(registry=registry)  # of the parent
    return registry


def forget_predecessors(folder: Path) -> None:
    """Remove what an earlier tree left; for the first process of a tree."""
    with _alone(folder):
        for path in folder.glob("*.db"):
            if _pid_of(path) != os.getpid():
                path.unlink(missing_ok=True)


class Tree(Collector):
    """Collects what a parent and its children have counted, those that died included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = multiprocess.MultiProcessCollector(None, path=str(folder))

    def collect(self) -> Iterable[Metric]:
        with _alone(self._folder):
            bury_the_dead(self._folder)
            return list(self._files.collect())


def bury_the_dead(folder: Path) -> None:
    """Add up in one file what dead processes counted, and drop their gauges: files must not pile up."""
    pids = {_pid_of(path) for path in folder.glob("*.db")} - {THE_DEAD}
    for pid in sorted(pids):
        if psutil.pid_exists(pid):
            continue
        multiprocess.mark_process_dead(pid, str(folder))
        for kind in ADDED_UP:
            _add_up(folder / f"{kind}_{pid}.db", folder / f"{kind}_{THE_DEAD}.db")


def _add_up(file: Path, total_file: Path) -> None:
    if not file.exists():
        return
    total = MmapedDict(str(total_file))
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
        total.write_value(key, total.read_value(key)[0] + value, 0.0)
    total.close()
    file.unlink()


def _pid_of(path: Path) -> int:
    """counter_123.db, gauge_livemostrecent_123.db"""
    return int(path.stem.rpartition("_")[2])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One scrape at a time, also where several children of gunicorn are scraped."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _close_in_children(server: WSGIServer) -> None:
    """A child that outlives us must not keep our port."""
    os.register_at_fork(after_in_child=server.socket.close)
