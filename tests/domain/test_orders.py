"""What an order says of itself."""

import pytest

from order_manager.domain.orders import OrderStatus, OrderType, Side
from tests.builders import D, an_order


def test_a_pending_order_is_in_flight_until_the_exchange_is_heard_to_have_it():
    assert an_order(exchange_order_id=None).is_in_flight
    assert not an_order().is_in_flight
    assert not an_order(exchange_order_id=None, status=OrderStatus.REJECTED).is_in_flight


def test_an_order_that_came_from_no_signal_is_external():
    assert an_order(signal_id=None).is_external
    assert not an_order().is_external


@pytest.mark.parametrize("status", list(OrderStatus))
def test_an_order_is_open_or_terminal(status):
    order = an_order(status=status)
    assert order.is_open is not status.is_terminal
    assert order.is_open == (status in {OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED})


def test_what_is_open_is_what_can_still_fill():
    order = an_order(quantity="0.01", filled_quantity="0.004", status=OrderStatus.PARTIALLY_FILLED)
    assert (order.remaining_quantity, order.open_notional) == (D("0.006"), 294)
    assert an_order(status=OrderStatus.CANCELLED).open_notional == 0
    assert an_order(filled_quantity="0.02").remaining_quantity == 0


def test_a_market_order_is_valued_at_what_it_was_sized_at():
    assert an_order(order_type=OrderType.MARKET, price=None, reference_price=50000).open_notional == 500
    assert an_order(order_type=OrderType.MARKET, price=None).open_notional == 0


def test_a_buy_adds_and_a_sell_takes_away():
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
