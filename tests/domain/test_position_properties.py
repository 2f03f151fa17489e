"""Positions against a plain book of lots, and however the reports of their orders arrive."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from order_manager.domain.orders import OrderStatus, Side
from order_manager.domain.positions import Fill, Leg, Position, PositionMode
from order_manager.domain.reconciling import apply_report
from tests.builders import D, a_position, a_report, an_order, at, holding
from tests.domain.test_reconciling_properties import histories

TINY = Fraction(1, 10**12)
MARKS = st.decimals("0.01", "100000", places=2)
FILLS = st.builds(
    Fill,
    side=st.sampled_from(Side),
    quantity=st.decimals("0.001", "100", places=3) | st.integers(1, 3).map(D),
    price=st.decimals("0.01", "100000", places=2),
    fee=st.decimals("-1", "1", places=4),
)


class Book:
    """A leg as the lots that it was bought (or sold short) in; a reduction takes from each its share."""

    def __init__(self) -> None:
        self.lots: list[tuple[Fraction, Fraction]] = []  # signed quantity, price
        self.realized = self.fees = Fraction(0)

    @property
    def size(self) -> Fraction:
        return sum((quantity for quantity, _ in self.lots), Fraction(0))

    @property
    def average(self) -> Fraction | None:
        return sum(quantity * price for quantity, price in self.lots) / self.size if self.size else None

    def trade(self, fill: Fill) -> None:
        quantity, price = Fraction(fill.quantity) * fill.side.sign, Fraction(fill.price)
        self.fees += Fraction(fill.fee)
        if self.size * quantity < 0:
            share = min(abs(quantity / self.size), Fraction(1))
            self.realized += sum(lot * share * (price - paid) for lot, paid in self.lots)
            quantity += self.size * share
            self.lots = [(lot * (1 - share), paid) for lot, paid in self.lots if share < 1]
        if quantity:
            self.lots.append((quantity, price))


def is_near(found: D | None, wanted: Fraction | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return abs(Fraction(found) - wanted) < TINY * (1 + abs(wanted))


def agrees(leg: Leg, book: Book) -> bool:
    exactly = (Fraction(leg.size), Fraction(leg.fees)) == (book.size, book.fees)
    return exactly and is_near(leg.average_price, book.average) and is_near(leg.realized_pnl, book.realized)


@given(st.lists(FILLS, max_size=15))
def test_a_one_way_position_is_what_a_book_of_lots_says(fills):
    position, book = a_position(), Book()
    for fill in fills:
        position = position.with_fill(0, fill)
        book.trade(fill)
        assert agrees(position.net, book)
    assert (position.long, position.short) == (Leg(), Leg())
    assert position.long_size - position.short_size == position.net.size


@given(st.lists(st.tuples(st.sampled_from([1, 2]), FILLS), max_size=15))
def test_the_legs_of_a_hedged_position_are_two_books(fills):
    position, books = a_position(mode=PositionMode.HEDGE), {1: Book(), 2: Book()}
    for idx, fill in fills:
        position = position.with_fill(idx, fill)
        books[idx].trade(fill)
        assert agrees(position.long, books[1])
        assert agrees(position.short, books[2])
    assert position.net == Leg()


@st.composite
def several_orders(draw):
    """Reports of a few orders on both sides as the exchange made them, and all of them in any order."""
    told = []
    for number in range(draw(st.integers(1, 3))):
        side, race = draw(st.sampled_from(Side)), draw(st.booleans())
        named = {"exchange_order_id": f"exchange-{number}", "side": side}
        told += [replace(report, **named) for report in draw(histories(race=race))]
    repeats = draw(st.lists(st.sampled_from(told), max_size=6))
    return told, draw(st.permutations([*told, *repeats]))


def moved(position: Position, reports) -> Position:
    orders = {}
    for report in reports:
        name = report.exchange_order_id
        order = orders.get(name) or an_order(
            exchange_order_id=None, side=report.side, quantity=report.quantity
        )
        correction = apply_report(order, report)
        if correction is not None:
            orders[name], position = correction.order, correction.moved(position)
    return position


def equity(leg: Leg, mark: D) -> D:
    """What the position would have brought if it were closed at `mark`, fees apart."""
    return leg.realized_pnl + leg.size * (mark - (leg.average_price or 0))


@given(several_orders(), st.sampled_from(["0", "0.007", "-0.007"]), MARKS)
def test_any_order_of_arrival_ends_in_the_same_position(case, held, mark):
    history, arrival = case
    before = holding(held, 45000) if D(held) else a_position()
    wanted, found = moved(before, history).net, moved(before, arrival).net
    assert (found.size, found.fees) == (wanted.size, wanted.fees)
    assert abs(equity(found, mark) - equity(wanted, mark)) < D("1e-12")


@given(histories(), st.randoms(use_true_random=False))
def test_one_orders_updates_in_any_order_open_the_same_position(history, chance):
    arrival = [*history, *history]
    chance.shuffle(arrival)
    wanted, found = moved(a_position(), history).net, moved(a_position(), arrival).net
    assert (found.size, found.fees, found.realized_pnl) == (wanted.size, wanted.fees, 0)
    assert is_near(found.average_price, wanted.average_price and Fraction(wanted.average_price))


# On spot the fee of a buy is kept from the coin that is bought


PART = a_report(
    status=OrderStatus.PARTIALLY_FILLED,
    quantity=2,
    filled_quantity=1,
    average_price=100,
    fees="0.1",
    base_fees="0.001",
    updated_at=at(2),
)
WHOLE = replace(
    PART,
    status=OrderStatus.FILLED,
    filled_quantity=D(2),
    fees=D("0.2"),
    base_fees=D("0.002"),
    updated_at=at(3),
)


@given(st.permutations([PART, WHOLE, PART, replace(PART, fees=D(0), base_fees=D(0)),
                        replace(WHOLE, fees=D(0), base_fees=D(0))]), MARKS)  # fmt: skip
def test_what_is_kept_of_the_coin_is_not_held_whenever_it_becomes_known(arrival, mark):
    for before in (a_position(), holding(3, 90)):
        wanted, found = moved(before, [PART, WHOLE]).net, moved(before, arrival).net
        assert found.size == before.net.size + D("1.998")
        assert (found.size, found.fees) == (wanted.size, wanted.fees)
        assert abs(equity(found, mark) - equity(wanted, mark)) < D("1e-12")


def test_a_fee_that_is_larger_than_the_fill_it_came_with_is_taken_too():
    without = replace(PART, filled_quantity=D("1.9999"), fees=D(0), base_fees=D(0))
    found = moved(a_position(), [without, WHOLE]).net
    assert (found.size, found.fees) == (D("1.998"), D("0.2"))


def test_a_rebate_in_the_coin_is_held():
    buy = replace(WHOLE, fees=D("-0.2"), base_fees=D("-0.002"))
    assert moved(a_position(), [buy]).net.size == D("2.002")
    late = [replace(buy, fees=D(0), base_fees=D(0)), buy]
    assert moved(a_position(), late).net.size == D("2.002")
    sell = replace(buy, side=Side.SELL)
    assert moved(holding(5, 100), [sell]).net.size == D("3.002")
