"""Tasks are registered under the names that operators call, go to the right queues, and run on time."""

from typing import Any

import pytest
from kombu import Queue

from order_manager import queues
from order_manager.tasks.queues import SymbolQueues, declared

NAMES = {
    "execute_signal",
    "wake_lane",
    "open_symbol",
    "publish_rejections",
    "sweep",
    "reconcile_orders",
    "cancel_stale_symbol",
    "cancel_stale_orders",
    "discover_symbols",
    "sync_orders",
    "validate_positions",
    "refresh_instruments",
    "snapshot_positions",
}
SINGLE = {"x-single-active-consumer": True}


def test_tasks_have_the_names_that_operators_call(plain):
    assert set(plain["tasks"]) >= NAMES


def test_a_worker_knows_the_maintenance_and_the_anchor_queue(plain):
    assert plain["queues"] == {
        "maintenance": ["maintenance", True, None],
        "orders": ["orders", True, None],
    }
    assert plain["conf"]["task_default_queue"] == "maintenance"


def test_a_task_is_acked_when_it_is_done_and_one_at_a_time(plain):
    conf = plain["conf"]
    assert conf["task_acks_late"] is True
    assert conf["task_reject_on_worker_lost"] is True
    assert conf["worker_prefetch_multiplier"] == 1
    assert conf["accept_content"] == ["json"]
    assert conf["task_serializer"] == "json"


def test_redis_restores_a_task_only_after_the_longest_one(plain):
    conf = plain["conf"]
    assert conf["broker_url"].startswith("redis://")
    assert conf["broker_transport_options"]["visibility_timeout"] > conf["task_time_limit"]


def test_rabbitmq_confirms_every_message(configured):
    conf = configured(RABBITMQ_HOST="mq")["conf"]
    assert conf["broker_url"].startswith("amqp://")
    assert conf["broker_transport_options"]["confirm_publish"] is True


def test_the_schedule_is_as_often_as_the_settings_say(configured):
    conf = configured(
        ORDERMANAGER_SWEEP_INTERVAL="3",
        ORDERMANAGER_RECONCILIATION_INTERVAL="70",
        ORDERMANAGER_INSTRUMENT_INFO_REFRESH_INTERVAL="1800",
        ORDERMANAGER_POSITION_SNAPSHOT_INTERVAL="150",
        ORDERMANAGER_POSITION_VALIDATION_INTERVAL="900",
        ORDERMANAGER_CANCEL_STALE_ORDER_TIMEOUT="100",
    )["conf"]
    schedule = conf["beat_schedule"]
    wanted = {
        "sweep": ("sweep", 3.0),
        "reconcile-orders": ("reconcile_orders", 70.0),
        "refresh-instruments": ("refresh_instruments", 1800.0),
        "snapshot-positions": ("snapshot_positions", 150.0),
        "validate-positions": ("validate_positions", 900.0),
        "cancel-stale-orders": ("cancel_stale_orders", 10.0),
    }
    for entry, (task, seconds) in wanted.items():
        assert (schedule[entry]["task"], schedule[entry]["schedule"]) == (task, seconds)
        # One that nobody took in time is worth nothing: the next is there already. Nobody reads its result.
        options = {"queue": "maintenance", "expires": seconds, "ignore_result": True}
        assert schedule[entry]["options"] == options


@pytest.mark.parametrize(("timeout_s", "look_s"), [("3600", 60), ("600", 60), ("50", 5), ("2", 1)])
def test_stale_orders_are_looked_for_in_time_but_not_all_the_time(configured, timeout_s, look_s):
    schedule = configured(ORDERMANAGER_CANCEL_STALE_ORDER_TIMEOUT=timeout_s)["conf"]["beat_schedule"]
    assert schedule["cancel-stale-orders"]["schedule"] == look_s


def test_two_beats_are_one(plain):
    assert plain["conf"]["beat_scheduler"] == "order_manager.tasks.beat:LeaderScheduler"


def test_every_scheduled_task_exists(plain):
    scheduled = {entry["task"] for entry in plain["conf"]["beat_schedule"].values()}
    assert scheduled <= set(plain["tasks"])


# A symbol's queue is declared alike whoever names it first


def arguments(queue: Queue) -> Any:
    assert queue.durable
    assert queue.routing_key == queue.name
    return queue.queue_arguments


def test_a_symbol_queue_has_one_active_consumer():
    assert arguments(declared("orders.BTCUSDT")) == SINGLE


@pytest.mark.parametrize("name", ["maintenance", "orders", "ordersBTC", "celery"])
def test_other_queues_are_plain(name):
    assert arguments(declared(name)) is None


def ways() -> dict[str, Any]:
    return {
        "sending to it": lambda table: table["orders.BTCUSDT"],
        "add_consumer": lambda table: table.select_add("orders.BTCUSDT"),
        "add_consumer with options": lambda table: table.select_add(
            "orders.BTCUSDT", exchange="orders.BTCUSDT", exchange_type="direct", routing_key="x"
        ),
        "add by name": lambda table: table.add("orders.BTCUSDT"),
        "add by name with options": lambda table: table.add("orders.BTCUSDT", exchange="x", durable=False),
        "add a declared one": lambda table: table.add(declared("orders.BTCUSDT")),
        "a missing one": lambda table: table.new_missing("orders.BTCUSDT"),
        "-Q on the command line": lambda table: table.select(["orders.BTCUSDT"]),
    }


@pytest.mark.parametrize("way", ways())
def test_a_symbol_queue_is_the_same_whichever_way_it_is_first_named(way):
    table = SymbolQueues([declared("maintenance")], create_missing=True)
    given = ways()[way](table)
    queue = given if isinstance(given, Queue) else table["orders.BTCUSDT"]
    assert queue.name == "orders.BTCUSDT"
    assert arguments(queue) == SINGLE
    assert queue.exchange.name == "order-manager.tasks"


def test_two_names_make_two_queues():
    table = SymbolQueues([], create_missing=True)
    assert table["orders.A"].queue_arguments == table["orders.B"].queue_arguments == SINGLE
    assert table["orders.A"].queue_arguments is not table["orders.B"].queue_arguments


def test_a_symbol_s_queue_is_told_by_its_name():
    assert queues.symbol_queue("BTCUSDT") == "orders.BTCUSDT"
    assert queues.is_symbol_queue("orders.BTCUSDT")
    assert not queues.is_symbol_queue(queues.ANCHOR)
    assert not queues.is_symbol_queue(queues.MAINTENANCE)
