"""What one run measures, and the figures that it ends with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.measuring import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """How much is measured."""

    brokers: tuple[str, ...]
    rate: float = 20.0  # signals per second of the paced phase
    seconds: float = 30.0
    burst: int = 2000
    symbols: int = 5
    many_symbols: int = 200  # 0: this variant is left out
    old_orders: int = 1_000_000  # 0: this variant is left out
    workers: int = 2
    is_quick: bool = False  # variants on the last broker only

    def shortened(self) -> "RunPlan":
        """Two to three minutes: less of everything, and the variants on the last broker only."""
        return replace(
            self,
            is_quick=True,
            seconds=min(self.seconds, 5.0),
            burst=min(self.burst, 150),
            many_symbols=min(self.many_symbols, 50),
            old_orders=min(self.old_orders, 50_000),
        )

    def for_variant(self) -> "RunPlan":
        """A variant is compared by its cost per signal, for which half the time is enough."""
        return replace(self, seconds=self.seconds / 2, burst=max(1, self.burst // 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One subject under one condition."""

    paced: Phase
    burst: Phase
    statements: float  # SQL round trips per signal
    calls: Mapping[str, float] = field(default_factory=dict)  # exchange calls per signal, paced, by endpoint
    burst_calls: Mapping[str, float] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)  # PSS by process


@dataclass(kw_only=True)
class BrokerResult:
    """What was measured on one broker."""

    broker: str
    ours: Measured
    floor: Measured
    variants: dict[str, Measured] = field(default_factory=dict)
