"""Reports shuffled and repeated: what stays the same however they arrive."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import OrderEvent, OrderStatus
from order_manager.domain.reconciling import TERMINAL_EVENTS, apply_report
from tests.builders import D, a_position, a_report, an_order, at

LOT = D("0.001")


@st.composite
def histories(draw, *, race=False):
    """Reports of one order as the exchange would make them, oldest first; changes may share a moment."""
    report, clock = a_report(quantity=draw(st.integers(5, 20)) * LOT), 1
    reports = [report]
    if not race and draw(st.booleans()) and draw(st.booleans()):
        return [replace(report, status=OrderStatus.REJECTED, reason="EC_PostOnlyWillTakeLiquidity")]
    for step in draw(st.lists(st.sampled_from(["fill", "amend"]), max_size=5)):
        open_lots = int((report.quantity - report.filled_quantity) / LOT)
        if step == "amend":
            clock += 1  # an amendment takes a round trip: never in the same moment
            quantity = report.filled_quantity + draw(st.integers(1, 20)) * LOT
            report = replace(report, quantity=quantity, price=D(draw(st.integers(40000, 50000))))
        elif open_lots > 1:
            clock += draw(st.integers(0, 1))
            report = filled(draw, report, draw(st.integers(1, open_lots - 1)) * LOT)
        report = replace(report, updated_at=at(clock))
        reports.append(report)
    return [*reports, *endings(draw, report, clock, race=race)]


def endings(draw, report, clock, *, race):
    """Nothing, a fill of the rest, a cancel, or a cancel that loses its race against a fill."""
    clock += draw(st.integers(0, 1))
    report = replace(report, updated_at=at(clock))
    cancelled = replace(report, status=OrderStatus.CANCELLED, reason="CancelByUser")
    rest = filled(draw, report, report.quantity - report.filled_quantity)
    done = replace(rest, status=OrderStatus.FILLED)
    if race:
        return [cancelled, replace(done, updated_at=at(clock + draw(st.integers(-1, 1))))]
    return draw(st.sampled_from([[], [done], [cancelled]]))


def filled(draw, report, quantity):
    price, total = D(draw(st.integers(40000, 50000))), report.filled_quantity + quantity
    value = report.filled_quantity * (report.average_price or 0) + quantity * price
    fee = draw(st.decimals("-1", "1", places=3))
    return replace(
        report,
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=total,
        average_price=value / total,
        fees=report.fees + fee,
    )


@st.composite
def shuffled(draw, *, race=False):
    """A history, and all of it in any order with repeats."""
    history = draw(histories(race=race))
    repeats = draw(st.lists(st.sampled_from(history), max_size=6))
    return history, draw(st.permutations([*history, *repeats]))


def heard(reports):
    """The order after `reports`, and the corrections on the way."""
    order, corrections = an_order(exchange_order_id=None, quantity=reports[0].quantity), []
    for report in reports:
        correction = apply_report(order, report)
        if correction is not None:
            assert not order.status.is_terminal or correction.order.status.is_terminal
            assert correction.order.filled_quantity - order.filled_quantity == correction.filled_delta >= 0
            order = correction.order
            corrections.append(correction)
    return order, corrections


def events_of(corrections):
    return Counter(event for correction in corrections for event in correction.events)


@given(shuffled())
def test_any_order_of_arrival_ends_in_the_same_order(case):
    history, arrival = case
    assert heard(arrival)[0] == heard(history)[0]


@given(shuffled())
def test_any_order_of_arrival_tells_others_the_same_kinds_of_events(case):
    history, arrival = case
    assert set(events_of(heard(arrival)[1])) == set(events_of(heard(history)[1]))


@given(shuffled())
def test_what_was_filled_is_booked_once(case):
    order, corrections = heard(case[1])
    fills = [correction.fill for correction in corrections if correction.fill]
    assert sum(fill.quantity for fill in fills) == order.filled_quantity
    assert sum(correction.fee_delta for correction in corrections) == order.fees
    value = order.filled_quantity * (order.average_price or Decimal(0))
    assert abs(sum(fill.quantity * fill.price for fill in fills) - value) < D("1e-15")


@given(shuffled())
def test_created_comes_first_and_the_end_is_told_once(case):
    history, arrival = case
    order, corrections = heard(arrival)
    events = events_of(corrections)
    told = [event for correction in corrections for event in correction.events]
    assert told[0] is OrderEvent.CREATED
    terminal = {event: count for event, count in events.items() if event in TERMINAL_EVENTS.values()}
    in_order = events_of(heard(history)[1])
    assert terminal == {event: 1 for event in in_order if event in TERMINAL_EVENTS.values()}
    assert events[OrderEvent.CREATED] == 1
    assert set(told) == set(order.announced)


@given(shuffled(race=True))
def test_a_cancel_that_lost_its_race_always_ends_filled(case):
    history, arrival = case
    order, corrections = heard(arrival)
    assert replace(order, announced=frozenset()) == replace(heard(history)[0], announced=frozenset())
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, history[-1].quantity)
    events = events_of(corrections)
    assert events[OrderEvent.FILLED] == 1
    assert events[OrderEvent.CANCELLED] <= 1


# Whatever the exchange may say of an order in whatever state, however little sense it makes


LOTS = st.integers(0, 4).map(lambda lots: lots * LOT)
MOMENTS = st.integers(0, 4).map(at)
PRICES = st.none() | st.integers(0, 3).map(D)
FEES = st.integers(-2, 2).map(D)
ANY_ORDER = st.builds(
    an_order,
    status=st.sampled_from(OrderStatus),
    exchange_order_id=st.none() | st.just("exchange-1"),
    quantity=st.integers(1, 4).map(lambda lots: lots * LOT),
    filled_quantity=LOTS,
    average_price=PRICES,
    fees=FEES,
    base_fees=FEES,
    reason=st.none() | st.just("ours"),
    cancel_requested_at=st.none() | MOMENTS,
    exchange_updated_at=st.none() | MOMENTS,
    executed_at=st.none() | MOMENTS,
    unseen_since=st.none() | MOMENTS,
    announced=st.frozensets(st.sampled_from(OrderEvent)),
)
ANY_REPORT = st.builds(
    a_report,
    status=st.sampled_from([status for status in OrderStatus if status is not OrderStatus.DRY_RUN]),
    exchange_order_id=st.sampled_from(["exchange-1", "exchange-1", "exchange-1", "exchange-2"]),
    quantity=LOTS,
    price=PRICES,
    filled_quantity=LOTS,
    average_price=PRICES,
    fees=FEES,
    base_fees=FEES,
    reason=st.none() | st.just("theirs"),
    updated_at=MOMENTS,
)


@given(ANY_ORDER, st.lists(ANY_REPORT, min_size=1, max_size=4))
def test_every_report_has_an_answer_in_every_state_and_none_moves_backwards(order, reports):
    for report in reports:
        correction = apply_report(order, report)
        is_another = order.exchange_order_id not in (None, report.exchange_order_id)
        if order.status is OrderStatus.DRY_RUN or is_another:
            assert correction is None
            continue
        if correction is None:
            continue
        after = correction.order
        is_ours_to_revoke = order.exchange_order_id is None or order.unseen_since is not None
        claims = {report.status} if is_ours_to_revoke else {order.status, report.status}
        assert after.status.is_terminal or not any(claim.is_terminal for claim in claims)
        assert after.status is OrderStatus.FILLED or OrderStatus.FILLED not in claims
        assert after.status is not OrderStatus.DRY_RUN
        assert after.filled_quantity - order.filled_quantity == correction.filled_delta >= 0
        assert (correction.fill is not None) == (correction.filled_delta > 0)
        assert after.announced == order.announced | set(correction.events)
        assert (OrderEvent.MODIFIED in correction.events) == (correction.modification is not None)
        assert len(set(correction.events)) == len(correction.events)
        correction.moved(a_position())
        assert apply_report(after, report) is None, "a repeat changes nothing"
        order = after
