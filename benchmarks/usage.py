"""What processes use: CPU seconds of a whole family, and memory that is really theirs."""

from collections.abc import Mapping

import psutil

from order_manager.embedded.processes import descendants

MEBIBYTE = 1024 * 1024


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Used so far by each process with its children, the ended ones included."""
    return {name: sum(_cpu_seconds(process) for process in _family(pid)) for name, pid in pids.items()}


def memory_mib(pids: Mapping[str, int]) -> dict[str, float]:
    """PSS of each process with its children: shared pages are divided among those who share them."""
    return {name: sum(_memory(process) for process in _family(pid)) / MEBIBYTE for name, pid in pids.items()}


def _family(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *descendants(pid)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    reaped = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + reaped)


def _memory(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", 0) or full.rss)
    except psutil.AccessDenied:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0
