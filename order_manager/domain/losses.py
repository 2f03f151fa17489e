"""Losses: when an unrealized loss is worth telling, so that it is told in time and not all the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

REMIND_AFTER = timedelta(hours=1)
RECOVERED = Decimal("0.9")  # of the threshold: a loss that hovers around it is one loss
SMALLEST_STEP = Decimal(1)  # percent: a threshold near zero must not make every move news


class Occasion(StrEnum):
    """Why a loss is told."""

    CROSSED = "crossed"  # it has passed the threshold
    WORSENED = "worsened"  # it has grown by another threshold since it was last told
    LASTING = "lasting"  # it is an hour since it was last told


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A loss that lasts: how large it was when it was last told, and when that was."""

    percent: Decimal  # above zero
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`occasion` is None when there is nothing to tell; `told` is what to remember for the next look."""

    occasion: Occasion | None
    told: Told | None


def judge_loss(percent: Decimal, told: Told | None, *, threshold: Decimal, now: datetime) -> Verdict:
    """`percent` of the entry value is lost (negative: won); `threshold` 0 means any loss.

    `told` is None when no loss lasted at the last look.
    """
    if percent <= 0 or percent < threshold * RECOVERED:
        return Verdict(occasion=None, told=None)
    if told is None:
        occasion = Occasion.CROSSED if percent >= threshold else None
    elif percent >= told.percent + max(threshold, SMALLEST_STEP):
        occasion = Occasion.WORSENED
    elif now - told.at >= REMIND_AFTER:
        occasion = Occasion.LASTING
    else:
        occasion = None
    return Verdict(occasion=occasion, told=Told(percent=percent, at=now) if occasion else told)
