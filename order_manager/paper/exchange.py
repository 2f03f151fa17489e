"""The exchange as a whole: engine, accounts by key, ledger, journal, streams, limits, faults in one place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from order_manager.paper.accounts import MARGIN_COIN, ONE_WAY, Account
from order_manager.paper.clock import Clock
from order_manager.paper.engine import Engine
from order_manager.paper.faults import Faults
from order_manager.paper.feed import Feed
from order_manager.paper.floor import ACCOUNT, WALLET
from order_manager.paper.instruments import default_instruments, with_tapes
from order_manager.paper.journal import Journal
from order_manager.paper.ledger import Ledger
from order_manager.paper.limits import (
    DEFAULT_CREATE_LIMIT,
    DEFAULT_READ_LIMIT,
    AddressLimit,
    RateLimits,
)
from order_manager.paper.orders import Order
from order_manager.paper.restore import restore, snapshot
from order_manager.paper.streams import Streams
from order_manager.paper.tapes import read_tapes

DEFAULT_LEDGER_LIMIT = 1_000_000
FROZEN_STEP_MS = 200  # of a recording, that a step skipped by hand takes while prices are frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """How the paper exchange behaves. Times in milliseconds, limits in requests per second."""

    host: str = "127.0.0.1"
    port: int = 4700  # 0 takes any free port
    seed: int = 7
    keys: tuple[tuple[str, str], ...] = ()  # (api key, secret), one account each
    control_token: str = ""  # no token, no control path
    balance: Decimal = Decimal(100_000)  # USDT each account starts with
    price_interval_ms: int = 200  # 0 freezes the price paths
    ack_delay_ms: int = 0  # from the acknowledgement to the market; until then an order is invisible
    create_limit: int = DEFAULT_CREATE_LIMIT
    read_limit: int = DEFAULT_READ_LIMIT
    ip_limit: bool = False
    extra_symbols: int = 0
    partial_fill_chance: float = 0.15
    state_file: Path | None = None
    price_files: tuple[Path, ...] = ()  # recorded prices to replay instead of the seeded path
    price_speed: Decimal = Decimal(1)  # of the replay
    ledger_limit: int = DEFAULT_LEDGER_LIMIT  # entries kept
    stream_idle_ms: int = 600_000  # a stream that nobody used for so long is cut
    stream_queue_limit: int = 10_000  # messages that may wait for a slow client


class Exchange:
    """State and rules, no sockets."""

    def __init__(self, settings: PaperSettings, now_ms: int) -> None:
        self.settings = settings
        self.clock = Clock()
        step_ms = settings.price_interval_ms or FROZEN_STEP_MS
        self._tapes = read_tapes(settings.price_files, ms_per_tick=step_ms * settings.price_speed)
        self.journal = Journal(settings.state_file)
        self.limits = RateLimits(create_limit=settings.create_limit, read_limit=settings.read_limit)
        self.addresses = AddressLimit(is_on=settings.ip_limit)
        self.faults = Faults()
        self.ledger = Ledger(limit=settings.ledger_limit)
        self.by_key: dict[str, Account] = {}
        self.engine = self._new_engine()
        self.streams = Streams(queue_limit=settings.stream_queue_limit)
        self.public_streams = Streams(queue_limit=settings.stream_queue_limit)
        self.followers: list[Callable[[], None]] = []  # called at the end of each commit
        self.feed = Feed(self.engine, self.streams.wanted, self.streams.publish)
        changed = restore(self.journal.read(), self.engine, self.ledger)
        self.journal.compact(snapshot(self.engine, self.ledger, changed))
        self._committed_seq = self.ledger.last_seq
        self._listen()
        self.journal.open()
        self._open_accounts(now_ms)
        self._started_ms, self._start_tick = now_ms, self.engine.tick
        for order in self.waiting_orders():
            self.engine.activate(order, now_ms)
        self.commit()

    def add_account(
        self, api_key: str, api_secret: str, balances: Mapping[str, Decimal], mode: int, now_ms: int
    ) -> Account:
        """Open an account for a new key, or change the secret of a known one, whose funds stay."""
        account = self.by_key.get(api_key)
        if account is not None:
            account.api_secret = api_secret
            self.engine.emit(ACCOUNT, now_ms, account)
            return account
        uid = 1_000_001 + len(self.engine.accounts)
        account = Account(
            uid=uid, api_key=api_key, api_secret=api_secret, created_ms=now_ms, default_mode=mode
        )
        self.engine.accounts[uid] = self.by_key[api_key] = account
        for coin, amount in balances.items():
            self.change_balance(account, coin, amount, now_ms)
        self.engine.emit(ACCOUNT, now_ms, account)
        return account

    def change_balance(self, account: Account, coin: str, change: Decimal, now_ms: int) -> None:
        """Money from outside, or taken away."""
        account.transfer(coin, change, now_ms)
        self.engine.emit(ACCOUNT, now_ms, account)
        self.engine.emit(WALLET, now_ms, account, coin=coin)

    def set_clock(self, offset_ms: int) -> None:
        """Put the clock ahead of the world, or behind it. What was counted by the old time is forgotten."""
        self.clock.offset_ms = offset_ms
        self.limits.clear()
        self.addresses.clear()

    def move_prices(self, now_ms: int) -> None:
        """Advance the price paths to where the world's clock says they are."""
        interval = self.settings.price_interval_ms
        if not interval:
            return
        tick = self._start_tick + (now_ms - self._started_ms) // interval
        if tick > self.engine.tick:
            self.engine.advance(tick, now_ms + self.clock.offset_ms)
            self.commit()

    def skip_ticks(self, ticks: int, now_ms: int) -> None:
        """Let `ticks` price steps pass at once."""
        self._start_tick += ticks
        self.engine.advance(self.engine.tick + ticks, now_ms)

    def tick_at(self, time_ms: int) -> int:
        """The price step of a moment, past or future, of the exchange's clock; the step of now if frozen."""
        interval = self.settings.price_interval_ms
        if not interval:
            return self.engine.tick
        return self._start_tick + (time_ms - self.clock.offset_ms - self._started_ms) // interval

    def activate(self, order: Order, now_ms: int) -> None:
        """Let an invisible order reach the market, unless it has gone since."""
        account = self.engine.accounts.get(order.uid)
        if account is not None and account.by_id.get(order.order_id) is order:
            self.engine.activate(order, now_ms)
            self.commit()

    def waiting_orders(self) -> list[Order]:
        """Accepted orders that have not reached the market."""
        accounts = self.engine.accounts.values()
        of_category = (orders for account in accounts for orders in account.open_orders.values())
        return [order for orders in of_category for order in orders.values() if not order.is_visible]

    def reset(self, now_ms: int) -> None:
        """Back to the start: configured accounts, no orders, original instruments and prices."""
        self.journal.restart()
        self.ledger.clear()
        self.limits.clear()
        self.faults.clear()
        self.clock.offset_ms = 0
        self.by_key.clear()
        listeners = self.engine.listeners
        self.engine = self._new_engine()
        self.engine.listeners = listeners
        self.streams.reset()
        self.feed.restart(self.engine)
        self._open_accounts(now_ms)
        self._started_ms, self._start_tick = now_ms, 0
        self.commit()

    def commit(self) -> None:
        """Make durable what happened since the last call, then tell the streams. Cheap when nothing did."""
        if self.settings.state_file is None:
            entries = []
        else:
            entries = self.ledger.after(self._committed_seq)
        self._committed_seq = self.ledger.last_seq
        self.journal.commit(self.engine.tick, entries)
        self.feed.flush()
        for follow in self.followers:
            follow()

    def _new_engine(self) -> Engine:
        settings = self.settings
        return Engine(
            with_tapes(default_instruments(extra_symbols=settings.extra_symbols), self._tapes),
            seed=settings.seed,
            partial_fill_chance=settings.partial_fill_chance,
            tapes=self._tapes,
        )

    def _listen(self) -> None:
        self.engine.listeners += [self.ledger.listen, self.feed.listen]
        if self.settings.state_file is not None:
            self.engine.listeners.append(self.journal.listen)

    def _open_accounts(self, now_ms: int) -> None:
        self.by_key.update({account.api_key: account for account in self.engine.accounts.values()})
        for api_key, api_secret in self.settings.keys:
            self.add_account(api_key, api_secret, {MARGIN_COIN: self.settings.balance}, ONE_WAY, now_ms)
