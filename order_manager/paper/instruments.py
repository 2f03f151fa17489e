"""The instruments the paper exchange lists: filters shaped and sized like the real ones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from order_manager.paper.numbers import digits_of, floor_to_step
from order_manager.paper.tapes import Tape

LINEAR = "linear"
SPOT = "spot"
CATEGORIES = (LINEAR, SPOT)
STATUSES = ("PreLaunch", "Trading", "Delivering", "Closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One symbol of one category. Quantities in base coin, prices and values in quote coin."""

    category: str
    symbol: str
    symbol_id: int
    base_coin: str
    quote_coin: str = "USDT"
    status: str = "Trading"
    start_price: Decimal
    tick_size: Decimal
    lot_size: Decimal  # qtyStep (linear) or basePrecision (spot)
    quote_precision: Decimal = Decimal("0.0000001")  # spot: step of a market buy's quote amount
    min_qty: Decimal
    max_qty: Decimal  # limit orders
    max_market_qty: Decimal
    min_notional: Decimal = Decimal(5)
    max_leverage: Decimal = Decimal(100)
    price_limit_x: Decimal = Decimal("0.01")  # limit prices may stray this far beyond the mark
    price_limit_y: Decimal = Decimal("0.02")
    price_digits: int = field(init=False)
    qty_digits: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "price_digits", digits_of(self.tick_size))
        object.__setattr__(self, "qty_digits", digits_of(self.lot_size))

    @property
    def min_price(self) -> Decimal:
        return self.tick_size

    @property
    def max_price(self) -> Decimal:
        return self.tick_size * 19_999_998


def default_instruments(*, extra_symbols: int = 0) -> Iterator[Instrument]:
    """The standard listing, then `extra_symbols` synthetic linear ones, SYM001USDT onwards."""
    for symbol_id, row in enumerate(_LINEAR_ROWS, start=1):
        yield _from_row(LINEAR, symbol_id, row, Decimal("0.01"), Decimal("0.02"))
    for symbol_id, row in enumerate(_SPOT_ROWS, start=1):
        yield _from_row(SPOT, symbol_id, row, Decimal("0.005"), Decimal("0.01"))
    for number in range(1, extra_symbols + 1):
        yield synthetic_instrument(LINEAR, f"SYM{number:03d}USDT", 1000 + number)


def synthetic_instrument(
    category: str, symbol: str, symbol_id: int, *, start_price: Decimal = Decimal(100)
) -> Instrument:
    """A made-up listing with middling filters, for benchmarks and new-listing tests."""
    return Instrument(
        category=category,
        symbol=symbol,
        symbol_id=symbol_id,
        base_coin=symbol.removesuffix("USDT") or symbol,
        start_price=start_price,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.01"),
        min_qty=Decimal("0.01"),
        max_qty=Decimal(100_000),
        max_market_qty=Decimal(50_000),
        max_leverage=Decimal(50),
    )


def with_tapes(listed: Iterable[Instrument], tapes: Mapping[str, Tape]) -> Iterator[Instrument]:
    """The listing, started at the recorded prices where there are some; recorded symbols it lacks follow."""
    missing = dict(tapes)
    for instrument in listed:
        tape = tapes.get(instrument.symbol)
        missing.pop(instrument.symbol, None)
        if tape is None:
            yield instrument
        else:
            step = instrument.tick_size
            yield replace(instrument, start_price=max(floor_to_step(tape.prices[0], step), 3 * step))
    for number, (symbol, tape) in enumerate(missing.items(), start=2001):
        found = synthetic_instrument(LINEAR, symbol, number, start_price=tape.prices[0])
        yield replace(found, tick_size=Decimal(1).scaleb(-tape.digits))


# base coin, start price, tick, lot, minimum quantity, maximum limit and market quantity, maximum leverage
_Row = tuple[str, str, str, str, str, str, str, str]

_LINEAR_ROWS: tuple[_Row, ...] = (
    ("BTC", "50000", "0.10", "0.001", "0.001", "1190.000", "500.000", "100.00"),
    ("ETH", "3000", "0.01", "0.01", "0.01", "7240.00", "1500.00", "100.00"),
    ("SOL", "150", "0.010", "0.1", "0.1", "79770.0", "15000.0", "100.00"),
    ("XRP", "0.5", "0.0001", "0.1", "0.1", "2750000.0", "850000.0", "75.00"),
    ("DOGE", "0.15", "0.00001", "1", "1", "13000000", "2500000", "75.00"),
)
_SPOT_ROWS: tuple[_Row, ...] = (
    ("BTC", "50000", "0.1", "0.000001", "0.000011", "83", "41.5", "1"),
    ("ETH", "3000", "0.01", "0.00001", "0.00062", "2000", "1000", "1"),
    ("SOL", "150", "0.01", "0.001", "0.010", "30000", "15000", "1"),
    ("XRP", "0.5", "0.0001", "0.01", "0.79", "4000000", "2000000", "1"),
    ("DOGE", "0.15", "0.00001", "0.1", "2.1", "10000000", "5000000", "1"),
)


def _from_row(category: str, symbol_id: int, row: _Row, ratio_x: Decimal, ratio_y: Decimal) -> Instrument:
    base, *numbers = row
    start, tick, lot, min_qty, max_qty, max_market_qty, max_leverage = map(Decimal, numbers)
    return Instrument(
        category=category,
        symbol=f"{base}USDT",
        symbol_id=symbol_id,
        base_coin=base,
        start_price=start,
        tick_size=tick,
        lot_size=lot,
        min_qty=min_qty,
        max_qty=max_qty,
        max_market_qty=max_market_qty,
        max_leverage=max_leverage,
        price_limit_x=ratio_x,
        price_limit_y=ratio_y,
    )
