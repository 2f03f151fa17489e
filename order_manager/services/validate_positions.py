"""Validate positions: what our fills come to, what we stored, and what the exchange shows."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from order_manager.domain.events import position_event, position_json, text
from order_manager.domain.orders import ZERO, Category
from order_manager.domain.positions import Leg, Position, PositionMode
from order_manager.domain.validating import LegDifference, Recount, leg_differences, with_takings
from order_manager.errors import ExchangeError
from order_manager.services.desk import Desk
from order_manager.services.ports import Lane

log = structlog.get_logger(__name__)

PAGE = 50  # orders whose executions are asked for in one validation
PAUSES_S = (0.1, 0.3, 0.6, 1.0)  # between looks at a difference: the exchange's own parts may lag


def recount_position(lane: Lane, desk: Desk) -> int:
    """Recount every leg from its fills; returns how many were not what we had stored, and corrects them."""
    for order in lane.orders_without_all_executions(PAGE):
        lane.book_executions(
            desk.exchange.executions(
                lane.symbol, order.client_order_id, exchange_order_id=order.exchange_order_id
            )
        )
    recount = _recount(lane, desk)
    if recount is None:
        return 0
    sizes = recount.sizes
    stored = _legs(lane.stored_positions())
    counted = {idx: Leg(size=sizes.get(idx, ZERO)) for idx in {*stored, *sizes}}
    differences = [one for one in leg_differences(stored, counted) if one.is_of_size]
    for one in differences:
        kept = LegDifference(
            position_idx=one.position_idx,
            stored=one.stored,
            size=one.size,
            average_price=one.stored.average_price if one.size else None,
        )
        _correct(lane, desk, kept, reason="the fills add up to another size", source="fills")
    return len(differences) + _correct_takings(lane, desk, recount)


def _correct_takings(lane: Lane, desk: Desk, recount: Recount) -> int:
    """Realized PnL and fees by the fills; on spot, where fees are taken out of the coin, left as they are."""
    if desk.category is Category.SPOT:
        return 0
    corrected = 0
    for stored in lane.stored_positions():
        after = with_takings(stored, recount.takings)
        if after is stored:
            continue
        idx, leg = min(stored.legs.items())
        same = LegDifference(position_idx=idx, stored=leg, size=leg.size, average_price=leg.average_price)
        told = {
            "stored_realized_pnl": text(leg.realized_pnl),
            "realized_pnl": text(after.leg_for(idx).realized_pnl),
            "stored_fees": text(leg.fees),
            "fees": text(after.leg_for(idx).fees),
        }
        reason = "the fills earned {realized_pnl} for {fees}, not {stored_realized_pnl} for {stored_fees}"
        lane.correct_leg(after, same, source="fills", reason=reason.format(**told), events=[])
        log.error("position_pnl_corrected", symbol=lane.symbol, mode=stored.mode.value, **told)
        corrected += 1
    return corrected


def _recount(lane: Lane, desk: Desk) -> Recount | None:
    """What the fills come to; None where not all of them are known."""
    instrument = desk.instrument(lane.symbol)
    base_coin = instrument.base_coin if instrument and desk.category is Category.SPOT else ""
    recount = lane.recount(base_coin)
    if recount.incomplete:
        # The exchange does not tell them any more: the fills that we know can't prove anything.
        log.warning("executions_missing", symbol=lane.symbol, orders=recount.incomplete)
        return None
    return recount


def correct_position(lane: Lane, desk: Desk, *, settle_again: Callable[[], None]) -> int:
    """Compare the stored position with the exchange's; returns how many sizes differed, and corrects them.

    A difference may be an update that is on its way, a fill between our two questions, or the exchange's
    own delay. So it must be there in each of a few looks, and a size must differ by as much in all of them;
    one that does not is left to the next comparison.
    """
    looks = [_differences(lane, desk)]
    for pause_s in PAUSES_S:
        if not any(one.is_of_size for one in looks[-1]):
            break  # an average price waits for nobody
        desk.pause(pause_s)
        settle_again()
        looks.append(_differences(lane, desk))
    differences = [one for one in looks[-1] if not one.is_of_size or _has_lasted(one, looks)]
    # Where the fills come to what the exchange shows, nothing is missing: ours was wrong all by itself.
    recount = _recount(lane, desk) if differences else None
    counted = recount.sizes if recount else {}
    for one in differences:
        is_counted = one.is_of_size and counted.get(one.position_idx) == one.size
        source = "fills" if is_counted else "exchange"
        _correct(lane, desk, one, reason="the exchange shows another position", source=source)
    return sum(one.is_of_size for one in differences)


def mark_positions(lane: Lane, desk: Desk) -> None:
    """What is held at today's price; what the exchange does not tell now is told at the next comparison."""
    if any(leg.size for leg in _legs(lane.stored_positions()).values()):
        with suppress(ExchangeError):
            lane.marked_positions(desk.market(lane.symbol).mark)


def _has_lasted(difference: LegDifference, looks: Sequence[Sequence[LegDifference]]) -> bool:
    leg = (difference.position_idx, difference.gap)
    return all(leg in [(one.position_idx, one.gap) for one in look] for look in looks)


def _differences(lane: Lane, desk: Desk) -> list[LegDifference]:
    stored = _legs(lane.stored_positions())
    if desk.category is Category.SPOT:
        return _spot_shortage(lane, desk, stored.get(0, Leg()))
    shown = desk.exchange.position(lane.symbol)
    if shown is None:
        return []
    lane.save_position_mode(shown.mode)
    return leg_differences(stored, shown.legs)


def _spot_shortage(lane: Lane, desk: Desk, stored: Leg) -> list[LegDifference]:
    """On spot the wallet is the position, and may hold what is not ours: only too little is a difference."""
    instrument = desk.instrument(lane.symbol)
    if instrument is None or stored.size <= 0:
        return []
    held = desk.exchange.coin_balance(instrument.base_coin)
    if held >= stored.size:
        return []
    price = stored.average_price if held else None
    return [LegDifference(position_idx=0, stored=stored, size=held, average_price=price)]


def _legs(positions: Sequence[Position]) -> dict[int, Leg]:
    return {idx: leg for position in positions for idx, leg in position.legs.items()}


def _correct(lane: Lane, desk: Desk, difference: LegDifference, *, reason: str, source: str) -> None:
    mode = PositionMode.ONE_WAY if difference.position_idx == 0 else PositionMode.HEDGE
    known = next((one for one in lane.stored_positions() if one.mode is mode), None)
    before = known or Position(symbol=lane.symbol, mode=mode)
    leg = before.leg_for(difference.position_idx)
    after = before.with_leg(difference.position_idx, difference.set_right(leg))
    details = {
        "position_idx": difference.position_idx,
        "stored_size": text(difference.stored.size),
        "stored_average_price": text(difference.stored.average_price),
        "correct_size": text(difference.size),
        "correct_average_price": text(difference.average_price),
        "source": source,
        "reason": reason,
    }
    if not difference.is_of_size:
        lane.correct_leg(after, difference, source=source, reason=f"{reason}: average price", events=[])
        log.info("position_price_corrected", symbol=lane.symbol, **details)
        return
    event = position_event(
        "position_discrepancy",
        position_json(after, mark_price=None),
        details={"discrepancy": details},
        trace_id=str(uuid.uuid4()),
        now=desk.now(),
        market=desk.last_market(lane.symbol),
    )
    lane.correct_leg(after, difference, source=source, reason=reason, events=[event])
    log.error("position_discrepancy", symbol=lane.symbol, **details)
