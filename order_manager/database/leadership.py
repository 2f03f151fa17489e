"""Leadership: of several processes that could do the same, the one that does it."""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

_TRY = text("SELECT pg_try_advisory_lock(:class, :id)")
_STILL_THERE = text("SELECT 1")


class Leadership:
    """An advisory lock in a session of its own: when the session ends, for whatever reason, so does it.

    Give it an engine with a session timeout, and ask more often than that: then a leader that freezes, or
    whose machine is gone, is replaced too.
    """

    def __init__(self, engine: Engine, *, lock: tuple[int, int]) -> None:
        self._engine = engine
        self._keys = {"class": lock[0], "id": lock[1]}
        self._connection: Connection | None = None
        self._is_ours = False

    def is_ours(self) -> bool:
        """Whether we lead, as of now; takes the lead where nobody has it. False without a database."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            if self._is_ours:
                # A session that answers has kept its lock. Asking for the lock again would only count it up.
                self._connection.execute(_STILL_THERE)
            else:
                self._is_ours = bool(self._connection.execute(_TRY, self._keys).scalar())
        except SQLAlchemyError:
            self.resign()
        return self._is_ours

    def resign(self) -> None:
        """Let somebody else lead."""
        connection, self._connection, self._is_ours = self._connection, None, False
        if connection is not None:
            connection.invalidate()  # closing the session is what frees the lock
            connection.close()
