"""Signals as the quickstart has them, so many and so mixed that positions stay bounded."""

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kombu

from order_manager.queues import SIGNALS

MAJORS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


def symbols(count: int) -> list[str]:
    """The well-known ones first, then the paper exchange's synthetic ones."""
    synthetic = (f"SYM{number:03d}USDT" for number in itertools.count(1))
    return list(itertools.islice(itertools.chain(MAJORS, synthetic), count))


class SignalSource:
    """Signals in turn over `symbols`; of each symbol a buy, a sell of the same size, a buy, ..."""

    def __init__(self, symbols: Sequence[str], prices: Mapping[str, str], *, name: str) -> None:
        self._symbols = symbols
        self._prices = prices
        self._name = name
        self._numbers = itertools.count()

    def take(self, count: int) -> list[tuple[str, str, bytes]]:
        """(signal id, symbol, message) of the next `count` signals."""
        return [self._one(number) for number in itertools.islice(self._numbers, count)]

    def _one(self, number: int) -> tuple[str, str, bytes]:
        turn, place = divmod(number, len(self._symbols))
        symbol = self._symbols[place]
        signal_id = f"{self._name}-{number:06d}"
        return signal_id, symbol, json.dumps(self._body(signal_id, symbol, turn)).encode()

    def _body(self, signal_id: str, symbol: str, turn: int) -> dict[str, Any]:
        price = float(self._prices[symbol])
        return {
            "signal_id": signal_id,
            "signal_type": "buy" if turn % 2 == 0 else "sell",
            "asset": symbol,
            "amount": 1000.0,
            "confidence": 0.85,
            "timestamp": "2025-01-27T10:00:00Z",
            "strategy_id": "benchmark",
            "model_version": None,
            "is_warmup": True,
            "market_data_snapshot": {
                "price": price,  # the same in every signal, so that a sell undoes a buy exactly
                "spread": price * 0.00003,
                "volume_24h": 1000000.0,
                "volatility": 0.02,
                "orderbook_depth": {"bid_depth": 100.0, "ask_depth": 120.0},
                "technical_indicators": None,
            },
            "metadata": {"reasoning": "Benchmark", "risk_score": 0.3},
            "trace_id": f"trace-{signal_id}",
        }


class Publisher:
    """Publishes like any sender: persistent, to the signals queue, and notes when."""

    def __init__(self, broker_url: str, *, queue: str = SIGNALS) -> None:
        self._connection = kombu.Connection(broker_url)
        channel = self._connection.default_channel
        kombu.Queue(queue, exchange=kombu.Exchange(""), routing_key=queue, durable=True)(channel).declare()
        self._producer = kombu.Producer(channel, auto_declare=False)
        self._queue = queue

    def publish(self, body: bytes) -> float:
        """The moment (Unix time, s) right before the broker got it."""
        now = time.time()
        self._producer.publish(
            body,
            routing_key=self._queue,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
        )
        return now

    def publish_paced(self, messages: Sequence[tuple[str, str, bytes]], rate: float) -> dict[str, float]:
        """One after another, `rate` per second on average; signal id -> moment of its publishing."""
        stamps = {}
        for moment, (signal_id, _, body) in zip(paced(rate), messages, strict=False):
            pause_s = moment - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            stamps[signal_id] = self.publish(body)
        return stamps

    def publish_at_once(self, messages: Sequence[tuple[str, str, bytes]]) -> dict[str, float]:
        return {signal_id: self.publish(body) for signal_id, _, body in messages}

    def close(self) -> None:
        self._connection.release()


def paced(rate: float) -> Iterator[float]:
    """Moments on the monotonic clock; a late one does not move those after it."""
    start = time.monotonic()
    for number in itertools.count():
        yield start + number / rate
