"""Pausing and remembering: waits that keep a lane alive, answers that are good for a moment."""

import time

import pytest

from order_manager.errors import LaneLost, Unavailable
from order_manager.services import pausing
from order_manager.services.pausing import Pause
from order_manager.services.remembering import Remembered


@pytest.fixture
def touches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the guarded lane was touched; a slice of a pause is a twentieth of a second."""
    monkeypatch.setattr(pausing, "SLICE_S", 0.05)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return []


def test_a_pause_takes_its_time():
    started = time.monotonic()
    Pause()(0.05)
    assert 0.05 <= time.monotonic() - started < 0.5


def test_a_long_pause_touches_the_guarded_lane_every_slice(touches):
    pause = Pause()
    with pause.guarding(lambda: touches.append(1)):
        pause(1.0)
    assert len(touches) in (20, 21)


def test_a_short_pause_touches_nothing(touches):
    pause = Pause()
    with pause.guarding(lambda: touches.append(1)):
        pause(0.9)
    assert touches == []


def test_a_pause_ends_at_once_when_the_lane_is_lost(touches):
    def lost() -> None:
        touches.append(1)
        raise LaneLost("gone")

    pause = Pause()
    with pause.guarding(lost), pytest.raises(LaneLost):
        pause(60)
    assert touches == [1]


def test_outside_its_guard_a_pause_touches_nothing(touches):
    pause = Pause()
    with pytest.raises(KeyError), pause.guarding(lambda: touches.append(1)):
        raise KeyError
    pause(2.0)
    assert touches == []


def test_a_pause_of_nothing_is_over():
    Pause()(0)
    Pause()(-1)


class Asked:
    """Answers with a number that grows."""

    def __init__(self) -> None:
        self.symbols: list[str] = []

    def __call__(self, symbol: str) -> int:
        self.symbols.append(symbol)
        return len(self.symbols)


def test_an_answer_is_remembered_per_symbol_and_for_its_time(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    asked = Asked()
    known = Remembered(asked, max_age_s=0.5)
    assert [known("A"), known("B"), known("A")] == [1, 2, 1]
    clock[0] += 0.5
    assert known("A") == 1
    clock[0] += 0.1
    assert known("A") == 3
    assert asked.symbols == ["A", "B", "A"]


def test_with_no_age_at_all_every_moment_asks_again(monkeypatch):
    clock = iter([1.0, 1.5, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    known = Remembered(Asked(), max_age_s=0)
    assert [known("A"), known("A"), known("A")] == [1, 2, 3]


def test_nothing_is_never_remembered():
    answers = iter([None, "rules"])
    known = Remembered(lambda symbol: next(answers), max_age_s=60)
    assert [known("A"), known("A"), known("A")] == [None, "rules", "rules"]


def test_an_error_is_not_remembered():
    answers = iter([Unavailable("away"), "rules"])

    def ask(symbol: str) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    known = Remembered(ask, max_age_s=60)
    with pytest.raises(Unavailable):
        known("A")
    assert known("A") == "rules"


def test_what_is_asked_is_as_old_as_its_question(monkeypatch):
    """The clock is read before the question: a slow answer does not count as fresh."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    asked = []

    def slow(symbol: str) -> int:
        clock[0] += 3
        asked.append(symbol)
        return len(asked)

    known = Remembered(slow, max_age_s=2)
    assert known("A") == 1
    assert known("A") == 2
