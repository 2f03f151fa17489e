"""The consumer process: signals off the broker, into the inbox, and on to their symbols' queues.

The gateway's updates come in beside them, where there is a gateway, in threads of their own: a flood of
updates must not make a signal wait.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from order_manager import queues
from order_manager.domain.signals import Signal
from order_manager.messaging.deliveries import Delivery, HandleAll
from order_manager.messaging.intake_rabbitmq import RabbitmqIntake
from order_manager.messaging.intake_redis import RedisIntake
from order_manager.messaging.signals import parse_signal
from order_manager.messaging.update_intake import UpdateIntake
from order_manager.partners.ws_gateway import GatewaySubscriptions
from order_manager.services.desk import utc_now
from order_manager.services.receive_signal import Routes, SignalReceiver
from order_manager.settings import Settings
from order_manager.tasks.app import app
from order_manager.tasks.exchange_updates import update_receiver
from order_manager.tasks.sending import send_open_symbol
from order_manager.threads import Loop, run_together
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)

STOP_WITHIN_S = 12.0  # the supervisor waits a little longer
UPDATE_BATCH = 50


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
    """Consume until SIGTERM or SIGINT; the messages in hand are finished first."""
    loops = signal_loops(rt)
    if rt.settings.ws_gateway_host is not None:
        if rt.settings.enable_dry_run:
            log.info("gateway_not_consumed", reason="a dry run takes no notice of real orders")
        else:
            loops |= gateway_loops(rt)
    log.info("consumer_started", loops=list(loops))
    run_together(loops, stop_within_s=STOP_WITHIN_S)
    log.info("consumer_stopped")


def signal_loops(rt: Runtime) -> dict[str, Loop]:
    receiver = signal_receiver(rt)

    def handle(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            receiver.handle(delivery.body, delivery.headers, delivery.queue)

    settings = rt.settings
    if settings.broker_is_rabbitmq:
        return {"signals": RabbitmqIntake(settings.broker_url, [queues.SIGNALS], handle)}
    return {"signals": RedisIntake(settings.redis_url, queues.SIGNALS, handle)}


def gateway_loops(rt: Runtime) -> dict[str, Loop]:
    settings, receiver = rt.settings, update_receiver(rt)
    subscriptions = GatewaySubscriptions(
        f"http://{settings.ws_gateway_host}:{settings.ws_gateway_port}",
        api_key=settings.ws_gateway_api_key.get_secret_value(),
        service_name=settings.service_name,
        on_gap=receiver.gap,
    )
    intake = UpdateIntake(receiver=receiver, dead_letters=rt.inbox, now=utc_now)
    return {"gateway": subscriptions, **_update_intakes(settings, intake.handle, subscriptions)}


def _update_intakes(
    settings: Settings, handle: HandleAll, subscriptions: GatewaySubscriptions
) -> dict[str, Loop]:
    if settings.broker_is_rabbitmq:
        intake = RabbitmqIntake(
            settings.broker_url,
            queues.UPDATES,
            handle,
            batch=UPDATE_BATCH,
            arguments=queues.UPDATE_QUEUE_ARGUMENTS,
            on_connected=subscriptions.renew,
        )
        return {"updates": intake}
    return {
        queue: RedisIntake(
            settings.redis_url, queue, handle, batch=UPDATE_BATCH, on_connected=subscriptions.renew
        )
        for queue in queues.UPDATES
    }
