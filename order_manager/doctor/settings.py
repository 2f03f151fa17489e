"""Settings that can be used, and look dangerous all the same."""

import difflib
import os
from collections.abc import Iterable, Iterator

from dotenv import dotenv_values

from order_manager.doctor.findings import Finding, ok, warning
from order_manager.settings import DEFAULT_API_KEY, Settings, setting_names

OURS = ("ORDERMANAGER_", "ORDER_MANAGER_", "BYBIT_")
ELSEWHERE = {"ORDER_MANAGER_VERSION", "ORDERMANAGER_PAPER_CONTROL_TOKEN"}  # compose's, the paper exchange's
LOCAL = {"127.0.0.1", "localhost", "::1"}


def look_at_settings(settings: Settings, environment: Iterable[str] = ()) -> list[Finding]:
    """`environment` are the names of what is set."""
    dangers = [*_unknown(environment), *_access(settings), *_trading(settings), *_times(settings)]
    said = f"all {len(type(settings).model_fields)} could be read; {settings.bybit_environment}"
    said += f", {settings.bybit_category}{', dry run' if settings.enable_dry_run else ''}"
    return [ok("settings", said), *dangers]


def environment_names() -> set[str]:
    """What is set, in the environment and in .env, and not empty."""
    return {name for name, value in {**dotenv_values(".env"), **os.environ}.items() if value}


def _unknown(environment: Iterable[str]) -> Iterator[Finding]:
    """A name that is misspelt is no setting, and would do nothing without a word."""
    known = setting_names()
    for name in sorted(environment):
        if name.startswith(OURS) and name not in known | ELSEWHERE:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            mend = f"it does nothing; is {nearest[0]} meant?" if nearest else "it does nothing: remove it"
            yield _danger(name, "no setting has this name", mend)


def _danger(name: str, text: str, mend: str) -> Finding:
    return warning("settings", f"{name}: {text}", mend)


def _access(settings: Settings) -> Iterator[Finding]:
    if DEFAULT_API_KEY in settings.operating_keys:
        yield _danger(
            "ORDERMANAGER_API_KEY", "the key that everybody knows opens the REST API", "set one of your own"
        )
    is_guest = settings.rabbitmq_user == "guest" or settings.rabbitmq_password.get_secret_value() == "guest"
    if settings.broker_is_rabbitmq and is_guest and settings.rabbitmq_host not in LOCAL:
        yield _danger("RABBITMQ_USER", "RabbitMQ's own guest on another machine", "make a user of your own")
    for name, host, password in (
        ("POSTGRES_PASSWORD", settings.postgres_host, settings.postgres_password),
        ("REDIS_PASSWORD", settings.redis_host, settings.redis_password),
    ):
        if host is not None and host not in LOCAL and not password.get_secret_value():
            yield _danger(name, f"no password for {host}", "set one there and here")


def _trading(settings: Settings) -> Iterator[Finding]:
    if settings.enable_dry_run:
        yield _danger("ORDERMANAGER_ENABLE_DRY_RUN", "nothing is sent to the exchange", "unset it to trade")
    if not settings.enable_balance_check:
        yield _danger(
            "ORDERMANAGER_ENABLE_BALANCE_CHECK", "orders are not checked against the balance", "unset it"
        )
    if settings.cancel_external_orders:
        yield _danger(
            "ORDERMANAGER_CANCEL_EXTERNAL_ORDERS", "orders that people placed are cancelled", "unset it"
        )
    if settings.allow_short:
        yield _danger("ORDERMANAGER_ALLOW_SHORT", "a sell may open a short", "unset it unless that is meant")
    if settings.max_order_size_ratio > 1 / 2:
        said = f"one order may take {settings.max_order_size_ratio * 100:f} % of the balance"
        yield _danger("ORDERMANAGER_MAX_ORDER_SIZE_RATIO", said, "lower it")
    if settings.max_single_order_size > settings.max_exposure:
        limit = f"ORDERMANAGER_MAX_EXPOSURE, {settings.max_exposure:f}"
        said = f"{settings.max_single_order_size:f} is above {limit}"
        yield _danger("ORDERMANAGER_MAX_SINGLE_ORDER_SIZE", said, "raise the one or lower the other")
    if settings.position_manager_host is not None and settings.position_manager_fallback == "own":
        yield _danger(
            "ORDERMANAGER_POSITION_MANAGER_FALLBACK",
            "limits count our own positions while the Position Manager is away",
            "unset it once that is over",
        )


def _times(settings: Settings) -> Iterator[Finding]:
    if settings.recv_window_ms > 10_000:
        said = f"{settings.recv_window_ms} ms: the fate of a lost order stays open for so long"
        yield _danger("ORDERMANAGER_RECV_WINDOW_MS", said, "keep clocks right with NTP, and lower it to 5000")
    if settings.market_data_max_age_s > 5:
        said = f"decisions may use prices that are {settings.market_data_max_age_s:g} s old"
        yield _danger("ORDERMANAGER_MARKET_DATA_MAX_AGE", said, "lower it")
    if settings.retry_max_delay_s > settings.order_execution_timeout_s:
        said = f"a pause of {settings.retry_max_delay_s:g} s outlasts ORDERMANAGER_ORDER_EXECUTION_TIMEOUT"
        yield _danger("ORDERMANAGER_BYBIT_API_RETRY_MAX_DELAY", said, "lower it")
    if settings.reconciliation_interval_s > 600:
        said = f"compared with the exchange only every {settings.reconciliation_interval_s:g} s"
        yield _danger("ORDERMANAGER_RECONCILIATION_INTERVAL", said, "lower it; 60 is usual")
