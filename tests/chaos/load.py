"""The signals of a run, a pure function of its seed, and the careful sender that publishes them."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.chaos.plan import PRICES, UNLISTED, Plan
from tests.scenarios.house import House

SIGNAL, REPEAT, GARBAGE = "signal", "repeat", "garbage"
BURST_S = 0.25

# Real limits, which some of the signals break.
MAX_EXPOSURE = Decimal(15_000)
MAX_SINGLE_ORDER = Decimal(1_500)
MAX_POSITIONS = {
    "BTCUSDT": Decimal("0.2"),
    "ETHUSDT": Decimal(3),
    "SOLUSDT": Decimal(40),
    "XRPUSDT": Decimal(4_000),
    "DOGEUSDT": Decimal(60_000),
    "SYM001USDT": Decimal(60),
}


def limits() -> dict[str, str]:
    return {
        "ORDERMANAGER_MAX_EXPOSURE": str(MAX_EXPOSURE),
        "ORDERMANAGER_MAX_SINGLE_ORDER_SIZE": str(MAX_SINGLE_ORDER),
        "ORDERMANAGER_ENABLE_ORDER_SPLITTING": "true",
        "ORDERMANAGER_MAX_POSITION_SIZES": ",".join(f"{name}={size}" for name, size in MAX_POSITIONS.items()),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Published `at` seconds after the start."""

    at: float
    kind: str
    body: bytes
    signal_id: str = ""
    symbol: str = ""


def messages(plan: Plan) -> list[Message]:
    """Valid signals, repeats of them, and garbage, by time."""
    dice = plan.dice("load")
    found: list[Message] = []
    signals: list[Message] = []
    span = plan.duration * 0.97
    for number in range(plan.signals):
        at = round(span * number / plan.signals, 3)
        fields = _fields(plan, dice, number)
        one = Message(
            at=at,
            kind=SIGNAL,
            body=json.dumps(fields).encode(),
            signal_id=fields["signal_id"],
            symbol=fields["asset"],
        )
        found.append(one)
        signals.append(one)
        if dice.random() < 0.1:
            again = dice.choice(signals[-200:])
            found.append(
                Message(at=at, kind=REPEAT, body=again.body, signal_id=again.signal_id, symbol=again.symbol)
            )
        if dice.random() < 0.03:
            found.append(Message(at=at, kind=GARBAGE, body=_garbage(dice.randrange(6), number)))
    return found


def _fields(plan: Plan, dice: Any, number: int) -> dict[str, Any]:
    symbols = list(PRICES)
    symbol = symbols[number % len(symbols)] if number < len(symbols) else dice.choice(symbols)
    price, kind = Decimal(PRICES[symbol]), dice.random()
    side = "buy" if number < len(symbols) or dice.random() < 0.55 else "sell"
    fields: dict[str, Any] = {
        "signal_id": f"c{plan.seed}-{number:06d}",
        "signal_type": side,
        "asset": symbol,
        "amount": dice.randint(150, 1400),
        "confidence": 0.99,
        "strategy_id": "chaos",
        "trace_id": f"trace-{number:06d}",
    }
    if 0.5 < kind <= 0.9:  # rests, by the snapshot's price and a spread around it
        fields["confidence"] = 0.5
        spread = price * Decimal(dice.randint(15, 120)) / 10_000
        fields["market_data_snapshot"] = {"price": str(price), "spread": str(spread)}
    elif 0.9 < kind <= 0.95:  # more than one order
        fields["amount"] = str(dice.randint(1600, 4000))
    elif 0.95 < kind <= 0.97:  # more than fifty orders: too large
        fields["amount"] = 1_000_000
    elif 0.97 < kind <= 0.98:
        fields["asset"] = UNLISTED
    elif kind > 0.98:
        fields |= {"confidence": 0.1, "metadata": {"urgency": True}}
    return fields


def _garbage(which: int, number: int) -> bytes:
    """Each one is its own, so that each can be looked for."""
    name = f"garbage-{number}".encode()
    return (
        b"not json " + name,
        b"\xff\xfe\x00" + name,
        b'{"signal_id": "%s", "signal_type": "buy", "asset": "BTCUSDT", "amount": NaN}' % name,
        b'{"signal_id": "%s", "signal_type": "hold", "asset": "BTCUSDT", "amount": 5}' % name,
        b"[" * 5000 + name,
        b'{"signal_id": "%s", "signal_type": "buy", "amount": "1"}' % name,
    )[which]


def bursts(found: Sequence[Message]) -> Iterator[list[Message]]:
    """Messages of one quarter of a second at a time."""
    burst: list[Message] = []
    for message in found:
        if burst and int(message.at / BURST_S) != int(burst[0].at / BURST_S):
            yield burst
            burst = []
        burst.append(message)
    if burst:
        yield burst


class Sender(threading.Thread):
    """Publishes on time, and again whatever the broker did not confirm, until it does."""

    def __init__(self, house: House, found: Sequence[Message], started: float) -> None:
        super().__init__(name="sender", daemon=True)
        self._house, self._messages, self._since = house, found, started
        self.sent = 0
        self.unconfirmed = 0  # bursts that had to be published again
        self.gives_up = threading.Event()
        self.moments: dict[str, float] = {}  # signal -> when the broker had confirmed it

    def run(self) -> None:
        for burst in bursts(self._messages):
            while (wait := self._since + burst[0].at - time.monotonic()) > 0:
                if self.gives_up.wait(min(wait, 1)):
                    return
            while not self._publish(burst):
                self.unconfirmed += 1
                if self.gives_up.wait(0.3):
                    return
            self.sent += len(burst)

    def _publish(self, burst: Sequence[Message]) -> bool:
        try:
            self._house.publish(*(message.body for message in burst))
        except Exception:  # noqa: BLE001 - each client library has its own; none of them is a confirmation
            return False
        now = time.time()
        self.moments.update((message.signal_id, now) for message in burst if message.signal_id)
        return True
