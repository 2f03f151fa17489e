"""A signing client of the tests' own: it shares no code with the exchange or with the product."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

TOKEN = "control-token"


def signature(secret: str, timestamp: str, key: str, window: str, payload: str) -> str:
    return hmac.new(
        secret.encode(), f"{timestamp}{key}{window}{payload}".encode(), hashlib.sha256
    ).hexdigest()


@dataclass
class Control:
    """The control path of one exchange."""

    url: str
    token: str = TOKEN
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **options: Any) -> Any:
        response = self.session.request(
            method,
            f"{self.url}/control/{path}",
            headers={"X-Control-Token": self.token},
            timeout=5,
            **options,
        )
        assert response.status_code == 200, response.text
        return response.json()

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params)

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, json=body)

    def pin(self, price: str, *, symbol: str = "BTCUSDT", category: str = "linear", **more: Any) -> Any:
        return self.post("price", category=category, symbol=symbol, price=price, pin=True, **more)


@dataclass
class Client:
    """One account. `last` is the latest HTTP response."""

    url: str
    key: str = "KEY"
    secret: str = "SECRET"
    window: str = "5000"
    clock_offset_ms: int = 0
    session: requests.Session = field(default_factory=requests.Session)
    last: requests.Response = field(default_factory=requests.Response)

    def headers(self, payload: str) -> dict[str, str]:
        timestamp = str(time.time_ns() // 1_000_000 + self.clock_offset_ms)
        return {
            "X-BAPI-API-KEY": self.key,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": self.window,
            "X-BAPI-SIGN": signature(self.secret, timestamp, self.key, self.window, payload),
        }

    def post(self, path: str, **body: Any) -> Any:
        payload = json.dumps(body)
        headers = {**self.headers(payload), "Content-Type": "application/json"}
        self.last = self.session.post(self.url + path, data=payload, headers=headers, timeout=5)
        return self.last.json()

    def get(self, path: str, *, cursor: str = "", **params: Any) -> Any:
        # The cursor goes back verbatim: it is already percent-encoded.
        query = "&".join(part for part in (urlencode(params), f"cursor={cursor}" if cursor else "") if part)
        self.last = self.session.get(f"{self.url}{path}?{query}", headers=self.headers(query), timeout=5)
        return self.last.json()

    def create(self, **body: Any) -> Any:
        defaults = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit"}
        return self.post("/v5/order/create", **{**defaults, **body})

    def placed(self, **body: Any) -> str:
        """Create an order that must be accepted; its id."""
        answer = self.create(**body)
        assert answer["retCode"] == 0, answer
        return str(answer["result"]["orderId"])

    def market(self, side: str, qty: str, **body: Any) -> str:
        return self.placed(side=side, orderType="Market", qty=qty, **body)

    def limit(self, side: str, qty: str, price: str, **body: Any) -> str:
        return self.placed(side=side, qty=qty, price=price, **body)

    def cancel(self, order_id: str, **body: Any) -> Any:
        defaults = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
        return self.post("/v5/order/cancel", **{**defaults, **body})

    def order(self, order_id: str, *, category: str = "linear", symbol: str = "BTCUSDT") -> Any:
        found = self.get("/v5/order/realtime", category=category, symbol=symbol, orderId=order_id)
        return found["result"]["list"][0]

    def rows(self, path: str, **params: Any) -> list[Any]:
        answer = self.get(path, **params)
        assert answer["retCode"] == 0, answer
        return list(answer["result"]["list"])

    def position(self, symbol: str = "BTCUSDT", idx: int = 0) -> Any:
        rows = self.rows("/v5/position/list", category="linear", symbol=symbol)
        return next(row for row in rows if row["positionIdx"] == idx)

    def wallet(self) -> Any:
        return self.rows("/v5/account/wallet-balance", accountType="UNIFIED")[0]

    def coin(self, name: str = "USDT") -> Any:
        answer = self.get("/v5/account/wallet-balance", accountType="UNIFIED", coin=name)
        return answer["result"]["list"][0]["coin"][0]
