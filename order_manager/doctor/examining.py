"""The whole examination: settings, connections, schema, clock, key, queues, workers, beat, stream."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from order_manager.database.engine import connect
from order_manager.database.lane_views import LaneView, list_lanes
from order_manager.database.queries import Page
from order_manager.doctor import account, fleet
from order_manager.doctor.connections import TIMEOUT_S, looks_at_connections
from order_manager.doctor.findings import Finding, Level, Look, look_at_all, problem, warning
from order_manager.doctor.positions import look_at_positions
from order_manager.doctor.queues import look_at_queues
from order_manager.doctor.schema import look_at_schema
from order_manager.doctor.settings import environment_names, look_at_settings
from order_manager.errors import SettingsInvalid
from order_manager.processes import Intake, Process, read_intake
from order_manager.settings import Settings, load_settings
from order_manager.wiring import build_exchange


def examine(
    metrics_urls: Mapping[str, str], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Finding]:
    """Every finding; what rests on something that is away is left out, as that is said already.

    `metrics_urls` are those of processes to ask too, each with its name, or an empty one.
    """
    try:
        settings = load_settings()
        engine = connect(settings.postgres_url, pool_size=2)
        _ = settings.redis_url
    except SettingsInvalid as error:
        return [problem("settings", str(error), "set the variable that is named, and ask again")]
    try:
        return [
            *look_at_settings(settings, environment_names()),
            *_parts(settings, engine, metrics_urls, now()),
        ]
    finally:
        engine.dispose()


def _parts(
    settings: Settings, engine: Engine, metrics_urls: Mapping[str, str], now: datetime
) -> list[Finding]:
    found = look_at_all(looks_at_connections(settings, engine))
    away = {one.about for one in found if one.level is Level.PROBLEM}
    if "database" not in away:
        schema = look_at_all([("schema", lambda: look_at_schema(engine))])
        found += schema
        away |= {"database" for one in schema if one.level is Level.PROBLEM}
    lanes = [] if "database" in away else list_lanes(engine, page=Page(limit=1000, offset=0))[0]
    pages, silent = fleet.read_pages(metrics_urls)
    found += silent
    intake = read_intake(settings, timeout_s=TIMEOUT_S) if "redis" not in away else Intake()
    found += fleet.look_at_heartbeats(settings, intake)
    broker = "rabbitmq" if settings.broker_is_rabbitmq else "redis"
    looks = _looks(settings, engine, lanes, pages, intake.processes or (), now)
    if "bybit_api" in away:
        why = "could not be asked: the exchange does not answer as it should"
        found += [warning(about, why, "see bybit_api") for about in ("clock", "key")]
    return found + look_at_all(
        [
            (about, look)
            for about, needed, look in looks
            if (broker if needed == "broker" else needed) not in away
        ]
    )


def _looks(
    settings: Settings,
    engine: Engine,
    lanes: Sequence[LaneView],
    pages: Sequence[str],
    processes: Sequence[Process],
    now: datetime,
) -> list[tuple[str, str, Look]]:
    """(about, what it needs, look)"""
    client = build_exchange(settings, pause=lambda seconds: None)
    return [
        ("clock", "bybit_api", lambda: account.look_at_clock(settings, client)),
        ("key", "bybit_api", lambda: account.look_at_key(settings, client, now=now)),
        ("queues", "broker", lambda: look_at_queues(settings, [lane.symbol for lane in lanes])),
        ("workers", "broker", lambda: fleet.look_at_workers(settings, lanes, processes)),
        (
            "beat",
            "database",
            lambda: fleet.look_at_beat(settings, engine, lanes, pages, processes, now_s=now.timestamp()),
        ),
        ("positions", "database", lambda: look_at_positions(engine)),
        ("stream", "", lambda: fleet.look_at_stream(settings, pages, processes)),
    ]
