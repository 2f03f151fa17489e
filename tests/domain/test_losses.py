"""A loss is told in time, and not all the time."""

from datetime import timedelta
from decimal import Decimal as D
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.losses import RECOVERED, REMIND_AFTER, SMALLEST_STEP, Occasion, Told, judge_loss
from tests.builders import at

TEN = D(10)
PERCENTS = st.decimals("-50", "100", places=2)
THRESHOLDS = st.decimals("0", "100", places=1)
WALKS = st.lists(st.tuples(PERCENTS, st.integers(0, 5000)), max_size=40)


def occasion(percent, told=None, *, seconds=300.0, threshold=TEN):
    return judge_loss(D(percent), told, threshold=threshold, now=at(seconds)).occasion


@pytest.mark.parametrize(
    ("percent", "expected"),
    [("-3", None), ("0", None), ("9.99", None), ("10", Occasion.CROSSED), ("250", Occasion.CROSSED)],
)
def test_a_loss_is_told_when_it_reaches_the_threshold(percent, expected):
    assert occasion(percent) is expected


@pytest.mark.parametrize(
    ("percent", "seconds", "expected"),
    [
        ("12", 300, None),
        ("21.99", 300, None),
        ("22", 300, Occasion.WORSENED),
        ("12", 3599, None),
        ("12", 3600, Occasion.LASTING),
        ("9.5", 3600, Occasion.LASTING),  # hovering
        ("8.99", 3600, None),  # over
    ],
)
def test_a_loss_that_lasts_is_told_again_when_it_has_grown_or_after_an_hour(percent, seconds, expected):
    assert occasion(percent, Told(percent=D(12), at=at(0)), seconds=seconds) is expected


def test_a_loss_that_was_over_is_told_again_when_it_comes_back():
    over = judge_loss(D("8.9"), Told(percent=D(12), at=at(0)), threshold=TEN, now=at(60))
    assert over.told is None
    assert occasion("10", over.told, seconds=120) is Occasion.CROSSED


@given(percent=PERCENTS)
def test_a_threshold_of_zero_means_any_loss(percent):
    assert (occasion(percent, threshold=D(0)) is Occasion.CROSSED) == (percent > 0)


def told_on(walk, threshold):
    """(percent, moment, occasion) of each that was told."""
    found, told, moment = [], None, 0
    for percent, pause in walk:
        moment += pause
        verdict = judge_loss(percent, told, threshold=threshold, now=at(moment))
        if verdict.occasion is not None:
            found.append((percent, at(moment), verdict.occasion))
            assert verdict.told == Told(percent=percent, at=at(moment))
        told = verdict.told
    return found


@given(walk=WALKS, threshold=THRESHOLDS)
def test_only_losses_are_told_and_a_crossing_is_at_or_above_the_threshold(walk, threshold):
    for percent, _, why in told_on(walk, threshold):
        assert percent > 0
        assert percent >= threshold * RECOVERED
        assert why is not Occasion.CROSSED or percent >= threshold


@given(walk=WALKS, threshold=THRESHOLDS)
def test_while_a_loss_lasts_two_tellings_are_far_apart(walk, threshold):
    found = told_on(walk, threshold)
    for (before, earlier, _), (percent, later, why) in pairwise(found):
        assert (
            why is Occasion.CROSSED
            or later - earlier >= REMIND_AFTER
            or percent - before >= max(threshold, SMALLEST_STEP)
        )


@given(walk=WALKS, threshold=THRESHOLDS)
def test_no_loss_is_untold_for_an_hour(walk, threshold):
    told, moment = None, 0
    for percent, pause in walk:
        moment += pause
        told = judge_loss(percent, told, threshold=threshold, now=at(moment)).told
        if percent > 0 and percent >= threshold:
            assert told is not None
            assert at(moment) - told.at < timedelta(hours=1)
