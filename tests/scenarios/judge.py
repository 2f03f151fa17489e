"""The judge: what the exchange saw against what the database says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from order_manager.domain.identity import client_order_id
from tests.scenarios.house import House

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
