"""Dead letters as they are kept: lists of them, one by its number, and one taken to be resolved."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from order_manager.database.engine import transaction
from order_manager.database.queries import Page, directed, matching, page_of, within
from order_manager.database.tables import dead_letters
from order_manager.domain.dead_letters import Letter, LetterState, LetterSummary

SHOWN_BYTES = 256 * 1024  # of a message that is looked at; one may be of any size


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters; None asks for nothing."""

    queue: str | None = None
    code: str | None = None
    state: LetterState | None = None
    signal_id: str | None = None
    received_from: datetime | None = None  # inclusive
    received_to: datetime | None = None  # inclusive


_SUMMARY = [
    *(column for column in dead_letters.c if column.name not in {"body", "headers"}),
    func.octet_length(dead_letters.c.body).label("size"),
]


def list_letters(
    engine: Engine, wanted: LetterFilter, *, is_descending: bool, page: Page
) -> tuple[list[LetterSummary], int]:
    """One page of the letters in the order in which they came, and how many there are on all pages."""
    conditions = matching(
        dead_letters,
        queue=wanted.queue,
        code=wanted.code,
        state=wanted.state,
        signal_id=wanted.signal_id,
    )
    conditions += within(dead_letters.c.received_at, wanted.received_from, wanted.received_to)
    by = directed(dead_letters.c.id, is_descending=is_descending)
    query = select(*_SUMMARY).where(*conditions).order_by(by)
    rows, total = page_of(engine, query, dead_letters, conditions, page)
    return [_summary(row) for row in rows], total


def find_letter(engine: Engine, number: int) -> Letter | None:
    """With the beginning of its message, at most SHOWN_BYTES."""
    body = func.substring(dead_letters.c.body, 1, SHOWN_BYTES).label("body")
    query = select(*_SUMMARY, dead_letters.c.headers, body).where(dead_letters.c.id == number)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return _letter(row) if row is not None else None


class TakenLetter:
    """A letter, whole and locked: nobody else resolves it meanwhile."""

    def __init__(self, connection: Connection, letter: Letter) -> None:
        self._connection = connection
        self.letter = letter

    def resolve(self, state: LetterState) -> LetterSummary:
        row = self._connection.execute(
            update(dead_letters)
            .where(dead_letters.c.id == self.letter.summary.id)
            .values(state=state.value, resolved_at=func.now())
            .returning(*_SUMMARY)
        )
        return _summary(row.mappings().one())


class DeadLetterStore:
    """Whoever resolves a letter takes it first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def taking(self, number: int) -> Iterator[TakenLetter | None]:
        """The letter until the block ends, in one transaction; None where there is none."""
        query = select(*_SUMMARY, dead_letters.c.headers, dead_letters.c.body)
        query = query.where(dead_letters.c.id == number).with_for_update()
        with self._engine.connect() as connection, transaction(connection):
            row = connection.execute(query).mappings().first()
            yield TakenLetter(connection, _letter(row)) if row is not None else None


def _letter(row: RowMapping) -> Letter:
    return Letter(summary=_summary(row), body=bytes(row["body"]), headers=row["headers"])


def _summary(row: RowMapping) -> LetterSummary:
    values: dict[str, Any] = {name: row[name] for name in LetterSummary.__dataclass_fields__}
    return LetterSummary(**{**values, "state": LetterState(row["state"])})
