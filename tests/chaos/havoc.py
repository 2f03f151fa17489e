"""Does what the schedule says to the running house, and remembers what struck."""

import heapq
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import psutil
import requests

from tests.chaos.plan import CANCEL, PRICES, REALTIME, TICKS, Action
from tests.chaos.servers import Keeper
from tests.scenarios.house import House

AWAITED_S = 8.0  # for a process that is just being started, before a kill of it is given up
AMEND = "/v5/order/amend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """A disruption that the fleet has to recover from. Times of the wall clock."""

    what: str
    at: float


class Havoc:
    """One run's executor. `run` returns when the last action is done and everything is whole again."""

    def __init__(
        self, house: House, restart: Mapping[str, Callable[[str, float], None]], *, log: Path
    ) -> None:
        self._house = house
        self._restart = {**restart, "exchange": self._restart_exchange}
        self._keepers = {name: Keeper(name) for name in self._restart}
        self._log = log
        self._frozen: list[tuple[float, int, list[psutil.Process]]] = []
        self._count = itertools.count()
        self._trader = house.paper.trader()
        self.blows: list[Blow] = []
        self.kills: Counter[str] = Counter()
        self.freezes: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.by_hand: Counter[str] = Counter()
        self.skews = 0
        self.missed = 0  # kills of what did not run
        self.public_faults: Counter[str] = Counter()  # that the ledger does not have
        self.stream_faults: Counter[str] = Counter()

    def run(self, actions: Sequence[Action], started: float, *, is_over: Callable[[], bool]) -> None:
        """Everything, but for the last kill and restart only until it `is_over`."""
        last = max(number for number, action in enumerate(actions) if action.kind in ("kill", "restart"))
        next_look = 0.0
        try:
            for number, action in enumerate(actions):
                self._sleep_until(started + action.at)
                if number > last and time.monotonic() > next_look:
                    if is_over():
                        break
                    next_look = time.monotonic() + 1
                self._do(action, started)
        finally:
            self._thaw(everything=True)
        for keeper in self._keepers.values():
            keeper.wait()
        self._calm()

    def close(self) -> None:
        self._thaw(everything=True)
        for keeper in self._keepers.values():
            keeper.close()

    def _sleep_until(self, moment: float) -> None:
        while True:
            self._thaw()
            next_thaw = self._frozen[0][0] if self._frozen else moment
            wait = min(moment, next_thaw) - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif moment <= time.monotonic():
                return

    def _do(self, action: Action, started: float) -> None:
        act = {
            "kill": self._kill,
            "freeze": self._freeze,
            "restart": self._restart_server,
            "weather": self._weather,
            "stream-cut": self._cut,
            "wipe-recent": self._wipe,
            "skew": self._skew,
            "by-hand": self._trade,
            "price": self._price,
        }[action.kind]
        try:
            outcome = act(action)
        except (
            requests.RequestException,
            KeyError,
            psutil.Error,
        ) as error:  # the exchange is away, or lost the answer
            outcome = repr(error)[:200]
        line = {"at": round(time.monotonic() - started, 3), "planned": action.at}
        line |= {"kind": action.kind, "target": action.target}
        with self._log.open("a") as log:
            log.write(json.dumps(line | {"options": dict(action.options), "outcome": outcome}) + "\n")

    # Processes

    def _members(self, name: str, which: str) -> list[psutil.Process]:
        """The processes meant, of our own descendants only: a pid may have been given anew."""
        pid = self._house.fleet.pids().get(name)
        if pid is None:
            return []
        ours = set(psutil.Process().children(recursive=True))
        try:
            main = psutil.Process(pid)
            family = {"main": [main], "child": main.children(), "family": [main, *main.children()]}[which]
        except psutil.NoSuchProcess:
            return []
        return [member for member in family if member in ours]

    def _kill(self, action: Action) -> str:
        which = action.options["which"]
        deadline = time.monotonic() + AWAITED_S
        while True:
            for process in self._members(action.target, which)[:1]:
                with suppress(psutil.NoSuchProcess):
                    if process.status() != psutil.STATUS_ZOMBIE:
                        process.kill()
                        self.kills[f"{action.target} {which}"] += 1
                        self.blows.append(Blow(what=f"kill of {action.target} {which}", at=time.time()))
                        return f"killed {process.pid}"
            if time.monotonic() > deadline:
                self.missed += 1
                return "does not run"
            time.sleep(0.1)
            self._thaw()

    def _freeze(self, action: Action) -> str:
        family = self._members(action.target, action.options["which"])
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        if not family:
            return "does not run"
        self.freezes[f"{action.target} {action.options['which']}"] += 1
        self.blows.append(Blow(what=f"freeze of {action.target}", at=time.time()))
        self._thaw_later(family, action.options["seconds"])
        return f"stopped {[process.pid for process in family]}"

    def _thaw_later(self, family: list[psutil.Process], seconds: float) -> None:
        heapq.heappush(self._frozen, (time.monotonic() + seconds, next(self._count), family))

    def _thaw(self, *, everything: bool = False) -> None:
        while self._frozen and (everything or self._frozen[0][0] <= time.monotonic()):
            for process in heapq.heappop(self._frozen)[2]:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)  # psutil compares the start time first

    # Servers and the exchange

    def _restart_server(self, action: Action) -> str:
        how, away_s = action.options["how"], action.options["away_s"]
        if action.target == "exchange":
            self._gather()

        def restart() -> None:
            self.blows.append(Blow(what=f"{action.target} {how}", at=time.time()))
            self._restart[action.target](how, away_s)
            self.restarts[f"{action.target} {how}"] += 1

        self._keepers[action.target].ask(restart)
        return "asked"

    def _restart_exchange(self, how: str, away_s: float) -> None:
        paper = self._house.paper
        assert paper.process is not None
        if how == "freeze":
            paper.process.send_signal(signal.SIGSTOP)
            time.sleep(away_s)
            paper.process.send_signal(signal.SIGCONT)
            return
        paper.kill()
        time.sleep(away_s)
        paper.start()

    # The exchange's faults

    def _weather(self, action: Action) -> str:
        self._gather()
        control = self._house.paper.control
        control("DELETE", "faults")
        control("DELETE", "stream-faults")
        for rule in action.options["rest"]:
            control("POST", "faults", json=rule)
        for rule in action.options["stream"]:
            control("POST", "stream-faults", json=rule)
        return "set"

    def _gather(self) -> None:
        """Count what struck since the rules were set; the ledger has the private requests' faults itself."""
        with suppress(requests.RequestException):
            shown = self._house.paper.control("GET", "faults")
            for row in [*shown["faults"], *shown.get("spent", [])]:
                if row["endpoint"].startswith("/v5/market/"):
                    self.public_faults[row["kind"]] += row.get("applied", 0)
            for row in self._house.paper.control("GET", "stream-faults")["faults"]:
                self.stream_faults[row["kind"]] += row["applied"]
            self._house.paper.control("DELETE", "faults")
            self._house.paper.control("DELETE", "stream-faults")

    def _skew_ms(self) -> int:
        """How far the exchange's clock is ahead, as careful people know it."""
        return round(self._house.paper.control("GET", "state")["time_ms"] - time.time() * 1000)

    def _cut(self, action: Action) -> str:
        answer = self._house.paper.control("POST", "stream-faults", json=dict(action.options))
        self.stream_faults[action.options["kind"]] += answer.get("disconnected", 1)
        return "cut"

    def _wipe(self, action: Action) -> str:
        self._house.paper.control("POST", "wipe-recent", json={})
        return "wiped"

    def _skew(self, action: Action) -> str:
        self._house.paper.control("POST", "clock", json=dict(action.options))
        self.skews += bool(action.options["offset_ms"])
        return "set"

    def _calm(self) -> None:
        """No faults, the right time."""
        self._gather()
        self._house.paper.clear_faults()
        self._house.paper.clear_stream_faults()
        with suppress(requests.RequestException):
            self._house.paper.control("POST", "clock", json={"offset_ms": 0})

    # The account and the market

    def _price(self, action: Action) -> str:
        symbol, options = action.target, action.options
        tick = Decimal(TICKS[symbol])
        wanted = Decimal(PRICES[symbol]) * (1 + Decimal(str(options["offset"])))
        price = (wanted / tick).quantize(Decimal(1), ROUND_DOWN) * tick
        ratio = {} if options["fill_ratio"] is None else {"fill_ratio": options["fill_ratio"]}
        self._house.paper.set_price(symbol, price, **ratio)
        return f"{price}"

    def _trade(self, action: Action) -> str:
        symbol, options, trader = action.target, action.options, self._trader
        trader.clock_offset_ms = self._skew_ms()
        what, price = options["what"], Decimal(PRICES[symbol])
        quantity = f"{max(_floored(Decimal(options['size']) / price, _LOTS[symbol]), _LOTS[symbol]):f}"
        if what in ("limit", "market"):
            name = {"orderLinkId": f"hand-{options['number']}"} if options["number"] % 2 else {}
            wish = {"category": "linear", "symbol": symbol, "side": "Buy", "qty": quantity, **name}
            if what == "limit":
                away = Decimal("0.993") if options["dice"] < 0.5 else Decimal("0.998")
                wish |= {"orderType": "Limit", "price": f"{_floored(price * away, Decimal(TICKS[symbol])):f}"}
            else:
                wish |= {"orderType": "Market"}
            answer = trader.post("/v5/order/create", **wish)
        else:
            rows = trader.get(REALTIME, category="linear", symbol=symbol, openOnly=0, limit=50)["result"][
                "list"
            ]
            if not rows:
                return "nothing open"
            row = rows[int(options["dice"] * len(rows))]
            body = {"category": "linear", "symbol": symbol, "orderId": row["orderId"]}
            if what == "cancel":
                answer = trader.post(CANCEL, **body)
            elif row["side"] == "Buy":  # less, or cheaper: never more than was decided
                lower = _floored(Decimal(row["price"]) * Decimal("0.999"), Decimal(TICKS[symbol]))
                answer = trader.post(AMEND, **body, price=f"{lower:f}")
            else:
                return "a sale"
        if answer["retCode"] == 0:
            self.by_hand[what] += 1
        return f"{what} {answer['retCode']}"


_LOTS = {
    "BTCUSDT": Decimal("0.001"),
    "ETHUSDT": Decimal("0.01"),
    "SOLUSDT": Decimal("0.1"),
    "XRPUSDT": Decimal("0.1"),
    "DOGEUSDT": Decimal(1),
    "SYM001USDT": Decimal("0.01"),
}


def _floored(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).quantize(Decimal(1), ROUND_DOWN) * step
