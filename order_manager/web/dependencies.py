"""What we depend on, and whether it answers: asked side by side, briefly, at most about once a second."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from order_manager.asking import Ask, ask_exchange, ask_gateway, ask_rabbitmq, ask_redis
from order_manager.database import queries
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)

TIMEOUT_S = 1.5  # a later answer counts as none
MAX_AGE_S = 1.0  # an answer is good for so long, however many ask


class State(StrEnum):
    AVAILABLE = "available"
    UNAVAILABLE = "unavailable"
    NOT_CONFIGURED = "not_configured"


@dataclass(slots=True, eq=False)
class _Asking:
    started_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def is_good(self, now: float, max_age_s: float) -> bool:
        """Still under way, or answered a moment ago."""
        return not self.ended.is_set() or now - self.ended_at < max_age_s


class Dependency:
    """Asked by one thread at a time, so one that hangs holds one thread, not one per request.

    The thread is a daemon: neither a request nor the end of the process waits for a dependency that hangs.
    """

    def __init__(
        self, name: str, ask: Ask | None, *, is_needed: bool = True, max_age_s: float = MAX_AGE_S
    ) -> None:
        self.name = name
        self._max_age_s = max_age_s
        self.is_needed = is_needed  # trading stops without it
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: _Asking | None = None
        self._was_available = True

    def begin(self) -> None:
        """Ask, unless somebody is asking or has just been answered."""
        if self._ask is None:
            return
        with self._lock:
            if self._asking is None or not self._asking.is_good(time.monotonic(), self._max_age_s):
                self._asking = _Asking()
                thread = threading.Thread(
                    target=self._run, args=(self._ask, self._asking), name=f"ask-{self.name}", daemon=True
                )
                thread.start()

    def state(self) -> State:
        """The answer to what `begin` asked; waits no longer than the time limit since then."""
        if self._ask is None:
            return State.NOT_CONFIGURED
        with self._lock:
            asking = self._asking
        if asking is None:
            return State.UNAVAILABLE
        asking.ended.wait(max(asking.started_at + TIMEOUT_S - time.monotonic(), 0))
        is_timely = asking.ended.is_set() and asking.ended_at - asking.started_at <= TIMEOUT_S
        is_available = is_timely and asking.error is None
        self._log_change(is_available, asking)
        return State.AVAILABLE if is_available else State.UNAVAILABLE

    def _run(self, ask: Ask, asking: _Asking) -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001  whatever went wrong, it did not answer
            asking.error = error
        asking.ended_at = time.monotonic()
        asking.ended.set()

    def _log_change(self, is_available: bool, asking: _Asking) -> None:
        with self._lock:
            if is_available == self._was_available:
                return
            self._was_available = is_available
        if is_available:
            log.info("dependency_regained", dependency=self.name)
        else:
            error = asking.error or f"no answer within {TIMEOUT_S} s"
            why = str(error) or repr(error)  # some errors have no text
            log.warning("dependency_lost", dependency=self.name, error=why[:300])


class Dependencies:
    """All that this service depends on; `broker` names the one that carries the queues."""

    def __init__(self, dependencies: Iterable[Dependency], *, broker: str) -> None:
        self.broker = broker
        self._known = {dependency.name: dependency for dependency in dependencies}

    def states(self, *names: str) -> dict[str, State]:
        """The state of each, or of those named; asked side by side."""
        asked = [self._known[name] for name in names or self._known]
        for dependency in asked:
            dependency.begin()
        return {dependency.name: dependency.state() for dependency in asked}

    def are_enough(self, states: Mapping[str, State]) -> bool:
        """Whether signals can be traded with these states."""
        return not any(
            state is State.UNAVAILABLE and self._known[name].is_needed for name, state in states.items()
        )


def dependencies_of(runtime: Runtime) -> Dependencies:
    settings = runtime.settings
    rabbitmq = ask_rabbitmq(settings, timeout_s=TIMEOUT_S) if settings.broker_is_rabbitmq else None
    redis = ask_redis(settings, timeout_s=TIMEOUT_S) if settings.redis_host is not None else None
    gateway = ask_gateway(settings, timeout_s=TIMEOUT_S) if settings.ws_gateway_host is not None else None
    return Dependencies(
        (
            Dependency("database", lambda: queries.ping(runtime.engine)),
            Dependency("rabbitmq", rabbitmq),
            Dependency("redis", redis),
            Dependency("bybit_api", ask_exchange(settings, timeout_s=TIMEOUT_S)),
            # Without it our own stream or reconciliation carries the exchange's updates.
            Dependency("ws_gateway", gateway, is_needed=False),
        ),
        broker="rabbitmq" if settings.broker_is_rabbitmq else "redis",
    )
