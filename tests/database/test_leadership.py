"""One leads, and somebody else when it can no longer."""

import time
from collections.abc import Callable, Iterator

import pytest

from order_manager.database.engine import connect
from order_manager.database.leadership import Leadership
from order_manager.embedded import free_port
from tests.ledger import Ledger

LOCK = (4699, 0)
END_HOLDER = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND classid = 4699"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def candidate(ledger: Ledger) -> Iterator[Callable[..., Leadership]]:
    """Makes one more process that would lead."""
    made = []

    def make(*, session_timeout_s: float = 30) -> Leadership:
        engine = connect(ledger.url, pool_size=1, session_timeout_s=session_timeout_s)
        made.append((Leadership(engine, lock=LOCK), engine))
        return made[-1][0]

    yield make
    for leadership, engine in made:
        leadership.resign()
        engine.dispose()


def test_one_leads_and_goes_on_leading(candidate):
    first, second = candidate(), candidate()
    assert [first.is_ours(), second.is_ours(), first.is_ours(), second.is_ours()] == [
        True,
        False,
        True,
        False,
    ]


def test_who_resigns_is_followed_at_once_however_often_it_asked(candidate):
    first, second = candidate(), candidate()
    assert [first.is_ours() for _ in range(3)] == [True] * 3
    first.resign()
    assert second.is_ours()
    assert not first.is_ours()


def test_a_lost_session_is_a_lost_lead_until_it_is_taken_again(candidate, ledger):
    first, second = candidate(), candidate()
    assert [first.is_ours(), second.is_ours()] == [True, False]
    ledger.execute(END_HOLDER)
    assert not first.is_ours()
    assert second.is_ours()
    assert not first.is_ours()
    ledger.execute(END_HOLDER)
    assert not second.is_ours()
    assert first.is_ours()


def test_who_does_not_look_for_longer_than_its_session_lasts_is_replaced(candidate):
    frozen, second = candidate(session_timeout_s=0.2), candidate()
    assert frozen.is_ours()
    time.sleep(0.5)
    assert second.is_ours()
    assert not frozen.is_ours()


def test_nobody_leads_while_the_database_is_away():
    nowhere = connect(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/nothing")
    leadership = Leadership(nowhere, lock=LOCK)
    assert not leadership.is_ours()
    assert not leadership.is_ours()
    leadership.resign()
