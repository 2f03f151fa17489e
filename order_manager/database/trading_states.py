"""What may be traded: the account's mode and each lane's, where decisions read them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from order_manager.domain.state import TradingMode

_MODES = text("SELECT symbol, mode, blocked_since, blocked_reason, retry_at FROM lanes ORDER BY symbol")
_ACCOUNT = text("SELECT mode FROM account_state WHERE id = 1")
# Locking the row first tells what the mode was; a decision that holds it now is the last under that.
_SET_ACCOUNT = text("""
    WITH before AS (SELECT mode FROM account_state WHERE id = 1 FOR UPDATE)
    UPDATE account_state SET mode = :mode, updated_at = now() FROM before WHERE id = 1
    RETURNING before.mode
""")
_SET_LANE = text("""
    WITH before AS (SELECT id, mode FROM lanes WHERE symbol = :symbol FOR UPDATE)
    UPDATE lanes SET mode = :mode FROM before WHERE lanes.id = before.id
    RETURNING before.mode
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMode:
    """A lane's own mode, and why nothing goes on in it where that is so."""

    symbol: str
    mode: TradingMode
    blocked_since: datetime | None
    blocked_reason: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """Of the account and of every lane, by symbol."""

    account: TradingMode
    lanes: tuple[LaneMode, ...]


class TradingStateStore:
    """Each method commits by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def modes(self) -> Modes:
        with self._engine.connect() as connection:
            account = connection.execute(_ACCOUNT).scalar_one()
            rows = connection.execute(_MODES).mappings()
            return Modes(
                account=TradingMode(account),
                lanes=tuple(LaneMode(**{**row, "mode": TradingMode(row["mode"])}) for row in rows),
            )

    def set_mode(self, mode: TradingMode, *, symbol: str | None) -> TradingMode | None:
        """The account's, or with `symbol` the lane's; returns what it was; None: no such lane."""
        statement = _SET_ACCOUNT if symbol is None else _SET_LANE
        values = {"mode": mode.value} if symbol is None else {"mode": mode.value, "symbol": symbol}
        with self._engine.connect() as connection:
            before = connection.execute(statement, values).scalar()
        return None if before is None else TradingMode(before)
