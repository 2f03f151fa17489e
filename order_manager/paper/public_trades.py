"""The topic publicTrade: the made-up trades of every tick, and every fill of an account."""

from order_manager.paper.instruments import LINEAR
from order_manager.paper.numbers import plain
from order_manager.paper.orders import Fill, Order
from order_manager.paper.public_sight import Sight
from order_manager.paper.wire import Json

PATH = "/v5/market/recent-trade"
_MOST_ROWS = 1024  # of one message
_MOST_MISSED = 60  # made-up trades told at once, the newest
_OTHER_SIDE = {"Buy": "Sell", "Sell": "Buy"}


class Trades:
    """Nothing for a client that joins; then every trade once, oldest first."""

    def __init__(self, category: str, symbol: str) -> None:
        self._category = category
        self._symbol = symbol
        self._tick = -1
        self._last_id = ""
        self._fills: list[Json] = []
        self._price = self._direction = ""

    def add(self, fill: Fill, order: Order, price_digits: int) -> None:
        """Note a fill, to be told with the next news."""
        self._fills.append(
            {
                "T": fill.time_ms,
                "s": order.symbol,
                "S": _OTHER_SIDE[order.side] if fill.is_maker else order.side,  # the taker's side
                "v": plain(fill.qty),
                "p": f"{fill.price:.{price_digits}f}",
                "i": fill.exec_id,
                "BT": False,
                "RPI": False,
                "seq": fill.seq,
            }
        )

    def first(self, sight: Sight) -> list[Json]:
        if self._tick < 0:
            self._made_up(sight)
        return []

    def news(self, sight: Sight) -> list[Json]:
        fills, self._fills = self._fills, []
        known = {row["i"] for row in fills}
        rows = [row for row in self._made_up(sight) if row["i"] not in known] + fills
        rows.sort(key=lambda row: int(row["T"]))
        if self._category == LINEAR:
            for row in rows:
                self._direction = turn(self._price, row["p"], self._direction)
                self._price = row["p"]
                row["L"] = self._direction
        return [
            {"type": "snapshot", "ts": sight.now_ms, "data": rows[start : start + _MOST_ROWS]}
            for start in range(0, len(rows), _MOST_ROWS)
        ]

    def _made_up(self, sight: Sight) -> list[Json]:
        """The rows of recent-trade that came since the last call."""
        tick = sight.exchange.engine.tick
        if tick == self._tick:
            return []
        missed = 1 if self._tick < 0 else min(_MOST_MISSED, tick - self._tick)
        self._tick = tick
        found = sight.look(PATH, self._category, self._symbol, limit=str(missed))["list"]
        last_id, self._last_id = self._last_id, found[0]["execId"] if found else ""
        rows = []
        for row in found:
            if row["execId"] == last_id:
                break
            rows.append(
                {
                    "T": int(row["time"]),
                    "s": self._symbol,
                    "S": row["side"],
                    "v": row["size"],
                    "p": row["price"],
                    "i": row["execId"],
                    "BT": row["isBlockTrade"],
                    "RPI": row["isRPITrade"],
                    "seq": int(row["seq"]),
                }
            )
        return rows[::-1]


def turn(before: str | None, price: str, direction: str) -> str:
    """The tick direction of `price` after `before`, whose own direction was `direction`."""
    old, new = float(before or price), float(price)
    if new > old:
        return "PlusTick"
    if new < old:
        return "MinusTick"
    return "ZeroMinusTick" if direction.endswith("MinusTick") else "ZeroPlusTick"
