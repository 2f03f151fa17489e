"""What a run does, and when: a pure function of its seed. The races on the way are not."""

import hashlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from order_manager.paper.faults import EITHER_WAY
from order_manager.paper.faults import KINDS as REST_KINDS
from order_manager.paper.stream_faults import KINDS as STREAM_KINDS

REDIS, RABBITMQ = "redis", "rabbitmq"
RATE = 10.0  # signals per second, where nothing else makes the run longer
SECONDS_PER_KILL = 2.5

# symbol -> price it starts from; it stays within BAND of that
PRICES = {
    "BTCUSDT": "50000",
    "ETHUSDT": "3000",
    "SOLUSDT": "150",
    "XRPUSDT": "0.5",
    "DOGEUSDT": "0.15",
    "SYM001USDT": "100",
}
TICKS = {
    "BTCUSDT": "0.1",
    "ETHUSDT": "0.01",
    "SOLUSDT": "0.01",
    "XRPUSDT": "0.0001",
    "DOGEUSDT": "0.00001",
    "SYM001USDT": "0.01",
}
BAND = 0.006
UNLISTED = "NOSUCHUSDT"

CREATE, CANCEL, REALTIME = "/v5/order/create", "/v5/order/cancel", "/v5/order/realtime"
# (endpoint, weight among the rules, chance to strike a request: for 1,000 faults in 10,000 signals)
ENDPOINTS = (
    (CREATE, 5, 0.05),
    (CANCEL, 3, 0.15),
    (REALTIME, 5, 0.05),
    ("/v5/order/history", 2, 0.2),
    ("/v5/execution/list", 2, 0.15),
    ("/v5/position/list", 2, 0.15),
    ("/v5/account/wallet-balance", 2, 0.2),
    ("/v5/market/tickers", 2, 0.05),
)
# Unknown on a create: a timeout, an internal error, an overload, a code that nobody knows.
RET_CODES = (10000, 10006, 10016, 170007, 999999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run on one broker."""

    broker: str
    seed: int
    signals: int
    kills: int  # of the fleet's processes, at least
    faults: int  # about so many requests and messages that go wrong
    workers: int = 2
    seconds: float = 0  # of load; 0: as long as signals and kills need

    @property
    def duration(self) -> float:
        return self.seconds or max(self.signals / RATE, self.kills * SECONDS_PER_KILL, 20.0)

    @property
    def until(self) -> float:
        """Kills and restarts end with the load, the rest when all is worked off: at the latest then."""
        return self.duration + max(60.0, self.duration * 0.5)

    @property
    def amends(self) -> bool:
        """Whether the fleet amends orders where it can; one of two seeds, and one broker of each."""
        return (self.seed + (self.broker == RABBITMQ)) % 2 == 1

    def dice(self, topic: str) -> random.Random:
        """Each topic has dice of its own: changing one leaves the others."""
        return random.Random(f"{self.seed}/{self.broker}/{topic}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something to do `at` seconds after the start."""

    at: float
    kind: str
    target: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def schedule(plan: Plan) -> list[Action]:
    """Everything that is done to the fleet, its servers, the exchange and the account, by time."""
    actions = [
        *_kills(plan),
        *_freezes(plan),
        *_restarts(plan),
        *_weather(plan),
        *_by_hand(plan),
        *_prices(plan),
    ]
    return sorted(actions, key=lambda action: (action.at, action.kind, action.target))


def fingerprint(actions: list[Action]) -> str:
    """The same for the same schedule."""
    return hashlib.sha256(repr(actions).encode()).hexdigest()[:12]


def programs(plan: Plan) -> list[tuple[str, float, bool]]:
    """(name, weight, whether it has a child) of every process of the fleet."""
    lanes = [(f"lane-{number}", 3.0, True) for number in range(1, plan.workers + 1)]
    return [
        ("consumer", 2.0, False),
        ("stream", 1.5, False),
        *lanes,
        ("maintenance", 1.5, True),
        ("beat", 1.0, False),
    ]


def _chosen(plan: Plan, dice: random.Random) -> tuple[str, str]:
    """A program, and whether its main process or a child."""
    rows = programs(plan)
    name, _, has_child = dice.choices(rows, [weight for _, weight, _ in rows])[0]
    return name, "child" if has_child and dice.random() < 0.5 else "main"


def _moments(plan: Plan, dice: random.Random, count: int) -> Iterator[float]:
    """`count` moments, spread over the load with some chance."""
    step = plan.duration * 0.95 / max(count, 1)
    for number in range(count):
        yield round(plan.duration * 0.02 + step * (number + dice.random()), 3)


def _every(plan: Plan, dice: random.Random, period: float) -> Iterator[float]:
    """About so often, until there can be nothing left to do."""
    at = period * dice.random()
    while at < plan.until:
        yield round(at, 3)
        at += period * (0.5 + dice.random())


def _kills(plan: Plan) -> Iterator[Action]:
    dice = plan.dice("kills")
    for at in _moments(plan, dice, math.ceil(plan.kills * 1.08)):
        name, which = _chosen(plan, dice)
        yield Action(at=at, kind="kill", target=name, options={"which": which})


def _freezes(plan: Plan) -> Iterator[Action]:
    dice = plan.dice("freezes")
    for at in _moments(plan, dice, math.ceil(plan.kills / 4)):
        name, which = _chosen(plan, dice)
        which = "family" if dice.random() < 0.3 else which
        long = dice.random() < 0.3  # longer than the session timeout
        seconds = round(dice.uniform(5.5, 9) if long else dice.uniform(0.2, 2.5), 2)
        yield Action(at=at, kind="freeze", target=name, options={"which": which, "seconds": seconds})


def _restarts(plan: Plan) -> Iterator[Action]:
    """Servers and the exchange; each way in turn."""
    ways = {
        "exchange": (40, ("kill", "freeze")),
        "postgres": (75, ("kill", "fast")),
        RABBITMQ: (100, ("kill", "graceful")),
        REDIS: (75, ("lose",) if plan.broker == RABBITMQ else ("kill", "graceful")),
    }
    if plan.broker == REDIS:
        del ways[RABBITMQ]
    for target, (every_s, how) in ways.items():
        dice = plan.dice(f"restarts of {target}")
        for number, at in enumerate(_moments(plan, dice, max(1, round(plan.duration / every_s)))):
            options = {"how": how[number % len(how)], "away_s": round(dice.uniform(0.1, 2.5), 2)}
            yield Action(at=at, kind="restart", target=target, options=options)


def _weather(plan: Plan) -> Iterator[Action]:
    """Rules of faults at the exchange, replaced every few seconds. Every kind comes round again and again."""
    dice = plan.dice("weather")
    rest, stream = _rounds(dice, sorted(REST_KINDS)), _rounds(dice, sorted(STREAM_KINDS))
    density = (plan.faults / 1000) / (plan.signals / 10_000)
    at, period = 0.2, 3.0

    def soon() -> float:
        return round(at + period * dice.random(), 3)

    while at < plan.until:
        rules = [_rest_rule(dice, next(rest), density) for _ in range(6)]
        streams = [_stream_rule(dice, next(stream), density) for _ in range(2)]
        yield Action(at=at, kind="weather", options={"rest": rules, "stream": streams})
        if dice.random() < 0.25:
            refuse = {"kind": "refuse", "for_ms": dice.randint(200, 1500)}
            cut = {"kind": "disconnect"} if dice.random() < 0.6 else refuse
            yield Action(at=soon(), kind="stream-cut", options=cut)
        if dice.random() < 0.1:
            yield Action(at=soon(), kind="wipe-recent")
        if dice.random() < 0.15:
            offset_ms = dice.choice([-1500, -700, 0, 0, 400, 800, 1500])
            yield Action(at=soon(), kind="skew", options={"offset_ms": offset_ms})
        at = round(at + period, 3)


def _rounds(dice: random.Random, kinds: list[str]) -> Iterator[str]:
    while True:
        yield from dice.sample(kinds, len(kinds))


def _rest_rule(dice: random.Random, kind: str, density: float) -> dict[str, Any]:
    rows = ENDPOINTS if kind != "cancel_race" else ENDPOINTS[1:2]
    endpoint, _, chance = dice.choices(rows, [weight for _, weight, _ in rows])[0]
    rule: dict[str, Any] = {
        "endpoint": endpoint,
        "kind": kind,
        "probability": round(min(0.6, chance * density), 4),
        "seed": dice.randrange(10**6),
    }
    if kind in ("delay", "delay_answer"):
        rule["delay_ms"] = dice.choice([50, 300, 1200, 2500])
    if kind == "trickle":
        rule["delay_ms"] = dice.choice([1, 5, 40])
    if kind in ("ret_code", "ret_code_after"):
        rule["ret_code"] = dice.choice(RET_CODES)
    if kind == "http_error":
        rule["status"] = dice.choice([502, 503, 504])
    if kind in EITHER_WAY and dice.random() < 0.5:
        rule["processed"] = True
    return rule


def _stream_rule(dice: random.Random, kind: str, density: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "topic": dice.choice(["*", "order", "execution", "position"]),
        "probability": round(min(0.5, 0.08 * density), 4),
        "delay_ms": dice.choice([100, 400, 1500]),
        "seed": dice.randrange(10**6),
    }


def _by_hand(plan: Plan) -> Iterator[Action]:
    """What a person does on the account. Never a sale: what the fleet itself bought stays countable."""
    dice = plan.dice("by hand")
    for number, at in enumerate(_every(plan, dice, 0.8)):
        symbol = dice.choice(list(PRICES))
        what = dice.choices(["limit", "market", "cancel", "amend"], [3, 1, 4, 3])[0]
        options = {
            "what": what,
            "number": number,
            "dice": dice.random(),
            "size": dice.randint(30, 120),
        }
        yield Action(at=at, kind="by-hand", target=symbol, options=options)


def _prices(plan: Plan) -> Iterator[Action]:
    dice = plan.dice("prices")
    for at in _every(plan, dice, 0.4):
        symbol = dice.choice(list(PRICES))
        ratio = dice.choice([None, "0.2", "0.5", "0.8"])
        options = {"offset": round(dice.uniform(-BAND, BAND), 6), "fill_ratio": ratio}
        yield Action(at=at, kind="price", target=symbol, options=options)
