"""The tables, as SQLAlchemy Core: what we remember. One migration per change of this file."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MONEY = Numeric(38, 18)
MOMENT = DateTime(timezone=True)


def _closed_set(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


lanes = Table(
    "lanes",
    metadata,
    Column("id", Integer, Identity(), primary_key=True, comment="advisory lock key of the symbol"),
    Column("symbol", String(40), nullable=False, unique=True),
    Column("mode", String(10), nullable=False, server_default="active"),
    Column("position_mode", String(10), nullable=False, server_default="one_way", comment="the account's"),
    Column("opened_at", MOMENT, nullable=False, server_default=func.now()),
    Column("retry_at", MOMENT, comment="not before; set while an outcome is unknown or the exchange is away"),
    Column("blocked_since", MOMENT),
    Column("blocked_reason", Text),
    Column("reconcile_requested_at", MOMENT, comment="compare with the exchange, not before then"),
    Column(
        "must_reconcile",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="no signal before that: something may have been missed",
    ),
    Column("validate_requested_at", MOMENT, comment="and recount the position from its fills"),
    Column("reconciled_at", MOMENT, comment="when the last complete comparison began"),
    Column("reconciled_orders", Integer, comment="orders that it looked at"),
    Column("corrected_orders", Integer, comment="orders that it changed"),
    Column("discrepancies", Integer, comment="differences of the position that it corrected"),
    Column("reconcile_failed_at", MOMENT),
    Column("reconcile_error", Text),
    Column("mode_reason", Text, comment="as its changer said"),
    Column("mode_changed_at", MOMENT),
    Column("mode_changed_by", String(200)),
    _closed_set("mode", "active", "reducing", "halted"),
    _closed_set("position_mode", "one_way", "hedge"),
    comment="one row per symbol that has a queue; the inbox of a symbol is worked off under its lock",
)

trading_signals = Table(
    "trading_signals",
    metadata,
    Column("seq", BigInteger, Identity(), primary_key=True, comment="order of arrival"),
    Column("signal_id", String(100), nullable=False, unique=True),
    Column("symbol", String(40), nullable=False),
    Column("side", String(4), nullable=False),
    Column("notional", MONEY, nullable=False, comment="quote currency"),
    Column("confidence", Numeric(20, 18)),
    Column("is_urgent", Boolean, nullable=False, server_default=text("false")),
    Column("snapshot_price", MONEY, comment="quote per base, as the model saw it"),
    Column("snapshot_spread", MONEY, comment="quote"),
    Column("sent_at", MOMENT, comment="the sender's clock"),
    Column("strategy_id", Text),
    Column("trace_id", String(100), nullable=False),
    Column("body", Text, nullable=False, comment="the message as it came"),
    Column("state", String(10), nullable=False, server_default="waiting"),
    Column("attempt", SmallInteger, nullable=False, server_default="1"),
    Column("received_at", MOMENT, nullable=False, server_default=func.now()),
    Column("decided_at", MOMENT),
    Column("finished_at", MOMENT),
    Column("decision", JSONB, comment="inputs, each rule with its numbers, and what came out"),
    Column("code", String(60), comment="why it was rejected or failed"),
    Column("reason", Text),
    _closed_set("state", "waiting", "planned", "executed", "rejected", "failed"),
    _closed_set("side", "buy", "sell"),
    CheckConstraint("notional > 0", name="notional_positive"),
    comment="the inbox: every valid signal, in order of arrival, and what became of it",
)
Index(
    "ix_trading_signals_pending",
    trading_signals.c.symbol,
    trading_signals.c.seq,
    postgresql_where=text("state IN ('waiting', 'planned')"),
)
Index("ix_trading_signals_received_at", trading_signals.c.received_at)
Index("ix_trading_signals_symbol", trading_signals.c.symbol, trading_signals.c.seq)

orders = Table(
    "orders",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("client_order_id", String(45), nullable=False, unique=True),
    Column("exchange_order_id", String(64)),
    Column("signal_id", String(100)),
    Column("slice", SmallInteger, nullable=False, server_default="0"),
    Column("symbol", String(40), nullable=False),
    Column("category", String(10), nullable=False),
    Column("side", String(4), nullable=False),
    Column("order_type", String(6), nullable=False),
    Column("time_in_force", String(10), nullable=False),
    Column("quantity", MONEY, nullable=False, comment="base"),
    Column("price", MONEY, comment="quote per base; null for a market order"),
    Column("reference_price", MONEY, comment="quote per base that the order was sized at"),
    Column("reduce_only", Boolean, nullable=False, server_default=text("false")),
    Column("position_idx", SmallInteger, nullable=False, server_default="0"),
    Column("status", String(20), nullable=False),
    Column("filled_quantity", MONEY, nullable=False, server_default="0"),
    Column("average_price", MONEY),
    Column("fees", MONEY, nullable=False, server_default="0"),
    Column("base_fees", MONEY, nullable=False, server_default="0", comment="base, paid in what was bought"),
    Column("reason", Text, comment="why it was rejected or cancelled"),
    Column("is_dry_run", Boolean, nullable=False, server_default=text("false")),
    Column("is_external", Boolean, nullable=False, server_default=text("false")),
    Column("intended_at", MOMENT, comment="moment before which nothing had been sent"),
    Column("accepted_at", MOMENT),
    Column("cancel_requested_at", MOMENT),
    Column("amend_quantity", MONEY, comment="base; wanted by an amendment that is under way"),
    Column("amend_price", MONEY),
    Column("exchange_updated_at", MOMENT, comment="the exchange's clock"),
    Column("executed_at", MOMENT),
    Column("event_sequence", Integer, nullable=False, server_default="0"),
    Column("unseen_since", MOMENT, comment="first look at which the exchange showed it nowhere"),
    Column("announced", ARRAY(Text), nullable=False, server_default="{}", comment="event types so far"),
    Column("trace_id", String(100)),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    _closed_set("status", "pending", "partially_filled", "filled", "cancelled", "rejected", "dry_run"),
    _closed_set("side", "buy", "sell"),
    _closed_set("order_type", "market", "limit"),
    _closed_set("time_in_force", "gtc", "ioc", "fok", "post_only"),
    _closed_set("category", "linear", "spot"),
    CheckConstraint("quantity > 0", name="quantity_positive"),
    CheckConstraint("filled_quantity >= 0", name="filled_quantity_not_negative"),
)
OPEN = text("status IN ('pending', 'partially_filled')")
Index("ix_orders_open", orders.c.symbol, postgresql_where=OPEN)
Index("ix_orders_exchange_order_id", orders.c.exchange_order_id)
Index("ix_orders_signal_id", orders.c.signal_id)
Index("ix_orders_created_at", orders.c.created_at, orders.c.id)
Index("ix_orders_status_created_at", orders.c.status, orders.c.created_at, orders.c.id)
Index("ix_orders_symbol_created_at", orders.c.symbol, orders.c.created_at)

executions = Table(
    "executions",
    metadata,
    Column("exec_id", String(80), primary_key=True),
    Column("order_id", UUID(as_uuid=False), ForeignKey("orders.id")),
    Column("exchange_order_id", String(64), nullable=False),
    Column("symbol", String(40), nullable=False),
    Column("side", String(4), nullable=False),
    Column("quantity", MONEY, nullable=False),
    Column("price", MONEY, nullable=False),
    Column("fee", MONEY, nullable=False, server_default="0"),
    Column("fee_currency", String(20), nullable=False, server_default=""),
    Column("is_maker", Boolean, nullable=False),
    Column("exec_type", String(30), nullable=False),
    Column("executed_at", MOMENT, nullable=False),
    _closed_set("side", "buy", "sell"),
)
Index("ix_executions_order_id", executions.c.order_id)
Index("ix_executions_exchange_order_id", executions.c.exchange_order_id)
Index("ix_executions_without_order", executions.c.symbol, postgresql_where=executions.c.order_id.is_(None))
Index("ix_executions_symbol_executed_at", executions.c.symbol, executions.c.executed_at)

exchange_updates = Table(
    "exchange_updates",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True, comment="order of arrival"),
    Column("symbol", String(40), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("body", JSONB, nullable=False),
    Column("source", String(10), nullable=False),
    Column("received_at", MOMENT, nullable=False),
    _closed_set("kind", "order", "execution", "position"),
    _closed_set("source", "stream", "gateway"),
    comment="what the exchange told and no lane has applied yet; deleted when applied",
)
Index("ix_exchange_updates_symbol", exchange_updates.c.symbol, exchange_updates.c.id)

signal_order_relationships = Table(
    "signal_order_relationships",
    metadata,
    Column("signal_id", String(100), primary_key=True),
    Column("order_id", UUID(as_uuid=False), ForeignKey("orders.id"), primary_key=True),
    Column("relation", String(10), primary_key=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    _closed_set("relation", "placed", "cancelled", "amended"),
    comment="which orders a signal placed, cancelled or amended",
)
Index("ix_signal_order_relationships_order_id", signal_order_relationships.c.order_id)

positions = Table(
    "positions",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("asset", String(40), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("size", MONEY, nullable=False, server_default="0", comment="one-way: signed base quantity"),
    Column("average_price", MONEY),
    Column("long_size", MONEY, nullable=False, server_default="0"),
    Column("long_average_price", MONEY),
    Column("short_size", MONEY, nullable=False, server_default="0", comment="hedge: zero or negative"),
    Column("short_average_price", MONEY),
    Column("realized_pnl", MONEY, nullable=False, server_default="0", comment="quote, before fees"),
    Column("fees", MONEY, nullable=False, server_default="0", comment="quote, positive: paid"),
    Column("mark_price", MONEY),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("asset", "mode"),
    _closed_set("mode", "one_way", "hedge"),
)

position_adjustments = Table(
    "position_adjustments",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("asset", String(40), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("position_idx", SmallInteger, nullable=False),
    Column("size_before", MONEY, nullable=False),
    Column("size_after", MONEY, nullable=False),
    Column("average_price_before", MONEY),
    Column("average_price_after", MONEY),
    Column("source", String(10), nullable=False, comment="which side was right"),
    Column("reason", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    _closed_set("mode", "one_way", "hedge"),
    _closed_set("source", "exchange", "fills"),
    comment="what no fill explains: a leg set right, and why",
)
Index("ix_position_adjustments_asset", position_adjustments.c.asset, position_adjustments.c.id)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("scope", String(10), nullable=False),
    Column("asset", String(40)),
    Column("symbols", ARRAY(Text), nullable=False),
    Column("requested_at", MOMENT, nullable=False, server_default=func.now()),
    _closed_set("scope", "active", "orders", "all", "positions"),
    comment="comparisons with the exchange that somebody asked for",
)

position_snapshots = Table(
    "position_snapshots",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("asset", String(40), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("snapshot", JSONB, nullable=False),
    Column("taken_at", MOMENT, nullable=False, server_default=func.now()),
)
Index("ix_position_snapshots_asset_taken_at", position_snapshots.c.asset, position_snapshots.c.taken_at)
Index("ix_position_snapshots_taken_at", position_snapshots.c.taken_at)

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", String(40), primary_key=True),
    Column("category", String(10), primary_key=True),
    Column("base_coin", String(20), nullable=False),
    Column("quote_coin", String(20), nullable=False),
    Column("tick_size", MONEY, nullable=False),
    Column("lot_size", MONEY, nullable=False),
    Column("min_quantity", MONEY, nullable=False),
    Column("min_notional", MONEY, nullable=False),
    Column("max_limit_quantity", MONEY, nullable=False),
    Column("max_market_quantity", MONEY, nullable=False),
    Column("min_price", MONEY),
    Column("max_price", MONEY),
    Column("is_trading", Boolean, nullable=False),
    Column("refreshed_at", MOMENT, nullable=False, server_default=func.now()),
    _closed_set("category", "linear", "spot"),
)

order_events = Table(
    "order_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("event_id", UUID(as_uuid=False), nullable=False, unique=True),
    Column("event_type", String(30), nullable=False),
    Column("order_id", UUID(as_uuid=False), comment="null for an event of a signal or a position"),
    Column("signal_id", String(100)),
    Column("symbol", String(40), nullable=False),
    Column("sequence", Integer, nullable=False, comment="per order, from 1"),
    Column("trace_id", String(100), nullable=False),
    Column("body", JSONB, nullable=False, comment="the message as it is published"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("published_at", MOMENT),
    comment="the outbox and the audit of every change",
)
Index(
    "ix_order_events_unpublished",
    order_events.c.symbol,
    order_events.c.id,
    postgresql_where=text("published_at IS NULL"),
)
Index("ix_order_events_order_id", order_events.c.order_id, order_events.c.id)
Index("ix_order_events_signal_id", order_events.c.signal_id)
Index("ix_order_events_symbol", order_events.c.symbol, order_events.c.id)

account_state = Table(
    "account_state",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("mode", String(10), nullable=False, server_default="active"),
    Column("available_balance", MONEY, comment="quote, as the exchange said at balance_at"),
    Column("balance_at", MOMENT),
    Column("reserved", MONEY, nullable=False, server_default="0", comment="quote, planned since balance_at"),
    Column("discovered_at", MOMENT, comment="until then every symbol that was traded has a lane"),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column("mode_reason", Text, comment="as its changer said"),
    Column("mode_changed_at", MOMENT),
    Column("mode_changed_by", String(200)),
    CheckConstraint("id = 1", name="single_row"),
    _closed_set("mode", "active", "reducing", "halted"),
    comment="one row; locked by every decision, so that limits hold across symbols",
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("queue", String(100), nullable=False),
    Column("code", String(60), nullable=False),
    Column("field", String(100), nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the message's bytes, whole"),
    Column("headers", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("state", String(10), nullable=False, server_default="new"),
    Column("received_at", MOMENT, nullable=False, server_default=func.now()),
    Column("resolved_at", MOMENT),
    Column("signal_id", String(100), comment="the sender's, where it could be read"),
    _closed_set("state", "new", "replayed", "discarded"),
)
Index("ix_dead_letters_state_received_at", dead_letters.c.state, dead_letters.c.received_at)
Index("ix_dead_letters_signal_id", dead_letters.c.signal_id)
