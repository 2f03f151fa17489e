"""Refusals: what the exchange answers when it says no."""

from collections.abc import Mapping
from typing import Any

from order_manager.paper.instruments import SPOT


class ApiRefusal(Exception):
    """A non-zero retCode with its message, and sometimes a result that says more."""

    def __init__(self, ret_code: int, ret_msg: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(ret_msg)
        self.ret_code = ret_code
        self.ret_msg = ret_msg
        self.result = result or {}


# reason: (retCode for linear, retCode for spot)
_CODES: dict[str, tuple[int, int]] = {
    "missing": (10001, 170105),
    "symbol": (10001, 170121),
    "side": (10001, 170117),
    "order_type": (10001, 170116),
    "time_in_force": (10001, 170115),
    "value": (10001, 170130),
    "order_filter": (10001, 170130),
    "price_step": (10001, 170134),
    "qty_step": (10001, 170137),
    "quote_step": (10001, 170148),
    "qty_min": (10001, 170136),
    "qty_max": (10001, 170124),
    "duplicate": (110072, 170141),
    "unknown_order": (110001, 170213),
    "balance": (110007, 170131),
    "min_notional": (110094, 170140),
    "price_range": (110003, 170132),
    "too_many_orders": (110020, 170810),
    "not_trading": (110074, 170151),
    "below_filled": (110064, 170313),
    "above_limit": (110121, 170193),
    "below_limit": (110120, 170194),
    "no_leverage": (10001, 170036),
}


def refusal(reason: str, category: str, message: str) -> ApiRefusal:
    """The refusal for `reason`, with the code the category uses for it."""
    return ApiRefusal(_CODES[reason][category == SPOT], message)
