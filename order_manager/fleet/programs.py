"""One process of the fleet, described."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from order_manager.errors import OrderManagerError


class FleetError(OrderManagerError):
    """The fleet cannot start or go on. The message says which part, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process that runs until it is stopped. Lower `priority` starts earlier and stops later."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # the whole environment, nothing is added
    priority: int = 0
    autorestart: bool = True
    # To the process itself only: a prefork worker's children must not see the signal of a warm shutdown.
    stop_signal: signal.Signals = signal.SIGTERM
    stop_wait_s: float = 10.0  # then SIGKILL, to it and its children
    ready: Callable[[], bool] | None = None  # None: ready when it has run for a second
    ready_timeout_s: float = 60.0
    where: str = ""  # address or queues, for people
    metrics: str = ""  # address of its /metrics

    @property
    def group(self) -> str:
        """The stage it belongs to, as the supervisor knows it: stages start and stop as one."""
        return f"stage-{self.priority}"
