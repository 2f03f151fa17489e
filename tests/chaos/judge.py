"""The promises, judged by the exchange's ledger. Pure functions of what was sent, stored and seen."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from order_manager.domain.identity import client_order_id
from tests.chaos.load import GARBAGE, MAX_EXPOSURE, MAX_POSITIONS, MAX_SINGLE_ORDER, Message
from tests.chaos.plan import BAND, PRICES

Row = Mapping[str, Any]
ENDED = frozenset({"executed", "rejected", "failed"})
LEDGER_KINDS = "order_created,order_amended,order_cancelled,fill"


@dataclass(frozen=True, slots=True)
class Name:
    """What a link id of ours says."""

    signal_id: str
    attempt: int
    slice_number: int


def names_of(signal_ids: Iterable[str]) -> dict[str, str]:
    """The part of a link id that stands for a signal -> the signal."""
    return {client_order_id(one, attempt=1, slice_number=0).rsplit("-", 2)[0]: one for one in signal_ids}


def name_in(link_id: str, names: Mapping[str, str]) -> Name | None:
    key, _, rest = link_id.rpartition("-")
    key, _, attempt = key.rpartition("-")
    if key not in names:
        return None
    return Name(names[key], int(attempt), int(rest))


def lost_signals(sent: Sequence[Message], rows: Sequence[Row]) -> list[str]:
    """Every valid signal is in the inbox, and has ended; nothing else is there."""
    wanted = {message.signal_id for message in sent if message.kind != GARBAGE}
    states = {row["signal_id"]: row["state"] for row in rows}
    found = [f"{name} was published and is not in the inbox" for name in sorted(wanted - states.keys())]
    found += [f"{name} is in the inbox and was never published" for name in sorted(states.keys() - wanted)]
    unended = sorted(row["signal_id"] for row in rows if row["state"] not in ENDED)
    return found + [f"{name} has not ended: {states[name]}" for name in unended]


def doubles(
    created: Sequence[Row], rows: Sequence[Row], names: Mapping[str, str], *, amended: Collection[str] = ()
) -> list[str]:
    """One order per link id, one per signal and slice, and none for a signal that says it had none.

    `amended`: signals for which an order of another was made the wanted one.
    """
    found = []
    links = Counter(entry["link_id"] for entry in created if entry["link_id"])
    found += [f"{link} was taken {count} times" for link, count in links.items() if count > 1]
    slices: dict[tuple[str, int], list[str]] = defaultdict(list)
    for link in links:
        name = name_in(link, names)
        if name is not None:
            slices[name.signal_id, name.slice_number].append(link)
        elif link.startswith("om-"):
            found.append(f"{link} is ours and of no signal")
    for (signal_id, number), taken in slices.items():
        if len(taken) > 1:
            found.append(f"{signal_id} slice {number} was executed as {sorted(taken)}")
    executed = {signal_id for signal_id, _ in slices}
    for row in rows:
        is_executed, has_orders = row["state"] == "executed", row["signal_id"] in executed
        if row["state"] in ENDED and is_executed != has_orders and row["signal_id"] not in amended:
            seen = "has orders" if has_orders else "has none"
            found.append(f"{row['signal_id']} is {row['state']} ({row['code']}) and {seen} at the exchange")
    return found


def overtakings(created: Sequence[Row], rows: Sequence[Row], names: Mapping[str, str]) -> list[str]:
    """Per symbol the first order that the exchange took of each signal, in the order of arrival."""
    seq = {row["signal_id"]: row["seq"] for row in rows}
    found, seen = [], set()
    last: dict[str, tuple[int, str]] = {}
    for entry in created:
        name = name_in(entry["link_id"], names)
        if name is None or name.signal_id in seen or name.signal_id not in seq:
            continue
        seen.add(name.signal_id)
        number, before = seq[name.signal_id], last.get(entry["symbol"])
        if before is not None and number < before[0]:
            found.append(
                f"{entry['symbol']}: {name.signal_id} (arrival {number}) after {before[1]} ({before[0]})"
            )
        last[entry["symbol"]] = max(before or (0, ""), (number, name.signal_id))
    return found


def unexplained_letters(sent: Sequence[Message], letters: Sequence[Row]) -> list[str]:
    """Each piece of garbage is a dead letter, and nothing else is."""
    wanted = {message.body for message in sent if message.kind == GARBAGE}
    kept = {bytes(row["body"]) for row in letters}
    found = [f"dropped without a trace: {body[:80]!r}" for body in sorted(wanted - kept)]
    return found + [f"a dead letter that was not garbage: {body[:200]!r}" for body in sorted(kept - wanted)]


def strange_events(told: Iterable[Row], stored: Iterable[Row]) -> list[str]:
    """What was published was committed."""
    known = {str(row["event_id"]) for row in stored}
    strange = {event["event_id"]: event["event_type"] for event in told if event["event_id"] not in known}
    return [f"event {name} ({kind}) was published and is not in the outbox" for name, kind in strange.items()]


@dataclass(slots=True)
class _Open:
    symbol: str
    quantity: Decimal  # not filled yet
    price: Decimal
    filled: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Of one moment: by symbol, what our own orders hold and may still buy; and all of it in quote."""

    at: Row
    sizes: Mapping[str, Decimal]
    exposure: Decimal
    order_value: Decimal  # of the order that was just taken, else 0
    short: bool


