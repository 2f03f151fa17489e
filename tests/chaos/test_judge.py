"""A judge that never finds anything would let everything pass: each breach is found, and nothing else is."""

from decimal import Decimal
from typing import Any

from order_manager.domain.identity import client_order_id
from tests.chaos import judge
from tests.chaos.load import GARBAGE, MAX_EXPOSURE, MAX_POSITIONS, SIGNAL, Message, bursts, messages
from tests.chaos.plan import Plan, fingerprint, schedule

PLAN = Plan(broker="redis", seed=7, signals=500, kills=20, faults=50)
NAMES = judge.names_of(["a", "b"])


def link(signal_id: str, *, attempt: int = 1, slice_number: int = 0) -> str:
    return client_order_id(signal_id, attempt=attempt, slice_number=slice_number)


def row(signal_id: str, seq: int, state: str = "executed") -> dict[str, Any]:
    return {"signal_id": signal_id, "seq": seq, "state": state, "code": None, "symbol": "BTCUSDT"}


def entry(kind: str, link_id: str, **facts: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "seq": 1,
        "link_id": link_id,
        "order_id": f"x-{link_id}",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "order_type": "Market",
        "qty": "0.01",
        "price": "0",
    } | facts


def created(*links: str) -> list[dict[str, Any]]:
    return [entry("order_created", one) for one in links]


def test_the_same_seed_makes_the_same_schedule_and_load() -> None:
    again = Plan(broker="redis", seed=7, signals=500, kills=20, faults=50)
    other = Plan(broker="redis", seed=8, signals=500, kills=20, faults=50)
    assert fingerprint(schedule(again)) == fingerprint(schedule(PLAN)) != fingerprint(schedule(other))
    assert messages(again) == messages(PLAN) != messages(other)
    assert [message for burst in bursts(messages(PLAN)) for message in burst] == messages(PLAN)


def test_a_plan_has_every_kind_of_disruption() -> None:
    actions = schedule(Plan(broker="rabbitmq", seed=1, signals=3000, kills=60, faults=300))
    assert sum(action.kind == "kill" for action in actions) >= 60
    assert {action.target for action in actions if action.kind == "restart"} == {
        "exchange",
        "postgres",
        "rabbitmq",
        "redis",
    }
    kinds = {
        rule["kind"] for action in actions if action.kind == "weather" for rule in action.options["rest"]
    }
    assert len(kinds) >= 14


def test_a_signal_that_is_missing_or_has_not_ended_is_lost() -> None:
    sent = [Message(at=0, kind=SIGNAL, body=b"", signal_id=name) for name in ("a", "b")]
    assert judge.lost_signals(sent, [row("a", 1), row("b", 2)]) == []
    assert judge.lost_signals(sent, [row("a", 1)]) == ["b was published and is not in the inbox"]
    assert judge.lost_signals(sent, [row("a", 1), row("b", 2, "planned")]) == ["b has not ended: planned"]
    assert len(judge.lost_signals(sent[:1], [row("a", 1), row("b", 2)])) == 1


def test_two_orders_of_a_signal_and_slice_are_one_too_many() -> None:
    rows = [row("a", 1), row("b", 2)]
    assert judge.doubles(created(link("a"), link("a", slice_number=1), link("b")), rows, NAMES) == []
    assert len(judge.doubles(created(link("a"), link("a", attempt=2), link("b")), rows, NAMES)) == 1
    assert len(judge.doubles(created(link("a"), link("a"), link("b")), rows, NAMES)) == 1
    assert len(judge.doubles(created(link("a"), link("b"), link("c")), rows, NAMES)) == 1


def test_a_signal_s_state_is_what_the_exchange_saw() -> None:
    assert judge.doubles(created(link("a")), [row("a", 1), row("b", 2, "rejected")], NAMES) == []
    assert len(judge.doubles(created(link("a")), [row("a", 1, "failed")], NAMES)) == 1
    assert len(judge.doubles([], [row("a", 1)], NAMES)) == 1
    assert judge.doubles([], [row("a", 1)], NAMES, amended={"a"}) == []


def test_a_later_signal_that_comes_first_is_found() -> None:
    rows = [row("a", 1), row("b", 2)]
    assert judge.overtakings(created(link("a"), link("b"), link("a", slice_number=1)), rows, NAMES) == []
    assert len(judge.overtakings(created(link("b"), link("a")), rows, NAMES)) == 1


def test_garbage_is_a_dead_letter_and_nothing_else_is() -> None:
    sent = [Message(at=0, kind=GARBAGE, body=b"x")]
    assert judge.unexplained_letters(sent, [{"body": b"x"}, {"body": b"x"}]) == []
    assert len(judge.unexplained_letters(sent, [])) == 1
    assert len(judge.unexplained_letters([], [{"body": b"x"}])) == 1


def test_an_event_that_was_never_committed_is_found() -> None:
    told = [{"event_id": "e1", "event_type": "created"}, {"event_id": "e2", "event_type": "created"}]
    assert judge.strange_events(told, [{"event_id": "e1"}, {"event_id": "e2"}]) == []
    assert len(judge.strange_events(told, [{"event_id": "e1"}])) == 1


def test_limits_are_judged_at_every_moment() -> None:
    size = MAX_POSITIONS["BTCUSDT"]
    assert judge.breaches([entry("order_created", "om-1", qty="0.02")]) == []
    assert any("worth" in one for one in judge.breaches([entry("order_created", "om-1", qty="0.04")]))
    many = [entry("order_created", f"om-{n}", qty=str(size / 4)) for n in range(5)]
    assert any("BTCUSDT, 0.2 is the limit" in one for one in judge.breaches(many))
    spread = [entry("order_created", f"om-{n}", symbol="XRPUSDT", qty="3000") for n in range(11)]
    assert any("exposure" in one for one in judge.breaches(spread)) == (
        11 * 3000 * judge.lowest_price("XRPUSDT") > MAX_EXPOSURE
    )


def test_an_amended_order_counts_as_it_is_now() -> None:
    size = MAX_POSITIONS["DOGEUSDT"]
    of = {"symbol": "DOGEUSDT", "order_type": "Limit", "price": "0.15"}
    happened = [entry("order_created", "om-1", qty="100", **of), entry("fill", "om-1", qty="50", **of)]
    assert judge.breaches([*happened, entry("order_amended", "om-1", qty=str(size), **of)]) == []
    assert judge.breaches([*happened, entry("order_amended", "om-1", qty=str(size + 1), **of)]) != []


def test_what_was_sold_or_cancelled_makes_room() -> None:
    quarter = str(MAX_POSITIONS["SYM001USDT"] / 4)
    of = {"symbol": "SYM001USDT", "qty": quarter}
    happened = []
    for number in range(8):
        name = f"om-{number}"
        happened.append(entry("order_created", name, **of))
        if number % 2:
            happened.append(entry("order_cancelled", name, **of))
        else:
            happened.append(entry("fill", name, **of))
            happened.append(entry("order_created", f"om-s{number}", side="Sell", **of))
            happened.append(entry("fill", f"om-s{number}", side="Sell", **of))
    assert judge.breaches(happened) == []
    assert judge.most(happened) == Decimal(quarter) * judge.lowest_price("SYM001USDT")


def test_a_short_position_is_found() -> None:
    happened = [entry("order_created", "om-1", side="Sell"), entry("fill", "om-1", side="Sell")]
    assert any("short" in one for one in judge.breaches(happened))
