"""What the Position Manager's JSON means: tolerant of what we do not need, strict about what we do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from order_manager.domain.orders import ZERO
from order_manager.domain.portfolio import Holding
from order_manager.domain.positions import PositionMode

MAX_EXPONENT = 20  # our tables hold so many digits before the point
MIN_EXPONENT = -40
SHORT = {"short", "sell"}


class Unreadable(ValueError):
    """An answer without what we need, or with what we do not understand; says which field."""


def holdings_from(body: Any) -> list[Holding]:
    """From a list of positions, bare or below `positions`; sorted by symbol and mode."""
    listed = body.get("positions") if isinstance(body, Mapping) else body
    if not isinstance(listed, list):
        raise Unreadable("positions: not a list")
    found = [holding_from(one) for one in listed]
    return sorted(found, key=lambda holding: (holding.symbol, holding.mode or ""))


def holding_from(body: Any, symbol: str | None = None) -> Holding:
    """From one position; `symbol` is the one that was asked for."""
    if not isinstance(body, Mapping):
        raise Unreadable("position: not an object")
    named = body.get("asset", symbol)
    if not isinstance(named, str) or not named or (symbol is not None and named != symbol):
        raise Unreadable(f"asset: {_shown(named)}")
    long, short = _sizes(body)
    entry = _number(body, "average_entry_price")
    return Holding(
        symbol=named,
        long_size=long,
        short_size=short,
        # One entry price is of the one side that is held.
        long_average_price=_number(body, "long_average_price") or (entry if long and not short else None),
        short_average_price=_number(body, "short_average_price") or (entry if short and not long else None),
        mode=_mode(body.get("mode")),
        mark_price=_number(body, "mark_price"),
        exposure=_positive(_number(body, "exposure")),
        realized_pnl=_number(body, "realized_pnl"),
        unrealized_pnl=_number(body, "unrealized_pnl"),
        fees=_number(body, "fees"),
        created_at=_moment(body.get("created_at")),
        updated_at=_moment(body.get("updated_at")),
    )


def exposure_from(body: Any) -> Decimal:
    """Quote, of all positions."""
    total = _number(body, "total_exposure") if isinstance(body, Mapping) else None
    if total is None:
        raise Unreadable("total_exposure: missing")
    return abs(total)


def _sizes(body: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Long and short, both zero or more: as such, or as one signed size."""
    long, short = _number(body, "long_size"), _number(body, "short_size")
    if long is not None or short is not None:
        return abs(long or ZERO), abs(short or ZERO)
    size = _number(body, "size")
    if size is None:
        raise Unreadable("size: missing")
    if str(body.get("side")).lower() in SHORT:
        size = -abs(size)
    return max(size, ZERO), max(-size, ZERO)


def _number(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unreadable(f"{name}: {_shown(value)}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"{name}: {_shown(value)}") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or number.adjusted() >= MAX_EXPONENT or exponent < MIN_EXPONENT:
        raise Unreadable(f"{name}: {_shown(value)}")
    return number


def _positive(number: Decimal | None) -> Decimal | None:
    return None if number is None else abs(number)


def _mode(value: Any) -> PositionMode | None:
    """Only to show it: a decision knows the account's mode."""
    return PositionMode(value) if value in set(PositionMode) else None


def _moment(value: Any) -> datetime | None:
    """Only to show it."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(value: Any) -> str:
    return repr(value)[:60]
