"""Wiring: settings -> the running parts. `runtime()` is the only global; tasks, consumer and web call it.

Connections open on first use, so a runtime is made after a prefork worker's fork, never before.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from redis import Redis
from sqlalchemy import Engine

from order_manager import metrics
from order_manager.bybit.client import BybitClient
from order_manager.bybit.governor import ACCOUNT_LIMITS, IP_LIMIT, PER_CATEGORY_LIMITS, RedisGovernor
from order_manager.bybit.hosts import rest_url
from order_manager.bybit.transport import Transport
from order_manager.database.engine import connect
from order_manager.database.inbox import Inbox
from order_manager.database.lane import LaneStore
from order_manager.database.snapshots import PositionSnapshots
from order_manager.database.sync import SyncStore
from order_manager.database.updates import UpdateStore
from order_manager.domain.orders import Category
from order_manager.domain.portfolio import OURS, View
from order_manager.domain.state import TradingRules
from order_manager.messaging.publisher import EventPublisher
from order_manager.partners.position_manager import PositionManager
from order_manager.services.desk import Desk, Patience, utc_now
from order_manager.services.pausing import Pause
from order_manager.services.ports import Exchange, Publisher
from order_manager.services.remembering import Remembered
from order_manager.services.run_lane import Lanes
from order_manager.services.view_positions import PositionViews
from order_manager.settings import Settings, load_settings

TOLD_MARKET_MAX_AGE_S = 10.0  # what events tell of the market is not older
INSTRUMENT_MAX_AGE_S = 5.0  # a symbol's rules are read from the database again after this


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything a process works with."""

    settings: Settings
    engine: Engine  # sessions without a time-out: the consumer, the sweeps, the web
    inbox: Inbox
    updates: UpdateStore
    sync_runs: SyncStore
    lanes: Lanes
    snapshots: PositionSnapshots
    position_manager: PositionManager | None
    exchange: Exchange
    publisher: Publisher
    desk: Desk


@cache
def runtime() -> Runtime:
    """This process's runtime."""
    return build_runtime(load_settings())


def build_runtime(settings: Settings) -> Runtime:
    category = Category(settings.bybit_category)
    engine = connect(settings.postgres_url)
    lane_engine = connect(settings.postgres_url, session_timeout_s=settings.session_timeout_s)
    pause = Pause()
    exchange = build_exchange(settings, pause=pause)
    publisher = EventPublisher(settings.broker_url, is_rabbitmq=settings.broker_is_rabbitmq)
    inbox = Inbox(engine)
    market = Remembered(exchange.market, max_age_s=settings.market_data_max_age_s)
    position_manager = build_position_manager(settings)
    desk = Desk(
        exchange=exchange,
        publisher=publisher,
        rules=trading_rules(settings),
        view=position_view(settings, position_manager),
        category=category,
        instrument=Remembered(
            lambda symbol: inbox.instrument(symbol, category.value), max_age_s=INSTRUMENT_MAX_AGE_S
        ),
        market=market,
        last_market=lambda symbol: market.last(symbol, max_age_s=TOLD_MARKET_MAX_AGE_S),
        patience=Patience(
            recv_window_s=settings.recv_window_ms / 1000,
            execution_timeout_s=settings.order_execution_timeout_s,
            balance_max_age_s=settings.balance_max_age_s,
            stale_s=settings.cancel_stale_order_timeout_s,
        ),
        pause=pause,
    )
    return Runtime(
        settings=settings,
        engine=engine,
        inbox=inbox,
        updates=UpdateStore(engine),
        sync_runs=SyncStore(engine),
        lanes=LaneStore(lane_engine),
        snapshots=PositionSnapshots(engine),
        position_manager=position_manager,
        exchange=exchange,
        publisher=publisher,
        desk=desk,
    )


def build_exchange(settings: Settings, *, pause: Callable[[float], None]) -> BybitClient:
    metrics.begin_calls((*PER_CATEGORY_LIMITS, *ACCOUNT_LIMITS))
    transport = Transport(
        rest_url(settings.bybit_environment, paper_url=settings.bybit_paper_url),
        api_key=settings.bybit_api_key.get_secret_value(),
        api_secret=settings.bybit_api_secret.get_secret_value(),
        recv_window_ms=settings.recv_window_ms,
        read_timeout_s=settings.exchange_timeout_s,
        on_call=metrics.count_call,
    )
    return BybitClient(
        transport,
        category=Category(settings.bybit_category),
        governor=RedisGovernor(
            Redis.from_url(settings.redis_url, socket_timeout=0.25, socket_connect_timeout=0.25, retry=None),
            account=account_name(settings),
            ip_limit=None if settings.bybit_environment == "paper" else IP_LIMIT,
        ),
        attempts=settings.retry_max_attempts,
        base_delay_s=settings.retry_base_delay_s,
        max_delay_s=settings.retry_max_delay_s,
        multiplier=settings.retry_multiplier,
        pause=pause,
    )


def build_position_manager(settings: Settings) -> PositionManager | None:
    if settings.position_manager_host is None:
        return None
    return PositionManager(
        f"http://{settings.position_manager_host}:{settings.position_manager_port}",
        api_key=settings.position_manager_api_key.get_secret_value(),
    )


def position_view(settings: Settings, manager: PositionManager | None) -> Callable[[str], View]:
    """Whose position and exposure decisions use."""
    if manager is None:
        return lambda symbol: OURS
    may_fall_back = settings.position_manager_fallback == "own"
    return PositionViews(manager=manager, may_fall_back=may_fall_back, now=utc_now)


def account_name(settings: Settings) -> str:
    """What distinguishes accounts that share a Redis: the environment and a digest of the key."""
    digest = hashlib.sha256(settings.bybit_api_key.get_secret_value().encode()).hexdigest()
    return f"{settings.bybit_environment}:{digest[:16]}"


def trading_rules(settings: Settings) -> TradingRules:
    return TradingRules(
        max_single_order_notional=settings.max_single_order_size,
        enable_order_splitting=settings.enable_order_splitting,
        max_position_size=settings.max_position_size,
        max_position_sizes=dict(settings.max_position_sizes),
        max_exposure=settings.max_exposure,
        max_order_size_ratio=settings.max_order_size_ratio,
        market_order_confidence_threshold=settings.market_order_confidence_threshold,
        market_order_spread_threshold_pct=settings.market_order_spread_threshold,
        limit_order_price_offset_ratio=settings.limit_order_price_offset_ratio,
        cancel_opposite_orders_only=settings.cancel_opposite_orders_only,
        cancel_partially_filled=settings.cancel_partially_filled,
        cancel_external_orders=settings.cancel_external_orders,
        enable_order_amending=settings.enable_order_amending,
        enable_balance_check=settings.enable_balance_check,
        enable_order_size_reduction=settings.enable_order_size_reduction,
        allow_short=settings.allow_short,
        is_dry_run=settings.enable_dry_run,
    )
