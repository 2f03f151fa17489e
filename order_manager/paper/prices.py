"""Repeatable price paths: the price of a symbol is a pure function of (seed, symbol, tick number).

Layers of value noise: each layer has a pseudo-random height at every multiple of its period and runs
straight between them. Integers all the way, so a path is the same on every machine.
"""

from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b

from order_manager.paper.numbers import floor_to_step

# (period in ticks, amplitude in millionths of the price): slow swings of 1.5 %, down to 0.01 % per tick.
_LAYERS = ((4096, 15_000), (512, 6_000), (64, 2_000), (8, 500), (1, 100))
_MILLION = 1_000_000


@lru_cache(maxsize=65_536)
def draw(*parts: int | str) -> int:
    """A pseudo-random integer from 0 to 999999, the same for the same parts."""
    digest = blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) % _MILLION


def offset_ppm(seed: int, symbol: str, tick: int) -> int:
    """How far the path of `symbol` stands from its start at `tick`, in millionths. Zero at tick 0."""
    return _height(seed, symbol, tick) - _height(seed, symbol, 0)


def path_price(seed: int, symbol: str, tick: int, *, start: Decimal, tick_size: Decimal) -> Decimal:
    """The price at `tick`, a multiple of `tick_size`, never below three of them."""
    price = start * (_MILLION + offset_ppm(seed, symbol, tick)) / _MILLION
    return max(floor_to_step(price, tick_size), 3 * tick_size)


def _height(seed: int, symbol: str, tick: int) -> int:
    total = 0
    for period, amplitude in _LAYERS:
        step, within = divmod(tick, period)
        left = 2 * draw(seed, symbol, period, step) - _MILLION
        right = 2 * draw(seed, symbol, period, step + 1) - _MILLION
        total += amplitude * (left * (period - within) + right * within) // (period * _MILLION)
    return total
