"""order-manager explain: the whole story of one signal on one screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from order_manager.cli.house import data_dir_option, house, json_option

Told = Mapping[str, Any]

TIMEOUT_S = 2.0  # for the broker


@click.command()
@click.argument("name", metavar="SIGNAL_OR_ORDER")
@data_dir_option
@json_option
def explain(name: str, data_dir: Path, as_json: bool) -> None:
    """Tell the whole story of a signal: inputs, rules, decision, orders, fills, events.

    SIGNAL_OR_ORDER is a signal_id, or an order's id: ours, the exchange's or the client order id. Of a
    message that was no signal its dead letter is shown.
    """
    with house(data_dir) as rt:
        from order_manager.asking import messages_waiting
        from order_manager.cli.showing import counted, print_json
        from order_manager.database.story import find_story
        from order_manager.database.wording import whole_story_json
        from order_manager.queues import SIGNALS

        story = find_story(rt.engine, name)
        if story is None:
            waiting = messages_waiting(rt.settings, SIGNALS, timeout_s=TIMEOUT_S)
            still = (
                "" if waiting is None else f" ({counted(waiting, 'message waits', 'messages wait')} there)"
            )
            raise click.ClickException(
                f"no signal, no order and no dead letter is called {name}: it is misspelt, was not sent here,"
                f" or is still on {SIGNALS}{still}; messages whose signal_id could not be read are in"
                " `order-manager dead-letters list --state all`"
            )
        told = whole_story_json(story)
    if as_json:
        print_json(told)
    else:
        _show(told)


def _show(told: Told) -> None:
    from order_manager.cli.showing import change_line, console, say

    screen = console()
    if "state" in told:
        for line in (*_signal_lines(told), *_decision_lines(told)):
            say(screen, line)
        for stop in told["stopped_by"]:
            say(screen, f"  {stop['of']}: {change_line(stop)}")
        if told["decision"] and told["decision"].get("checks"):
            screen.print(_rules(told["decision"]["checks"]))
    elif told["orders"]:
        say(screen, "no signal of ours placed this order")
    else:
        say(screen, f"signal {told['signal_id']}: not taken, its message could not be used")
    for letter in told["dead_letters"]:
        say(screen, _letter_line(letter))
    for shown in _tables(told):
        screen.print(shown)


def _signal_lines(told: Told) -> list[str]:
    from order_manager.cli.showing import clock

    why = f": {told['code']}, {told['reason']}" if told["code"] else ""
    again = f", attempt {told['attempt']}" if told["attempt"] != 1 else ""
    return [
        f"signal {told['signal_id']}: {told['signal_type']} {told['asset']} for {told['amount']}"
        f" — {told['state']}{again}{why}",
        f"  confidence {told['confidence'] or '-'}, urgent {'yes' if told['is_urgent'] else 'no'},"
        f" snapshot price {told['snapshot_price'] or '-'}, spread {told['snapshot_spread'] or '-'},"
        f" strategy {told['strategy_id'] or '-'}, trace {told['trace_id']}",
        *([f"  made {_made(told)}"] if told["timestamp"] else []),
        f"  arrival {told['seq']}, received {clock(told['received_at'])}"
        f"{_later('decided', told['decided_at'], told['received_at'])}"
        f"{_later('finished', told['finished_at'], told['received_at'])}",
        *([f"  {told['waits']['summary']}"] if told["waits"] else []),
        *(["  it may be sent again under the same signal_id"] if told["state"] == "failed" else []),
    ]


def _made(told: Told) -> str:
    """When, by the sender's clock, and how long before it was received."""
    from datetime import datetime

    from order_manager.cli.showing import age, counted

    made, received = (datetime.fromisoformat(told[name]) for name in ("timestamp", "received_at"))
    days, seconds = abs(received - made).days, abs(received - made).total_seconds()
    old = counted(days, "day", "days") if days else age(seconds)
    return f"{told['timestamp']}, {old} {'before' if made <= received else 'after'} receipt"


def _letter_line(letter: Told) -> str:
    from order_manager.cli.showing import clock

    number, field = letter["id"], f" ({letter['field']})" if letter["field"] else ""
    became = f"{letter['state']} {clock(letter['resolved_at'])}" if letter["resolved_at"] else letter["state"]
    return (
        f"dead letter {number} of {clock(letter['received_at'])} from {letter['queue']}:"
        f" {letter['code']}{field}, {letter['reason']} — {became};"
        f" `order-manager dead-letters show {number}` has the message"
    )


