"""The WebSocket gateway: asked to send us orders, positions and balances, and kept to it."""

import threading
from collections.abc import Callable

import requests
import structlog

from order_manager import metrics
from order_manager.errors import is_bug

log = structlog.get_logger(__name__)

CHANNELS = ("order", "position", "balance")
CREATED, CONFLICT = 201, 409  # it did not know us until now; it knows us already
SUBSCRIBED = {200, CREATED, CONFLICT}
TIMEOUT_S = (1.0, 2.0)  # to connect, to answer
RETRY_S = 2.0
START_S = 1.0  # for the queues to be there before the first message
REAFFIRM_S = 60.0  # it may have been restarted, and have forgotten us


class GatewaySubscriptions:
    """Subscribes to every channel at once, again after `renew`, and every minute.

    Updates may have been missed before a subscription that was new, or that followed a failure or a
    `renew`: then `on_gap` is called, and called again until it succeeds.
    """

    def __init__(
        self, base_url: str, *, api_key: str, service_name: str, on_gap: Callable[[str], None]
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/api/v1/subscriptions"
        self._service_name = service_name
        self._on_gap = on_gap
        self._session = requests.Session()
        self._session.trust_env = False  # like the exchange client: no proxy comes between
        self._session.headers["X-API-Key"] = api_key
        self._is_subscribed: dict[str, bool | None] = dict.fromkeys(CHANNELS)
        self._missed = set(CHANNELS)  # on which something may have been missed
        self._wake = threading.Event()
        self._is_renewal_due = False
        self._should_stop = False

    def renew(self) -> None:
        """The broker was reconnected: subscribe again, now. For any thread."""
        self._is_renewal_due = True
        self._wake.set()

    def stop(self) -> None:
        self._should_stop = True
        self._wake.set()

    def run_for_ever(self) -> None:
        """Until `stop`."""
        self._wake.wait(START_S)
        while True:
            self._wake.clear()  # before the looks at what it stands for, so that none is slept over
            if self._should_stop:
                break
            if self._is_renewal_due:
                self._is_renewal_due, self._missed = False, set(CHANNELS)
            self._wake.wait(REAFFIRM_S if self.subscribe() else RETRY_S)
        self._session.close()

    def subscribe(self) -> bool:
        """One round over the channels; whether all is well after it."""
        subscribed: set[str] = set()
        try:
            for channel in CHANNELS:
                if self._subscribe(channel):
                    subscribed.add(channel)
        except Exception as error:  # noqa: BLE001 - signals share the process: nothing here may end it
            # Most likely it is away, and would not answer for the other channels either.
            for channel in CHANNELS:
                if channel not in subscribed:
                    self._failed(channel, repr(error))
        return self._announce_gap(subscribed) and len(subscribed) == len(CHANNELS)

    def _subscribe(self, channel: str) -> bool:
        body = {"channel_type": channel, "requesting_service": self._service_name}
        answer = self._session.post(self._url, json=body, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code not in SUBSCRIBED:
            self._failed(channel, f"HTTP {answer.status_code}: {answer.text[:200]}")
            return False
        if answer.status_code == CREATED:
            self._missed.add(channel)
        if not self._is_subscribed[channel]:
            log.info("gateway_subscribed", channel=channel, http_status=answer.status_code)
        self._is_subscribed[channel] = True
        metrics.GATEWAY_SUBSCRIBED.labels(channel).set(1)
        return True

    def _failed(self, channel: str, error: str) -> None:
        self._missed.add(channel)
        if self._is_subscribed[channel] is not False:
            log.warning("gateway_subscription_failed", channel=channel, error=error[:300], retry_s=RETRY_S)
        self._is_subscribed[channel] = False
        metrics.GATEWAY_SUBSCRIBED.labels(channel).set(0)

    def _announce_gap(self, subscribed: set[str]) -> bool:
        if not self._missed & subscribed:
            return True
        try:
            self._on_gap("gateway resubscribed")
        except Exception as error:  # the database or the broker is away: again in a moment
            log.error(
                "gateway_gap_not_announced",
                error=repr(error)[:300],
                retry_s=RETRY_S,
                exc_info=is_bug(error),
            )
            return False
        self._missed -= subscribed
        return True
