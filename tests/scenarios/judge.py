"""The judge: what the exchange saw against what the database says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from order_manager.domain.identity import client_order_id
from tests.scenarios.house import House, wait_until

STATUS = {
    "New": "pending",
    "PartiallyFilled": "partially_filled",
    "Filled": "filled",
    "Cancelled": "cancelled",
    "PartiallyFilledCanceled": "cancelled",
    "Rejected": "rejected",
}


def link_ids(signals: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """symbol -> the client_order_ids that these signals should have, in their order; repeats once."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for signal in signals:
        name = client_order_id(signal["signal_id"], attempt=1, slice_number=0)
        if name not in wanted[signal["asset"]]:
            wanted[signal["asset"]].append(name)
    return dict(wanted)


def placed(house: House) -> dict[str, list[str]]:
    """symbol -> link ids in the order in which the exchange took them."""
    seen: dict[str, list[str]] = defaultdict(list)
    for order in house.paper.orders():
        seen[order["symbol"]].append(order["link_id"])
    return dict(seen)


def disagreements(house: House) -> list[str]:
    """Where the database differs from the exchange's ledger; empty when they agree."""
    ours = {row["client_order_id"]: row for row in house.rows("SELECT * FROM orders WHERE NOT is_dry_run")}
    theirs = {row["link_id"]: row for row in house.paper.orders()}
    found = [f"{name} is only at the exchange" for name in sorted(theirs.keys() - ours.keys())]
    for name, order in ours.items():
        seen = theirs.get(name)
        if seen is None:
            if order["status"] != "rejected":
                found.append(f"{name} is {order['status']} here and unknown there")
            continue
        here = (order["status"], order["filled_quantity"])
        there = (STATUS[seen["status"]], Decimal(seen["cum_exec_qty"]))
        if here != there or order["exchange_order_id"] != seen["order_id"]:
            found.append(f"{name}: {here} here, {there} there")
    held = {row["asset"]: row["size"] for row in house.rows("SELECT asset, size FROM positions")}
    for leg in house.paper.control("GET", "positions")["positions"]:
        size = Decimal(leg["size"])
        if held.get(leg["symbol"], Decimal(0)) != size:
            found.append(f"position {leg['symbol']}: {held.get(leg['symbol'])} here, {size} there")
    return found