def holdings(entries: Iterable[Row]) -> Iterator[Holdings]:
    """After each entry of the ledger.

    Ours only: the fleet cannot know an order by hand before it is told. Nobody sells by hand, so what is
    really held is never less than this. Values are at the lowest price of each symbol's band, or an order's
    own if that is lower: the decision counted at least as much. So what is above a limit here was above it
    when it was decided, whatever the prices were.
    """
    held: dict[str, Decimal] = defaultdict(Decimal)
    actual: dict[str, Decimal] = defaultdict(Decimal)
    still_open: dict[str, _Open] = {}
    ours: set[str] = set()
    for entry in entries:
        order, symbol, kind = entry["order_id"], entry["symbol"], entry["kind"]
        lowest = lowest_price(symbol)
        value = Decimal(0)
        if kind == "order_created" and entry["link_id"].startswith("om-"):
            ours.add(order)
            price = Decimal(entry["price"])
            price = min(price, lowest) if price and entry["order_type"] == "Limit" else lowest
            value = Decimal(entry["qty"]) * price
            if entry["side"] == "Buy":
                still_open[order] = _Open(symbol, Decimal(entry["qty"]), price)
        elif kind == "order_cancelled":
            still_open.pop(order, None)
        elif kind == "order_amended" and order in still_open:
            one = still_open[order]
            one.quantity = Decimal(entry["qty"]) - one.filled
            one.price = min(lowest, Decimal(entry["price"]))
        elif kind == "fill":
            quantity = Decimal(entry["qty"]) * (1 if entry["side"] == "Buy" else -1)
            actual[symbol] += quantity
            if order in still_open:
                still_open[order].quantity -= quantity
                still_open[order].filled += quantity
            if order in ours:
                held[symbol] = max(held[symbol] + quantity, Decimal(0))
        sizes = dict(held)
        for one in still_open.values():
            sizes[one.symbol] = sizes.get(one.symbol, Decimal(0)) + one.quantity
        exposure = sum((size * lowest_price(name) for name, size in held.items()), Decimal(0))
        exposure += sum((one.quantity * one.price for one in still_open.values()), Decimal(0))
        yield Holdings(entry, sizes, exposure, value, short=actual[symbol] < 0)


def lowest_price(symbol: str) -> Decimal:
    return Decimal(PRICES[symbol]) * (1 - Decimal(str(BAND)) - Decimal("0.0005"))


def breaches(entries: Iterable[Row]) -> list[str]:
    """Where a limit was exceeded: single order, position of a symbol, exposure of the account; or a short."""
    found = []
    for now in holdings(entries):
        symbol, link, seq = now.at["symbol"], now.at["link_id"], now.at["seq"]
        if now.order_value > MAX_SINGLE_ORDER:
            found.append(
                f"entry {seq}: {link} is worth {now.order_value:f} at least, {MAX_SINGLE_ORDER} is the limit"
            )
        if now.sizes.get(symbol, Decimal(0)) > MAX_POSITIONS[symbol]:
            found.append(f"entry {seq}: {now.sizes[symbol]:f} {symbol}, {MAX_POSITIONS[symbol]} is the limit")
        if now.exposure > MAX_EXPOSURE:
            found.append(f"entry {seq}: exposure {now.exposure:f} at least, {MAX_EXPOSURE} is the limit")
        if now.short:
            found.append(f"entry {seq}: {symbol} is held short, which is not allowed")
    return found


def most(entries: Iterable[Row]) -> Decimal:
    """The largest exposure of all, to see that the limit was near."""
    return max((now.exposure for now in holdings(entries)), default=Decimal(0))
