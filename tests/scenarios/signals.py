"""Signals for scenarios."""

from typing import Any

# The quickstart message of the documentation, to the letter.
QUICKSTART: dict[str, Any] = {
    "signal_id": "test-signal-001",
    "signal_type": "buy",
    "asset": "BTCUSDT",
    "amount": 1000.0,
    "confidence": 0.85,
    "timestamp": "2025-01-27T10:00:00Z",
    "strategy_id": "test-strategy",
    "model_version": None,
    "is_warmup": True,
    "market_data_snapshot": {
        "price": 50000.0,
        "spread": 1.5,
        "volume_24h": 1000000.0,
        "volatility": 0.02,
        "orderbook_depth": {"bid_depth": 100.0, "ask_depth": 120.0},
        "technical_indicators": None,
    },
    "metadata": {"reasoning": "Test signal", "risk_score": 0.3},
    "trace_id": "test-trace-001",
}


def market_signal(signal_id: str, symbol: str, *, side: str = "buy", amount: Any = 1000) -> dict[str, Any]:
    """Sure enough to become a market order."""
    return {
        "signal_id": signal_id,
        "signal_type": side,
        "asset": symbol,
        "amount": amount,
        "confidence": 0.99,
        "strategy_id": "scenario",
        "trace_id": f"trace-{signal_id}",
    }


def limit_signal(
    signal_id: str, symbol: str, *, price: Any, spread: Any, side: str = "buy", amount: Any = 1000
) -> dict[str, Any]:
    """Unsure, and with a wide spread: becomes a limit order half a spread off `price`."""
    return {
        **market_signal(signal_id, symbol, side=side, amount=amount),
        "confidence": 0.5,
        "market_data_snapshot": {"price": price, "spread": spread},
    }
