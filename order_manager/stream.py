"""The stream process: what the exchange says on our private stream, into the store of updates."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from order_manager.bybit.hosts import private_stream_url
from order_manager.bybit.stream import PrivateStream
from order_manager.tasks.exchange_updates import update_receiver
from order_manager.threads import Idle, Loop, run_together
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)

STOP_WITHIN_S = 1.5


def run_stream(rt: Runtime) -> None:
    """Follow the private stream until SIGTERM or SIGINT."""
    log.info("stream_started")
    run_together({"stream": _loop(rt)}, stop_within_s=STOP_WITHIN_S)
    log.info("stream_stopped")


def _loop(rt: Runtime) -> Loop:
    settings = rt.settings
    if settings.enable_dry_run:
        log.info("stream_not_followed", reason="a dry run takes no notice of real orders")
        return Idle()
    receiver = update_receiver(rt)

    def on_rows(told: Mapping[str, Sequence[Mapping[str, Any]]], received_at: datetime) -> None:
        receiver.receive(told, source="stream", received_at=received_at)

    return PrivateStream(
        private_stream_url(settings.bybit_environment, paper_url=settings.bybit_paper_url),
        api_key=settings.bybit_api_key.get_secret_value(),
        api_secret=settings.bybit_api_secret.get_secret_value(),
        on_rows=on_rows,
        on_gap=receiver.gap,
    )