def event_faults(house: House, events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the published events: completeness, and the order within each order."""
    found = []
    by_order: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    known: set[str] = set()
    for event in events:
        if event["event_id"] in known:
            continue  # at least once
        known.add(event["event_id"])
        if event["order"]:
            by_order[event["order"]["id"]].append(event)
    for row in house.rows("SELECT * FROM orders"):
        told = by_order.get(str(row["id"]), [])
        sequence = [event["sequence"] for event in told]
        if sequence != list(range(1, row["event_sequence"] + 1)):
            found.append(f"{row['client_order_id']}: sequence {sequence}, {row['event_sequence']} expected")
        elif told and told[-1]["order"]["status"] != row["status"]:
            found.append(
                f"{row['client_order_id']}: last told {told[-1]['order']['status']}, is {row['status']}"
            )
    return found


def wait_for_agreement(house: House, *, timeout_s: float = 10, corrections: int = 0) -> None:
    """Wait until database, event queue and REST API tell what the exchange's ledger tells."""
    wait_until(
        lambda: not differences(house, corrections=corrections),
        what="agreement",
        timeout_s=timeout_s,
        pause_s=0.1,
        tell=lambda: f"{differences(house, corrections=corrections)[:20]}; {house.tell()}",
    )


def differences(house: House, *, corrections: int = 0) -> list[str]:
    """Where database, event queue or REST API differ from the exchange's ledger; empty when all agree.

    `corrections`: how many sizes of positions had to be set right. All orders are to be there, others'
    included, but for those without a fill on symbols that nobody ever traded.
    """
    rows = house.rows("SELECT * FROM orders WHERE NOT is_dry_run")
    lanes = {row["symbol"] for row in house.rows("SELECT symbol FROM lanes")}
    orders = [
        order for order in house.paper.orders() if order["symbol"] in lanes or not _left_no_trace(order)
    ]
    found = order_differences(orders, house.paper.fills(), rows)
    found += execution_differences(house)
    found += position_differences(house)
    found += event_differences(rows, house.hear(), house.rows("SELECT event_id FROM order_events"))
    found += api_differences(house, rows)
    # An average price may be set right where fills are learned of out of their order.
    made = house.rows(
        "SELECT asset, reason, size_before, size_after FROM position_adjustments"
        " WHERE size_before <> size_after"
    )
    if len(made) != corrections:
        found.append(f"{len(made)} corrections of positions, {corrections} expected: {made}")
    return found


def _left_no_trace(order: Mapping[str, Any]) -> bool:
    is_ours = order["link_id"].startswith("om-")
    return not is_ours and order["status"] == "Cancelled" and not Decimal(order["cum_exec_qty"])


def order_differences(
    orders: Sequence[Mapping[str, Any]], fills: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Each order of the ledger is one row, with its terms, status, fill, average price and fees."""
    found = []
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        is_base = fill["fee_coin"] != "USDT"
        fees[fill["order_id"]] += Decimal(fill["fee"]) * (Decimal(fill["price"]) if is_base else 1)
    by_id = {row["exchange_order_id"]: row for row in rows if row["exchange_order_id"]}
    for order in orders:
        name = f"{order['symbol']} {order['order_id']} {order['link_id']}"
        row = by_id.pop(order["order_id"], None)
        if row is None:
            found.append(f"{name} ({order['status']}) is only at the exchange")
            continue
        filled = Decimal(order["cum_exec_qty"])
        there = {
            "status": STATUS[order["status"]],
            "quantity": Decimal(order["qty"]),
            "filled_quantity": filled,
            "side": order["side"].lower(),
            "price": Decimal(order["price"]) if order["order_type"] == "Limit" else None,
        }
        here = {key: row[key] for key in there}
        if here != there:
            found.append(f"{name}: {here} here, {there} there")
        if filled and not _is_near(row["average_price"], Decimal(order["cum_exec_value"]) / filled):
            found.append(f"{name}: average {row['average_price']}")
        if not _is_near(row["fees"], fees[order["order_id"]]):
            found.append(f"{name}: fees {row['fees']} here, {fees[order['order_id']]} there")
    found += [f"{row['client_order_id']} is unknown at the exchange, or told twice" for row in by_id.values()]
    found += [
        f"{row['client_order_id']} is {row['status']} without an id at the exchange"
        for row in rows
        if row["exchange_order_id"] is None and row["status"] != "rejected"
    ]
    return found


def execution_differences(house: House) -> list[str]:
    """Each fill of the ledger is one row, with its order."""
    rows = house.rows(
        "SELECT e.*, o.exchange_order_id AS of_order FROM executions e"
        " LEFT JOIN orders o ON o.id = e.order_id"
    )
    here = {
        row["exec_id"]: (row["of_order"], row["side"], row["quantity"], row["price"], row["fee"])
        for row in rows
    }
    there = {
        fill["exec_id"]: (
            fill["order_id"],
            fill["side"].lower(),
            Decimal(fill["qty"]),
            Decimal(fill["price"]),
            Decimal(fill["fee"]),
        )
        for fill in house.paper.fills()
    }
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    return [f"execution {name}: {here.get(name)} here, {there.get(name)} there" for name in names]


def position_differences(house: House) -> list[str]:
    """Each leg has its size and its average price, and what its fills earned."""
    here: dict[tuple[str, int], tuple[Decimal, Decimal | None]] = {}
    for row in house.rows("SELECT * FROM positions"):
        if row["mode"] == "one_way":
            here[row["asset"], 0] = (row["size"], row["average_price"])
        else:
            here[row["asset"], 1] = (row["long_size"], row["long_average_price"])
            here[row["asset"], 2] = (row["short_size"], row["short_average_price"])
    here = {key: leg for key, leg in here.items() if leg[0]}
    there = {
        (leg["symbol"], leg["position_idx"]): (Decimal(leg["size"]), Decimal(leg["avg_price"]))
        for leg in house.paper.legs()
        if Decimal(leg["size"])
    }
    found = []
    for key in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(key), there.get(key)
        if ours is None or theirs is None or ours[0] != theirs[0] or not _is_near(ours[1], theirs[1]):
            found.append(f"position {key}: {ours} here, {theirs} there")
    return found + _earned_differences(house)


def _earned_differences(house: House) -> list[str]:
    """Realized PnL and fees of each symbol, but of those where fills were never told."""
    adjusted = house.rows("SELECT asset FROM position_adjustments WHERE size_before <> size_after")
    here, there, turnover = _sums(), _sums(), _sums()
    for row in house.rows("SELECT * FROM positions"):
        here[row["asset"], "realized PnL"] += row["realized_pnl"]
        here[row["asset"], "fees"] += row["fees"]
    for leg in house.paper.legs():
        there[leg["symbol"], "realized PnL"] += Decimal(leg["realised_pnl"])
        there[leg["symbol"], "fees"] += Decimal(leg["fees"])
    for fill in house.paper.fills():
        turnover[fill["symbol"], "realized PnL"] += Decimal(fill["qty"]) * Decimal(fill["price"])
    return [
        f"{' '.join(key)}: {here[key]} here, {there[key]} there"
        for key in sorted(here.keys() | there.keys())
        if key[0] not in {row["asset"] for row in adjusted}
        # An average price within a millionth is left as it is.
        and abs(here[key] - there[key]) > turnover[key] * Decimal("0.000001")
    ]


def _sums() -> defaultdict[tuple[str, str], Decimal]:
    return defaultdict(Decimal)


def event_differences(
    rows: Sequence[Mapping[str, Any]], told: Iterable[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Each order's events arrived, 1 to n; the end is told as such; the last one tells what the row tells."""
    events = {event["event_id"]: event for event in told}  # at least once: repeats are allowed
    found = [
        f"event {row['event_id']} is not on the queue" for row in stored if str(row["event_id"]) not in events
    ]
    by_order: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events.values():
        if event["order"]:
            by_order[event["order"]["id"]].append(event)
    for row in rows:
        name, told_of = row["client_order_id"], by_order.get(str(row["id"]), [])
        sequence = [event["sequence"] for event in told_of]
        if sequence != list(range(1, row["event_sequence"] + 1)):
            found.append(f"{name}: told {sequence}, {row['event_sequence']} expected")
        elif not told_of:
            found.append(f"{name}: nothing was told")
        elif difference := _event_difference(row, told_of):
            found.append(f"{name}: {difference}")
    return found


def _event_difference(row: Mapping[str, Any], told_of: Sequence[Mapping[str, Any]]) -> str | None:
    kinds, last = [event["event_type"] for event in told_of], told_of[-1]["order"]
    wanted = {"filled", "cancelled", "rejected"} & {row["status"]}
    if not wanted <= set(kinds) or len([kind for kind in kinds if kind in wanted]) > 1:
        return f"is {row['status']}, told {kinds}"
    if kinds[0] != "created" and row["status"] != "rejected":
        return f"told {kinds}"
    if row["filled_quantity"] and row["status"] != "filled" and "partially_filled" not in kinds:
        return f"filled {row['filled_quantity']} of {row['quantity']}, told {kinds}"
    here = {name: row[name] for name in ("quantity", "price", "filled_quantity", "average_price")}
    heard = {name: None if last[name] is None else Decimal(last[name]) for name in here}
    if heard != here or last["status"] != row["status"]:
        return f"last told {last['status']} {heard}, is {row['status']} {here}"
    return None


def api_differences(house: House, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The REST API lists the rows, orders and positions."""
    if not any(program.name == "web" for program in house.fleet.programs):
        return []
    listed: list[dict[str, Any]] = []
    while True:
        page = house.api("GET", "/api/v1/orders", params={"limit": 1000, "offset": len(listed)}).json()
        listed += page["orders"]
        if len(listed) >= page["pagination"]["total"] or not page["orders"]:
            break
    shown = {
        order["id"]: (order["status"], Decimal(order["filled_quantity"]), order["order_id"])
        for order in listed
    }
    stored = {
        str(row["id"]): (row["status"], row["filled_quantity"], row["exchange_order_id"]) for row in rows
    }
    found = [] if shown == stored else [f"the REST API lists {len(shown)} orders, {len(stored)} are stored"]
    sizes = {
        (one["asset"], one["mode"]): Decimal(one["size"])
        for one in house.api("GET", "/api/v1/positions").json()["positions"]
    }
    held = {
        (row["asset"], row["mode"]): row["size"] + row["long_size"] + row["short_size"]
        for row in house.rows("SELECT * FROM positions")
    }
    return found if sizes == held else [*found, f"the REST API tells positions {sizes}, {held} are stored"]


def _is_near(ours: Decimal | None, theirs: Decimal) -> bool:
    """The exchange rounds averages to eight places."""
    return ours is not None and abs(ours - theirs) <= abs(theirs) * Decimal("0.000001") + Decimal("1e-8")