def _later(what: str, moment: str | None, start: str) -> str:
    from datetime import datetime

    if moment is None:
        return f", not {what}"
    passed_s = (datetime.fromisoformat(moment) - datetime.fromisoformat(start)).total_seconds()
    return f", {what} after {passed_s:.3f} s"


def _decision_lines(told: Told) -> list[str]:
    from order_manager.cli.showing import money

    decision = told["decision"]
    if not decision:
        return ["no decision was taken yet" if told["waits"] else "no decision was taken"]
    inputs = decision.get("inputs") or {}
    market, position = inputs.get("market") or {}, inputs.get("position") or {}
    lines = [
        f"inputs: mode {inputs.get('mode')}; bid {market.get('bid')}, ask {market.get('ask')}, last"
        f" {market.get('last_price')}, mark {market.get('mark_price')} at {market.get('timestamp')}",
        f"  position long {position.get('long')}, short {position.get('short')}"
        f" ({inputs.get('position_source')}); exposure elsewhere {money(inputs.get('other_exposure'))};"
        f" balance {money(inputs.get('available_balance'))};"
        f" open orders {_listed(inputs.get('open_orders'))}",
    ]
    if decision["outcome"] == "rejection":
        limit, value = decision.get("limit"), decision.get("value")
        numbers = f" (limit {limit}, value {value})" if limit or value else ""
        return [*lines, f"decision: rejected, {decision['code']}: {decision['message']}{numbers}"]
    placed = [_placed(order) for order in decision.get("place") or ()]
    lines.append(f"decision: place {_listed(placed)}; cancel {_listed(decision.get('cancel'))}")
    lines += [f"  {name}: {note}" for name, note in (decision.get("notes") or {}).items()]
    return [*lines, *(f"  warning: {warning}" for warning in decision.get("warnings") or ())]


def _placed(order: Told) -> str:
    price = order.get("price")
    at = f"@ {price}" if price else "at market"
    return f"{order.get('side', '')} {order.get('quantity', '')} {at}".strip()


def _relation(order: Told) -> str | None:
    """'planned' for one that the exchange never took, or did not yet."""
    relation: str | None = order["relation"]
    return "planned" if relation == "placed" and order["order_id"] is None else relation


def _terms(order: Told) -> str:
    """'limit 50000 gtc', 'market ioc', with what else it says."""
    said = [order["order_type"], order["price"], order["time_in_force"]]
    said.append("reduce only" if order["reduce_only"] else None)
    said.append("dry run" if order["is_dry_run"] else None)
    return " ".join(one for one in said if one)


def _listed(values: Sequence[Any] | None) -> str:
    return ", ".join(map(str, values)) if values else "none"


def _rules(checks: Sequence[Told]) -> Any:
    from order_manager.cli.showing import table

    rows = [
        (check["rule"], check["value"], check["limit"], "yes" if check["passed"] else "NO")
        for check in checks
    ]
    return table("rules, in the order of checking", ("rule", "value", "limit", "passed"), rows)


def _tables(told: Told) -> list[Any]:
    from order_manager.cli.showing import clock, money, price, table

    names = {order["id"]: order["client_order_id"] for order in told["orders"]}
    orders = [
        (
            _relation(order),
            f"{order['client_order_id']}\n{order['order_id'] or 'no exchange id'}",
            f"{order['side']} {order['quantity']} {order['asset']}\n{_terms(order)}",
            order["status"],
            f"{order['filled_quantity']} @ {price(order['average_price']) or '-'}",
            money(order["fees"]),
            order["reason"],
        )
        for order in told["orders"]
    ]
    fills = [
        (
            clock(fill["executed_at"]),
            order["client_order_id"],
            f"{fill['side']} {fill['quantity']} @ {fill['price']}",
            f"{money(fill['fee'])} {fill['fee_currency']}",
            "maker" if fill["is_maker"] else "taker",
            fill["exec_id"],
        )
        for order in told["orders"]
        for fill in order["fills"]
    ]
    events = [
        (
            clock(event["created_at"]),
            event["event_type"],
            names.get(event["order_id"], event["order_id"]),
            event["sequence"],
            clock(event["published_at"]) or "NO",
            (event["message"] or {}).get("rejection_reason"),
        )
        for event in told["events"]
    ]
    columns = ("", "client order id\nexchange id", "order\ntype, price", "status", "filled", "fees", "reason")
    shown = [table("orders", columns, orders)] if orders else []
    if fills:
        shown.append(table("fills", ("time", "order", "fill", "fee", "", "exec id"), fills))
    if events:
        shown.append(table("events", ("time", "event", "order", "no.", "published", "why"), events))
    return shown
