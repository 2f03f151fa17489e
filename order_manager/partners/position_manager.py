"""The Position Manager: another service that knows what the account holds. See docs/position-manager.md."""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import requests
import structlog

from order_manager.domain.portfolio import Holding
from order_manager.errors import PositionManagerAway
from order_manager.partners.holdings import exposure_from, holding_from, holdings_from

log = structlog.get_logger(__name__)

T = TypeVar("T")
TIMEOUT_S = (1.0, 2.0)  # to connect, to answer
RETRY_S = 1.0  # who did not answer is not asked again for so long: each question would wait as long
OK, NOT_FOUND = 200, 404


class PositionManager:
    """Asks over HTTP. Every method raises PositionManagerAway; an outage is logged when it begins and ends.

    An answer that can't be used counts as none: no position at all is better than one that was misread.
    """

    def __init__(self, base_url: str, *, api_key: str) -> None:
        self._base_url = f"{base_url.rstrip('/')}/api/v1"
        self._session = requests.Session()
        self._session.trust_env = False  # like the exchange client: no proxy comes between
        self._session.headers.update({"X-API-Key": api_key, "Accept": "application/json"})
        self._silent_until = 0.0  # of the monotonic clock
        self._is_away = False

    def find(self, symbol: str) -> Holding | None:
        """The symbol's position; None when it knows of none, which is to say flat."""
        return self._ask(
            f"positions/{quote(symbol, safe='')}",
            lambda body: holding_from(body, symbol),
            may_be_missing=True,
        )

    def holding(self, symbol: str) -> Holding:
        """The same, flat where it knows of none."""
        return self.find(symbol) or Holding(symbol=symbol)

    def holdings(self) -> list[Holding]:
        """All positions, by symbol and mode."""
        return self._ask("positions", holdings_from) or []

    def total_exposure(self) -> Decimal:
        """Quote: the positions of all symbols, each counted as positive."""
        total = self._ask("portfolio/exposure", exposure_from)
        assert total is not None
        return total

    def _ask(self, path: str, read: Callable[[Any], T], *, may_be_missing: bool = False) -> T | None:
        """None for a 404 that may be."""
        if time.monotonic() < self._silent_until:
            raise PositionManagerAway(f"it did not answer within the last {RETRY_S:g} s")
        try:
            answer = self._get(f"{self._base_url}/{path}")
        except (requests.RequestException, OSError) as error:
            self._silent_until = time.monotonic() + RETRY_S
            self._lost(path, repr(error))
        if answer.status_code == NOT_FOUND and may_be_missing:
            self._regained()
            return None
        if answer.status_code != OK:
            self._lost(path, f"HTTP {answer.status_code}: {answer.text[:200]}")
        try:
            found = read(json.loads(answer.content, parse_float=Decimal))
        except (ValueError, RecursionError) as error:  # no JSON, or without what we need
            self._lost(path, f"unreadable answer: {error}")
        self._regained()
        return found

    def _get(self, url: str) -> requests.Response:
        """Once more where the connection was lost: the other side may have closed one that was idle."""
        try:
            return self._session.get(url, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            return self._session.get(url, timeout=TIMEOUT_S, allow_redirects=False)

    def _lost(self, path: str, why: str) -> NoReturn:
        if not self._is_away:
            self._is_away = True
            log.warning("position_manager_lost", path=path, error=why[:300])
        raise PositionManagerAway(why[:300])

    def _regained(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("position_manager_regained")
