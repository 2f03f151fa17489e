"""Symbols: which have a lane, and the trading rules of what the exchange lists."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from order_manager.database.engine import transaction
from order_manager.database.rows import instrument_from, instrument_values
from order_manager.database.tables import account_state, instruments, lanes
from order_manager.domain.instruments import Instrument
from order_manager.domain.positions import PositionMode


class SymbolStore:
    """The half of the inbox that is not about messages; `database.inbox.Inbox` is both."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def known_lanes(self) -> dict[str, int]:
        """symbol -> lane id, of every symbol that has a queue."""
        with self._engine.connect() as connection:
            return {row.symbol: row.id for row in connection.execute(select(lanes.c.symbol, lanes.c.id))}

    def open_lane(self, instrument: Instrument, mode: PositionMode) -> None:
        """Give a listed symbol its queue; safe to repeat. `mode` is the account's for the symbol."""
        # Until the last look at the whole account there was nothing of this symbol to compare.
        looked_at = select(account_state.c.discovered_at).scalar_subquery()
        lane = upsert(lanes).values(
            symbol=instrument.symbol, position_mode=mode.value, reconciled_at=looked_at
        )
        with self._engine.connect() as connection, transaction(connection):
            self._save_instruments(connection, [instrument])
            connection.execute(
                lane.on_conflict_do_update(index_elements=["symbol"], set_={"position_mode": mode.value})
            )

    def discovered_at(self) -> datetime | None:
        """Until then every symbol that was traded has a lane; None before the first look."""
        with self._engine.connect() as connection:
            moment: datetime | None = connection.execute(select(account_state.c.discovered_at)).scalar_one()
            return moment

    def save_discovered(self, asked_at: datetime) -> None:
        latest = func.greatest(account_state.c.discovered_at, asked_at)
        with self._engine.connect() as connection:
            connection.execute(update(account_state).values(discovered_at=latest))

    def save_position_mode(self, symbol: str, mode: PositionMode) -> None:
        with self._engine.connect() as connection:
            connection.execute(update(lanes).where(lanes.c.symbol == symbol).values(position_mode=mode.value))

    def save_instruments(self, listed: Sequence[Instrument]) -> None:
        if listed:
            with self._engine.connect() as connection:
                self._save_instruments(connection, listed)

    @staticmethod
    def _save_instruments(connection: Connection, listed: Sequence[Instrument]) -> None:
        statement = upsert(instruments).values([instrument_values(one) for one in listed])
        columns = {
            column.name: statement.excluded[column.name]
            for column in instruments.c
            if column.name not in {"symbol", "category", "refreshed_at"}
        }
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["symbol", "category"], set_={**columns, "refreshed_at": func.now()}
            )
        )

    def mark_unlisted(self, category: str, listed: Collection[str]) -> None:
        """What a complete listing no longer names has stopped trading."""
        with self._engine.connect() as connection:
            connection.execute(
                update(instruments)
                .where(instruments.c.category == category, instruments.c.symbol.not_in(listed))
                .values(is_trading=False)
            )

    def instrument(self, symbol: str, category: str) -> Instrument | None:
        statement = select(instruments).where(
            instruments.c.symbol == symbol, instruments.c.category == category
        )
        with self._engine.connect() as connection:
            row = connection.execute(statement).mappings().first()
        return instrument_from(row) if row else None
