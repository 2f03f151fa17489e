"""What a signal that has not ended waits for: its lane, who works that, and what is in front of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from order_manager.database.locks import LEASE_LOCK
from order_manager.domain.state import TradingMode, mode_holder, stricter_mode

_WAITS = text("""
    SELECT l.id IS NOT NULL AS has_lane,
        k.pid IS NOT NULL AS is_worked, nullif(s.application_name, '') AS worker,
        (SELECT count(*) FROM trading_signals
            WHERE symbol = :symbol AND state IN ('waiting', 'planned') AND seq < :seq) AS ahead,
        a.mode AS account_mode, coalesce(l.mode, 'active') AS lane_mode,
        coalesce(l.must_reconcile, false) AS must_reconcile, l.blocked_since, l.blocked_reason, l.retry_at
    FROM account_state a LEFT JOIN lanes l ON l.symbol = :symbol
    LEFT JOIN LATERAL (
        SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND CAST(classid AS bigint) = :lease AND CAST(objid AS bigint) = l.id
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        LIMIT 1
    ) k ON true
    LEFT JOIN pg_stat_activity s ON s.pid = k.pid
    WHERE a.id = 1
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Where one signal stands in its symbol's lane, as of now."""

    symbol: str
    has_lane: bool
    is_worked: bool  # a symbol worker leases the lane
    worker: str | None  # as its session is called
    ahead: int  # signals of the symbol that came earlier and have not ended
    account_mode: TradingMode
    lane_mode: TradingMode
    must_reconcile: bool  # a comparison with the exchange comes first
    blocked_since: datetime | None
    blocked_reason: str | None
    retry_at: datetime | None

    @property
    def mode(self) -> TradingMode:
        return stricter_mode(self.account_mode, self.lane_mode)

    @property
    def summary(self) -> str:
        """One line for people."""
        if not self.has_lane:
            said = [
                f"{self.symbol} has no lane yet: the maintenance worker opens it, if the exchange lists it"
            ]
        elif not self.is_worked:
            said = [f"nobody works {self.symbol}: no symbol worker has it"]
        else:
            said = [f"waits in {self.symbol}" + (f", which {self.worker} works" if self.worker else "")]
        if self.blocked_since is not None:
            said.append(f"blocked since {_clock(self.blocked_since)}")
            said.append(f"next try {_clock(self.retry_at)}" if self.retry_at else "")
        elif self.has_lane and self.must_reconcile:
            said.append("compared with the exchange first")
        said.append(f"{self.ahead or 'no'} signal{'' if self.ahead <= 1 else 's'} ahead")
        if self.mode is not TradingMode.ACTIVE:
            holder = mode_holder(self.account_mode, self.lane_mode, self.symbol)
            said.append(f"trading is {self.mode} for {holder}")
        if self.blocked_reason:
            said.append(f"reason: {self.blocked_reason}")
        first, *rest = (one for one in said if one)
        return (
            f"{first}: {', '.join(rest)}" if self.has_lane and self.is_worked else "; ".join([first, *rest])
        )


def read_waits(connection: Connection, symbol: str, seq: int) -> Waits:
    """Of the signal with this place in the order of arrival."""
    row = connection.execute(_WAITS, {"symbol": symbol, "seq": seq, "lease": LEASE_LOCK}).mappings().one()
    modes = {name: TradingMode(row[name]) for name in ("account_mode", "lane_mode")}
    return Waits(**{**row, **modes, "symbol": symbol})


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
