"""What may be traded: the account's mode and each lane's, where decisions read them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, RowMapping, text

from order_manager.domain.state import TradingMode

_MODES = text("""
    SELECT symbol, mode, mode_reason, mode_changed_at, mode_changed_by,
        blocked_since, blocked_reason, retry_at
    FROM lanes ORDER BY symbol
""")
_ACCOUNT = text("SELECT mode, mode_reason, mode_changed_at, mode_changed_by FROM account_state WHERE id = 1")
_CHANGE = "mode = :mode, mode_reason = :reason, mode_changed_at = now(), mode_changed_by = :by"
LONGEST_NAME = 200
# Locking the row first tells what the mode was; a decision that holds it now is the last under that.
_SET_ACCOUNT = text(f"""
    WITH before AS (SELECT mode FROM account_state WHERE id = 1 FOR UPDATE)
    UPDATE account_state SET {_CHANGE}, updated_at = now() FROM before WHERE id = 1
    RETURNING before.mode
""")
_SET_LANE = text(f"""
    WITH before AS (SELECT id, mode FROM lanes WHERE symbol = :symbol FOR UPDATE)
    UPDATE lanes SET {_CHANGE} FROM before WHERE lanes.id = before.id
    RETURNING before.mode
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The last change of a mode; nothing where it never was changed, or before that was remembered."""

    reason: str | None
    at: datetime | None
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMode:
    """A lane's own mode, and why nothing goes on in it where that is so."""

    symbol: str
    mode: TradingMode
    changed: Changed
    blocked_since: datetime | None
    blocked_reason: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """Of the account and of every lane, by symbol."""

    account: TradingMode
    account_changed: Changed
    lanes: tuple[LaneMode, ...]


class TradingStateStore:
    """Each method commits by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def modes(self) -> Modes:
        with self._engine.connect() as connection:
            account = connection.execute(_ACCOUNT).mappings().one()
            rows = connection.execute(_MODES).mappings().all()
        return Modes(
            account=TradingMode(account["mode"]),
            account_changed=_changed(account),
            lanes=tuple(
                LaneMode(
                    symbol=row["symbol"],
                    mode=TradingMode(row["mode"]),
                    changed=_changed(row),
                    blocked_since=row["blocked_since"],
                    blocked_reason=row["blocked_reason"],
                    retry_at=row["retry_at"],
                )
                for row in rows
            ),
        )

    def set_mode(self, mode: TradingMode, *, symbol: str | None, reason: str, by: str) -> TradingMode | None:
        """The account's, or with `symbol` the lane's; returns what it was; None: no such lane."""
        statement = _SET_ACCOUNT if symbol is None else _SET_LANE
        values = {"mode": mode.value, "reason": reason, "by": by[:LONGEST_NAME]}
        if symbol is not None:
            values["symbol"] = symbol
        with self._engine.connect() as connection:
            before = connection.execute(statement, values).scalar()
        return None if before is None else TradingMode(before)


def _changed(row: RowMapping) -> Changed:
    return Changed(reason=row["mode_reason"], at=row["mode_changed_at"], by=row["mode_changed_by"])
