"""The desk at a glance: what the console shows beside the lists."""

from datetime import UTC, datetime
from typing import Any, Literal

from flask import current_app
from pydantic import Field

from order_manager import processes
from order_manager.database.adjustments import recent_adjustments
from order_manager.database.desk_views import InFlight, list_in_flight, read_account
from order_manager.database.overview import History, read_glance, read_history
from order_manager.database.signal_views import SignalState
from order_manager.database.wording import account_json, adjustment_json
from order_manager.domain.events import iso, text
from order_manager.domain.state import TradingMode
from order_manager.processes import Intake
from order_manager.services.remembering import Remembered
from order_manager.settings import Settings
from order_manager.web.answers import Answer, Moment, Number
from order_manager.web.context import current_runtime
from order_manager.web.dependencies import TIMEOUT_S, Dependency, State
from order_manager.web.resources import Resource

blueprint = Resource("overview", prefix="/api/v1/overview", about="The desk at a glance")

MAX_UNANSWERED = 50
HISTORY_MAX_AGE_S = 5.0  # it moves by the minute, and consoles ask every other second
INTAKE_MAX_AGE_S = 3.0
_HISTORY = "order_manager.history"
_INTAKE = "order_manager.intake"


class Account(Answer):
    mode: TradingMode
    available_balance: Number | None = Field(description="quote, as the exchange said at balance_at")
    reserved: Number = Field(description="quote, planned since then")
    balance_at: Moment | None


class Exposure(Answer):
    """Quote; our own books, whatever a Position Manager tells."""

    positions: Number
    orders: Number = Field(description="what is open of them")
    total: Number
    limit: Number = Field(description="ORDERMANAGER_MAX_EXPOSURE")


class NewDeadLetters(Answer):
    count: int = Field(description="not looked after yet, counted up to 10000")
    oldest_received_at: Moment | None


class Unanswered(Answer):
    client_order_id: str
    signal_id: str | None
    asset: str
    request: Literal["create", "cancel", "amend"]
    requested_at: Moment | None = Field(description="null: not sent yet")


class SignalCounts(Answer):
    """Of the last hour, by state; of the last 10000 at most."""

    waiting: int
    planned: int
    executed: int
    rejected: int
    failed: int


class LatencyPoint(Answer):
    at: Moment = Field(description="when the minute began")
    orders: int
    median_s: float
    worst_s: float


class PnlPoint(Answer):
    at: Moment
    realized_pnl: Number | None = Field(description="quote, after fees")
    unrealized_pnl: Number | None


class Stream(Answer):
    connected: bool = Field(description="subscribed to the exchange's private stream")
    since: Moment = Field(description="since when it is, or is not")
    heard_at: Moment | None = Field(description="last frame, an answer to a ping included")


class Process(Answer):
    name: str = Field(json_schema_extra={"example": "lane-1"})
    role: str = Field(description="consumer, stream, worker, maintenance, beat, web")
    host: str
    pid: int
    started_at: Moment
    heard: bool = Field(description="its heartbeat, which comes every 3 s, is not older than 15 s")
    age_s: float = Field(description="of its last heartbeat")
    stream: Stream | None = Field(description="of a stream process")


class Finding(Answer):
    level: Literal["warning", "problem"]
    about: str
    text: str = Field(json_schema_extra={"example": "consumer (pid 4711) has not been heard of for 34 s"})
    mend: str


class Adjustment(Answer):
    """A position that was set right; sizes in base currency."""

    asset: str
    size_before: Number
    size_after: Number
    source: Literal["exchange", "fills"] = Field(description="which side was right")
    reason: str
    at: Moment


