"""How numbers, counts and ages are said to people."""

import pytest

from order_manager.cli.showing import counted, money, price


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (None, None),
        ("0", "0"),
        ("100", "100"),
        ("0.019", "0.019"),
        ("50130.533333333333333333", "50130.533"),
        ("123456789012.5", "123456789013"),
        ("-0.000012345678901", "-0.000012345679"),
    ],
)
def test_an_average_price_is_shown_with_eight_significant_digits(said, shown) -> None:
    assert price(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (None, None),
        ("0", "0"),
        ("1000", "1000"),
        ("99807.28972808", "99807.29"),
        ("-12.3", "-12.3"),
        ("0.523863725", "0.5239"),
        ("0.0000123456", "0.00001235"),
        ("0.99999", "1"),
    ],
)
def test_money_is_shown_with_two_places_and_no_less_than_four_digits_of_little(said, shown) -> None:
    assert money(said) == shown


def test_one_is_not_said_as_many() -> None:
    assert [counted(count, "signal", "signals") for count in (0, 1, 2)] == [
        "0 signals",
        "1 signal",
        "2 signals",
    ]
