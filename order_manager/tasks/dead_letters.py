"""What replays dead letters, put together with the tasks that it sends."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

import structlog
from kombu.exceptions import OperationalError

from order_manager.database.dead_letters import DeadLetterStore
from order_manager.database.update_rows import update_from
from order_manager.domain.exchange import Update
from order_manager.errors import UnreadableAnswer
from order_manager.messaging.republisher import Republisher
from order_manager.queues import ORDER_UPDATES, SIGNALS
from order_manager.services.dead_letters import REPEATABLE, Replaying
from order_manager.services.receive_updates import UpdateReceiver
from order_manager.tasks.exchange_updates import update_receiver
from order_manager.wiring import Runtime

log = structlog.get_logger(__name__)


def build_replaying(rt: Runtime) -> Replaying:
    settings = rt.settings
    hears_gateway = settings.ws_gateway_host is not None and not settings.enable_dry_run
    unread = _Unread(rt.inbox.known_lanes)
    stored = {kind: partial(_stored, kind) for kind in REPEATABLE}
    return Replaying(
        store=DeadLetterStore(rt.engine),
        # An old position or balance would pass for news.
        consumed=frozenset({SIGNALS, ORDER_UPDATES} if hears_gateway else {SIGNALS}),
        publish=Republisher(settings.broker_url, is_rabbitmq=settings.broker_is_rabbitmq).publish,
        receive_told=partial(_receive, update_receiver(rt, dead_letters=unread)),
        receive_stored=partial(_receive, update_receiver(rt, dead_letters=unread, readers=stored)),
        is_dry_run=settings.enable_dry_run,
    )


def _receive(
    receiver: UpdateReceiver, topic: str, row: Mapping[str, Any], *, source: str, received_at: datetime
) -> None:
    try:
        receiver.receive({topic: [row]}, source=source, received_at=received_at)
    except OperationalError as error:  # the update is kept, and the sweep wakes its lane
        log.warning("wake_up_lost", symbol=row.get("symbol"), error=repr(error))


def _stored(kind: str, row: Mapping[str, Any]) -> Update:
    try:
        return update_from(kind, row)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreadableAnswer(repr(error)) from None


class _Unread:
    """In the place of the inbox: what can still not be read is the letter that it was, not another one."""

    def __init__(self, known_lanes: Callable[[], Mapping[str, int]]) -> None:
        self.known_lanes = known_lanes

    def record_dead_letter(self, *, reason: str, **_: Any) -> NoReturn:
        raise UnreadableAnswer(reason)
