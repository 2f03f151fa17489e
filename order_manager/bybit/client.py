"""The exchange as the services see it: domain values in and out."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import structlog

from order_manager.bybit import wire, wire_account
from order_manager.bybit.calls import TIME, Calls, rows_of
from order_manager.bybit.encoding import Value
from order_manager.bybit.fields import Row, UnknownWireValue, from_ms, optional_text, text, to_ms
from order_manager.bybit.governor import Governor
from order_manager.bybit.retcodes import CREATE
from order_manager.bybit.transport import Transport
from order_manager.bybit.wire_account import BalanceRule, KeyInfo
from order_manager.domain.exchange import Acceptance, Evidence, Execution
from order_manager.domain.instruments import Instrument
from order_manager.domain.orders import Category, OrderReport, OrderRequest
from order_manager.domain.positions import Position, PositionMode
from order_manager.domain.state import Market
from order_manager.errors import DuplicateOrder, ExchangeError, OutcomeUnknown, Refused

log = structlog.get_logger()

AMEND = "/v5/order/amend"
CANCEL = "/v5/order/cancel"
REALTIME = "/v5/order/realtime"
HISTORY = "/v5/order/history"
EXECUTIONS = "/v5/execution/list"
POSITIONS = "/v5/position/list"
WALLET = "/v5/account/wallet-balance"
KEY = "/v5/user/query-api"
TICKERS = "/v5/market/tickers"
INSTRUMENTS = "/v5/market/instruments-info"

PARAMETER_ERROR = 10001
SETTLE_COINS = ("USDT", "USDC")
BALANCE_COIN = "USDT"
HALF_HISTORY_MS = 3 * 86_400_000  # either side of a moment; order/history spans seven days at most
HISTORY_SPAN_MS = 7 * 86_400_000 - 1000  # execution/list likewise

T = TypeVar("T")
Name = dict[str, Value]  # {"orderLinkId": ...} or {"orderId": ...}


def utc_now() -> datetime:
    return datetime.now(UTC)


def balance_rule(category: Category) -> BalanceRule:
    """The account's total for linear, the coin's spendable amount for spot."""
    return BalanceRule.ACCOUNT if category is Category.LINEAR else BalanceRule.COIN_SPENDABLE


class BybitClient:
    """Bybit v5 for one category of one account. Fits `services.ports.Exchange`.

    Reads retry whatever is retryable. place, cancel and amend retry only what was certainly not applied;
    OutcomeUnknown leaves at once, and nothing is ever sent again blind.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        category: Category,
        governor: Governor | None = None,
        attempts: int = 3,
        base_delay_s: float = 1.0,
        max_delay_s: float = 30.0,
        multiplier: float = 2.0,
        balance_coin: str = BALANCE_COIN,
        rule: BalanceRule | None = None,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`pause` is used for every wait and may raise to give up, for instance when a lane is lost.

        `rule` of the balance defaults to the one of the category.
        """
        self.transport = transport
        self._calls = Calls(
            transport,
            category=category.value,
            governor=governor,
            attempts=attempts,
            base_delay_s=base_delay_s,
            max_delay_s=max_delay_s,
            multiplier=multiplier,
            pause=pause,
        )
        self._category = category
        self._balance_coin = balance_coin
        self._balance_rule = rule or balance_rule(category)
        self._now = now

    def place_order(
        self, request: OrderRequest, *, sign_at: Callable[[], datetime] | None = None
    ) -> Acceptance:
        """Send a new order; an order of ours that is there already under its client_order_id is adopted.

        `sign_at` is asked right before each attempt and may raise to forbid it; the exchange refuses a
        request that reaches it more than the receive window after that moment.

        Raises Refused (a final no), OutcomeUnknown (look for evidence before anything else), or
        RateLimited, Unavailable, AccessDenied (certainly not placed).
        """
        try:
            reply = self._calls.post(CREATE, wire.order_to_wire(request), sign_at=sign_at)
        except DuplicateOrder as error:
            return self._adopted(request, error)
        exchange_order_id = optional_text(reply.result, "orderId")
        if not exchange_order_id:
            raise OutcomeUnknown("accepted without an orderId")
        return Acceptance(exchange_order_id=exchange_order_id, at=from_ms(reply.time_ms))

    def cancel_order(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> None:
        """Ask for the order's end. OrderNotFound: it is gone, it filled, or is not visible yet; look.

        With `exchange_order_id` the order is named by that: others' orders need not have a link id.
        """
        self._calls.post(CANCEL, self._query(symbol, **_name(client_order_id, exchange_order_id)))

    def amend_order(
        self, symbol: str, client_order_id: str, *, quantity: Decimal | None, price: Decimal | None
    ) -> None:
        """Change an open order; `quantity` is the new total. None leaves as it is."""
        changes = {"qty": quantity, "price": price}
        body = self._query(symbol, orderLinkId=client_order_id)
        self._calls.post(AMEND, body | {name: value for name, value in changes.items() if value is not None})

    def evidence(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> Evidence:
        """What order/realtime, order/history and execution/list show, asked in this order.

        With `exchange_order_id` the order is named by that. Raises rather than report an absence that not
        every one of them confirmed.
        """
        asked_at = self._now()
        name = _name(client_order_id, exchange_order_id)
        query = self._query(symbol, **name)
        report = self._find(REALTIME, query, name) or self._find(HISTORY, query, name)
        if report is None and (fills := self._executions(symbol, name)):
            report = self._order_of(fills[0], query, name)
        return Evidence(report=report, asked_at=asked_at)

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Every open order of the symbol, those of others on the account included."""
        reports = list(
            self._readable(
                wire.order_report, self._calls.rows(REALTIME, self._query(symbol, openOnly=0, limit=50))
            )
        )
        # Pages shift while orders come and go, so one may show twice.
        unique = {report.exchange_order_id: report for report in reports if not report.status.is_terminal}
        return tuple(unique.values())

    def closed_orders_since(self, symbol: str, since: datetime) -> tuple[OrderReport, ...]:
        """Orders placed from `since` on that have ended, others' included, those without a fill for a day."""
        reports = self._since(HISTORY, wire.order_report, symbol, since, limit=50)
        return tuple({report.exchange_order_id: report for report in reports}.values())

    def executions(
        self, symbol: str, client_order_id: str, *, exchange_order_id: str | None = None
    ) -> tuple[Execution, ...]:
        """The order's fills, oldest first."""
        return self._executions(symbol, _name(client_order_id, exchange_order_id))

    def executions_since(self, symbol: str, since: datetime) -> tuple[Execution, ...]:
        """All that was booked on the symbol from `since` on, oldest first; others' orders included."""
        return _oldest_first(self._since(EXECUTIONS, wire.execution, symbol, since, limit=100))

    def symbols_in_use(self, since: datetime | None = None) -> frozenset[str]:
        """Every symbol of the category with an open order or a position, whoever made them.

        With `since` also those on which anything was booked from then on.
        """
        places: list[dict[str, Value]] = [{}]
        if self._category is not Category.SPOT:
            places = [{"settleCoin": coin} for coin in SETTLE_COINS]
        found = {position.symbol for position in self.positions()}
        for place in places:
            query: dict[str, Value] = {
                "category": self._category.value,
                "openOnly": 0,
                "limit": 50,
                **place,
            }
            found.update(text(row, "symbol") for row in self._calls.rows(REALTIME, query))
        for window in self._windows(since) if since else ():
            query = {"category": self._category.value, **window, "limit": 100}
            found.update(text(row, "symbol") for row in self._calls.rows(EXECUTIONS, query))
        return frozenset(found)

    def position(self, symbol: str) -> Position | None:
        """The symbol's position, flat ones too; None on spot, where there are none."""
        found = self.positions(symbol)
        return found[0] if found else None

    def coin_balance(self, coin: str) -> Decimal:
        """How much of a coin the wallet holds, locked amounts included."""
        reply = self._calls.get(WALLET, {"accountType": "UNIFIED", "coin": coin})
        return sum((wire_account.coin_balance(account, coin) for account in rows_of(reply)), Decimal(0))

    def instrument(self, symbol: str) -> Instrument | None:
        """The symbol's rules; None if the exchange does not list it."""
        try:
            rows = list(self._calls.rows(INSTRUMENTS, self._query(symbol), signed=False))
        except Refused as error:
            if error.ret_code == PARAMETER_ERROR:  # "symbol invalid"
                return None
            raise
        row = next((row for row in rows if row.get("symbol") == symbol), None)
        return wire_account.instrument(row, category=self._category) if row else None

    def instruments(self) -> tuple[Instrument, ...]:
        """Every listed instrument; one that cannot be read is logged and left out."""
        found: list[Instrument] = []
        for row in self._calls.rows(
            INSTRUMENTS, {"category": self._category.value, "limit": 1000}, signed=False
        ):
            try:
                found.append(wire_account.instrument(row, category=self._category))
            except UnknownWireValue as error:
                log.warning("instrument_unreadable", symbol=row.get("symbol"), error=str(error))
        return tuple(found)

    def market(self, symbol: str) -> Market:
        reply = self._calls.get(TICKERS, self._query(symbol), signed=False)
        row = next((row for row in rows_of(reply) if row.get("symbol") == symbol), None)
        if row is None:
            raise UnknownWireValue("list", None, reply.result)
        return wire_account.market(row, at=from_ms(reply.time_ms))

    def available_balance(self) -> Decimal:
        """What new orders may spend, by the client's balance rule."""
        reply = self._calls.get(WALLET, {"accountType": "UNIFIED", "coin": self._balance_coin})
        accounts = rows_of(reply)
        if not accounts:
            raise UnknownWireValue("list", accounts, reply.result)
        return wire_account.available_balance(accounts[0], rule=self._balance_rule, coin=self._balance_coin)

    def positions(self, symbol: str | None = None) -> tuple[Position, ...]:
        """The symbol's position, even when flat; without a symbol every position that is not flat.

        Spot has none: there the wallet is the position.
        """
        if self._category is Category.SPOT:
            return ()
        places = [("symbol", symbol)] if symbol else [("settleCoin", coin) for coin in SETTLE_COINS]
        rows: dict[str, list[Row]] = {}
        for name, value in places:
            query: dict[str, Value] = {"category": self._category.value, name: value, "limit": 200}
            for row in self._calls.rows(POSITIONS, query):
                rows.setdefault(optional_text(row, "symbol"), []).append(row)
        return tuple(wire_account.position(name, legs) for name, legs in rows.items())

    def position_mode(self, symbol: str) -> PositionMode:
        """One-way where the exchange shows no row: spot, or a symbol never touched."""
        found = self.position(symbol)
        return found.mode if found else PositionMode.ONE_WAY

    def key_info(self) -> KeyInfo:
        """What our API key may do."""
        return wire_account.key_info(self._calls.get(KEY, {}).result)

    def server_time(self) -> datetime:
        reply = self._calls.get(TIME, {}, signed=False)
        return wire_account.server_time(reply.result, reply.time_ms)

    def clock_skew_ms(self) -> int:
        """How far our clock is ahead of the exchange's."""
        return self._calls.clock_skew_ms()

    def _readable(self, read: Callable[..., T], rows: Iterable[Row]) -> Iterator[T]:
        """What can be read; the rest is logged and left out. Nobody concludes from an absence here."""
        for row in rows:
            try:
                yield read(row, category=self._category)
            except UnknownWireValue as error:
                log.error("record_unreadable", order=row.get("orderId"), error=str(error))

    def _since(
        self, endpoint: str, read: Callable[..., T], symbol: str, since: datetime, *, limit: int
    ) -> Iterator[T]:
        """All that the endpoint lists of the symbol from `since` on; pages and windows may overlap."""
        for window in self._windows(since):
            yield from self._readable(
                read, self._calls.rows(endpoint, self._query(symbol, **window, limit=limit))
            )

    def _windows(self, since: datetime) -> Iterator[dict[str, Value]]:
        """From `since` until now, in parts as long as the exchange takes."""
        until_ms = to_ms(self._now()) + 60_000  # the exchange's clock may be ahead
        start_ms = to_ms(since)
        while start_ms < until_ms:
            end_ms = min(start_ms + HISTORY_SPAN_MS, until_ms)
            yield {"startTime": start_ms, "endTime": end_ms}
            start_ms = end_ms

    def _query(self, symbol: str, **more: Value) -> dict[str, Value]:
        return {"category": self._category.value, "symbol": symbol, **more}

    def _find(self, endpoint: str, query: dict[str, Value], name: Name) -> OrderReport | None:
        """The order of that name, or None; stops at the first page that has it."""
        for row in self._calls.rows(endpoint, query):
            _check_name(row, name)
            return wire.order_report(row, category=self._category)
        return None

    def _executions(self, symbol: str, name: Name) -> tuple[Execution, ...]:
        found: list[Execution] = []
        for row in self._calls.rows(EXECUTIONS, self._query(symbol, limit=100, **name)):
            _check_name(row, name)
            found.append(wire.execution(row, category=self._category))
        return _oldest_first(found)

    def _order_of(self, fill: Execution, query: dict[str, Value], name: Name) -> OrderReport:
        """The order behind a fill: an old one shows only when history is asked about its own days."""
        around = round(fill.executed_at.timestamp() * 1000)
        window: dict[str, Value] = {
            "startTime": around - HALF_HISTORY_MS,
            "endTime": around + HALF_HISTORY_MS,
        }
        report = self._find(HISTORY, query | window, name)
        if report is None:
            raise OutcomeUnknown(f"{fill.exchange_order_id}: it has fills, but no order shows yet")
        return report

    def _adopted(self, request: OrderRequest, duplicate: DuplicateOrder) -> Acceptance:
        """The order that already has this client_order_id, if it is the wanted one."""
        try:
            report = self.evidence(request.symbol, request.client_order_id).report
        except ExchangeError as error:
            # The look-up failed; that it "was not applied" must not sound as if the order was not.
            raise OutcomeUnknown(f"duplicate, and looking it up failed: {error}") from error
        if report is None:
            raise OutcomeUnknown(
                "duplicate, and the order does not show yet", ret_code=duplicate.ret_code
            ) from duplicate
        wanted = (request.symbol, request.side, request.order_type, request.quantity)
        if (report.symbol, report.side, report.order_type, report.quantity) != wanted:
            raise Refused(
                f"another order has the client_order_id {request.client_order_id}",
                ret_code=duplicate.ret_code,
            ) from duplicate
        log.info("order_adopted", exchange_order_id=report.exchange_order_id, symbol=request.symbol)
        return Acceptance(exchange_order_id=report.exchange_order_id, at=report.created_at)


def _name(client_order_id: str, exchange_order_id: str | None) -> Name:
    return {"orderLinkId": client_order_id} if exchange_order_id is None else {"orderId": exchange_order_id}


def _oldest_first(executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """Each execution once."""
    unique = {booked.exec_id: booked for booked in executions}
    return tuple(sorted(unique.values(), key=lambda booked: (booked.executed_at, booked.exec_id)))


def _check_name(row: Row, name: Name) -> None:
    """An answer about another order proves nothing about ours."""
    for field, value in name.items():
        if row.get(field) != value:
            raise UnknownWireValue(field, row.get(field), row)
