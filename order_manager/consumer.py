"""The consumer process: signals off the broker, into the inbox, and on to their symbols' queues."""

import signal as unix_signal
from collections.abc import Mapping
from typing import Any

import structlog

from order_manager import queues
from order_manager.domain.signals import Signal
from order_manager.messaging.intake_rabbitmq import RabbitmqIntake
from order_manager.messaging.intake_redis import RedisIntake
from order_manager.messaging.signals import parse_signal
from order_manager.services.desk import utc_now
from order_manager.services.receive_signal import Routes, SignalReceiver
from order_manager.tasks.app import app
from order_manager.tasks.sending import send_open_symbol
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)


def send_execute(signal: Signal) -> None:
    app.send_task(
        "execute_signal",
        args=[signal.signal_id, signal.symbol],
        queue=queues.symbol_queue(signal.symbol),
        headers={"trace_id": signal.trace_id},
        ignore_result=True,  # else each send subscribes to a result that nobody reads
    )


def send_publish_rejections() -> None:
    app.send_task("publish_rejections", queue=queues.MAINTENANCE, ignore_result=True)


def signal_receiver(rt: Runtime) -> SignalReceiver:
    def parse(body: bytes, headers: Mapping[str, Any]) -> Signal:
        return parse_signal(body, headers=headers, max_bytes=rt.settings.max_message_bytes)

    routes = Routes(
        execute=send_execute, open_symbol=send_open_symbol, publish_rejections=send_publish_rejections
    )
    return SignalReceiver(store=rt.inbox, parse=parse, routes=routes, now=utc_now)


def run_consumer(rt: Runtime) -> None:
    """Consume until SIGTERM or SIGINT; the message in hand is finished first."""
    handle = signal_receiver(rt).handle
    intake: RabbitmqIntake | RedisIntake
    if rt.settings.broker_is_rabbitmq:
        intake = RabbitmqIntake(rt.settings.broker_url, queues.SIGNALS, handle)
    else:
        intake = RedisIntake(rt.settings.redis_url, queues.SIGNALS, handle)

    def stop(*_: Any) -> None:
        intake.stop()

    unix_signal.signal(unix_signal.SIGTERM, stop)
    unix_signal.signal(unix_signal.SIGINT, stop)
    log.info("consumer_started", queue=queues.SIGNALS)
    intake.run_for_ever()
    log.info("consumer_stopped")
