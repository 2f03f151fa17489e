"""Snapshot positions: save what is held at today's prices, and warn of a loss that has grown too large."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import structlog

from order_manager.domain.events import Event, position_event, stored_position_json, text
from order_manager.domain.losses import Told, judge_loss
from order_manager.domain.pnl import long_leg, short_leg, unrealized_percent, unrealized_pnl
from order_manager.domain.positions import PositionMode, StoredPosition
from order_manager.domain.state import Market
from order_manager.errors import ExchangeError, Refused

log = structlog.get_logger(__name__)

RETENTION = timedelta(days=30)
MAX_DELETED = 20_000  # rows per round
ASKING_S = 60.0  # for prices, per round; a round must end well before a task's time limit


class Taking(Protocol):
    """One position, locked."""

    @property
    def stored(self) -> StoredPosition: ...

    @property
    def last(self) -> Mapping[str, Any] | None: ...

    def record(self, snapshot: Mapping[str, Any], events: Sequence[Event], *, taken_at: datetime) -> None: ...


class SnapshotStore(Protocol):
    def due(self) -> list[tuple[str, PositionMode]]: ...

    def taking(
        self, symbol: str, mode: PositionMode, *, mark_price: Decimal | None
    ) -> AbstractContextManager[Taking | None]: ...

    def delete_before(self, moment: datetime, *, at_most: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one round did."""

    snapshots: int
    without_price: tuple[str, ...]  # symbols whose price nobody could tell
    warned: tuple[str, ...]  # symbols with a loss worth telling
    deleted: int  # snapshots past their retention


def snapshot_positions(
    *,
    store: SnapshotStore,
    market: Callable[[str], Market],
    threshold: Decimal,
    wake: Callable[[str], None],
    now: Callable[[], datetime],
) -> Outcome:
    """Snapshot every position that is held or has changed. `threshold` is the loss to warn of, in percent.

    An exchange that is away only takes away the fresh prices: a snapshot says whether it has one, and a
    loss is judged only at one. Safe to run twice at once.
    """
    prices = _Prices(ask=market, now=now)
    taken, warned = 0, set()
    for symbol, mode in store.due():
        seen = prices.of(symbol)
        with store.taking(symbol, mode, mark_price=seen.mark if seen else None) as taking:
            if taking is None:
                continue
            moment = now()
            told, events = _losses(taking, seen, threshold=threshold, now=moment)
            snapshot = {
                **stored_position_json(taking.stored),
                "is_mark_price_fresh": seen is not None,
                "losses": told,
            }
            taking.record(snapshot, events, taken_at=moment)
        taken += 1
        for event in events:  # only now: what is not committed has not been told
            warned.add(symbol)
            log.warning("unrealized_loss", **_summary(event))
    deleted = store.delete_before(now() - RETENTION, at_most=MAX_DELETED)
    outcome = Outcome(
        snapshots=taken, without_price=tuple(prices.unknown), warned=tuple(sorted(warned)), deleted=deleted
    )
    log.info("positions_snapshotted", count=taken, without_price=outcome.without_price, deleted=deleted)
    for symbol in outcome.warned:
        wake(symbol)  # its lane publishes
    return outcome


@dataclass
class _Prices:
    """Asks for each symbol once; when the exchange is away, it is not asked for the rest of the round."""

    ask: Callable[[str], Market]
    now: Callable[[], datetime]
    unknown: list[str] = field(default_factory=list)
    _known: dict[str, Market | None] = field(default_factory=dict)
    _is_away: bool = False
    _began: datetime | None = None

    def of(self, symbol: str) -> Market | None:
        if symbol not in self._known:
            self._known[symbol] = self._asked(symbol)
            if self._known[symbol] is None:
                self.unknown.append(symbol)
        return self._known[symbol]

    def _asked(self, symbol: str) -> Market | None:
        self._began = self._began or self.now()
        if self._is_away or self.now() - self._began > timedelta(seconds=ASKING_S):
            return None
        try:
            market = self.ask(symbol)
        except ExchangeError as error:
            self._is_away = not isinstance(error, Refused)  # a refusal is about this symbol alone
            log.warning("mark_price_unknown", symbol=symbol, error=error.message)
            return None
        return market if market.mark > 0 else None


def _losses(
    taking: Taking, seen: Market | None, *, threshold: Decimal, now: datetime
) -> tuple[dict[str, Any], list[Event]]:
    """What to remember of the losses that last, by leg, and what to tell of them now."""
    before: Mapping[str, Any] = (taking.last or {}).get("losses", {})
    if seen is None:
        return dict(before), []
    position = taking.stored.position
    remembered, events = {}, []
    for name, leg in (("long", long_leg(position)), ("short", short_leg(position))):
        percent = unrealized_percent(leg, seen.mark)
        if percent is None:
            continue
        verdict = judge_loss(-percent, _told_from(before.get(name)), threshold=threshold, now=now)
        if verdict.told is not None:
            remembered[name] = {"percent": text(verdict.told.percent), "at": verdict.told.at.isoformat()}
        if verdict.occasion is not None:
            details = {
                "leg": name,
                "occasion": verdict.occasion.value,
                "unrealized_pnl": text(unrealized_pnl([leg], seen.mark)),
                "unrealized_pnl_percent": text(percent),
                "threshold": text(threshold),
            }
            events.append(_event(taking.stored, details, seen, now))
    return remembered, events


def _told_from(remembered: Mapping[str, str] | None) -> Told | None:
    if remembered is None:
        return None
    return Told(percent=Decimal(remembered["percent"]), at=datetime.fromisoformat(remembered["at"]))


def _event(stored: StoredPosition, details: Mapping[str, Any], seen: Market, now: datetime) -> Event:
    return position_event(
        "position_pnl",
        stored_position_json(stored),
        details=details,
        market=seen,
        trace_id=str(uuid.uuid4()),
        now=now,
    )


def _summary(event: Event) -> dict[str, Any]:
    told = ("leg", "occasion", "unrealized_pnl", "unrealized_pnl_percent", "threshold")
    return {
        "symbol": event.symbol,
        "trace_id": event.trace_id,
        **{name: event.body[name] for name in told},
    }