class Overview(Answer):
    timestamp: Moment
    service: str
    environment: str = Field(description="the exchange's", json_schema_extra={"example": "paper"})
    is_dry_run: bool
    account: Account
    exposure: Exposure
    dead_letters: NewDeadLetters
    processes: list[Process] | None = Field(
        description="that told of themselves within the hour, without those that were stopped;"
        " null: Redis does not answer"
    )
    queued_signals: int | None = Field(
        description="on model-service.trading_signals; on RabbitMQ without what the consumer was handed;"
        " null: the broker does not answer"
    )
    findings: list[Finding] = Field(description="about processes, the worst first")
    adjustments: list[Adjustment] = Field(
        description="positions whose size was set right within 24 hours, the newest first; 50 at most"
    )
    unanswered: list[Unanswered] = Field(
        description="open orders without an answer to their last request, the 50 oldest"
    )
    signals: SignalCounts
    latency: list[LatencyPoint] = Field(
        description="from a signal's receipt to its order's acceptance, over the last hour"
    )
    pnl: list[PnlPoint] = Field(
        description="positions together, by their snapshots, every five minutes over the last six hours;"
        " of the 50 that moved last"
    )


@blueprint.get("", responses={200: Overview})
def get_overview() -> dict[str, Any]:
    """The account, exposure, what needs attention, and what the console plots."""
    runtime = current_runtime()
    engine, settings = runtime.engine, runtime.settings
    account, glance = read_account(engine), read_glance(engine)
    unanswered = list_in_flight(engine, limit=MAX_UNANSWERED)
    intake = _intake()
    return {
        "timestamp": iso(datetime.now(UTC)),
        "service": settings.service_name,
        "environment": settings.bybit_environment,
        "is_dry_run": settings.enable_dry_run,
        "account": account_json(account),
        "exposure": {
            "positions": text(glance.positions_value),
            "orders": text(glance.orders_value),
            "total": text(glance.positions_value + glance.orders_value),
            "limit": text(settings.max_exposure),
        },
        "dead_letters": {"count": glance.new_letters, "oldest_received_at": iso(glance.oldest_letter_at)},
        **processes.intake_json(settings, intake),
        "adjustments": [adjustment_json(one) for one in recent_adjustments(engine)],
        "unanswered": [_unanswered_json(order) for order in unanswered],
        "signals": {state.value: glance.signals.get(state.value, 0) for state in SignalState},
        **_history_json(_history()),
    }


def _history() -> History:
    """Read once for everybody who asks at about the same time."""
    read: Remembered[History] | None = current_app.extensions.get(_HISTORY)
    if read is None:
        engine = current_runtime().engine
        read = Remembered(lambda _: read_history(engine), max_age_s=HISTORY_MAX_AGE_S)
        current_app.extensions[_HISTORY] = read
    return read("")


class _IntakeReader:
    """Asked by one thread for everybody, so that no request waits for a broker that hangs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read = Intake()
        self._asked = Dependency("intake", self._ask, max_age_s=INTAKE_MAX_AGE_S)

    def _ask(self) -> None:
        self._read = processes.read_intake(self._settings, timeout_s=TIMEOUT_S / 3)

    def __call__(self) -> Intake:
        self._asked.begin()
        return self._read if self._asked.state() is State.AVAILABLE else Intake()


def _intake() -> Intake:
    reader: _IntakeReader = current_app.extensions.setdefault(
        _INTAKE, _IntakeReader(current_runtime().settings)
    )
    return reader()


def _unanswered_json(order: InFlight) -> dict[str, Any]:
    return {
        "client_order_id": order.client_order_id,
        "signal_id": order.signal_id,
        "asset": order.symbol,
        "request": order.request,
        "requested_at": iso(order.requested_at),
    }


def _history_json(history: History) -> dict[str, Any]:
    return {
        "latency": [
            {
                "at": iso(one.at),
                "orders": one.orders,
                "median_s": round(one.median_s, 4),
                "worst_s": round(one.worst_s, 4),
            }
            for one in history.latency
        ],
        "pnl": [
            {
                "at": iso(one.at),
                "realized_pnl": text(one.realized),
                "unrealized_pnl": text(one.unrealized),
            }
            for one in history.pnl
        ],
    }
