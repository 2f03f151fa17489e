"""A dry run decides, records and tells; the exchange hears nothing."""

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import wait_until
from tests.scenarios.signals import limit_signal, market_signal

FROZEN = ("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0")


def test_a_dry_run_tells_everything_and_sends_nothing(house_on_redis: HouseMaker) -> None:
    with house_on_redis(workers=1, exchange_options=FROZEN, ORDERMANAGER_ENABLE_DRY_RUN="true") as dry:
        dry.publish(market_signal("dry-1", "BTCUSDT"), market_signal("dry-2", "BTCUSDT", side="sell"))
        dry.publish(limit_signal("dry-3", "ETHUSDT", price=2900, spread=30))
        first, second, third = dry.wait_for_end("dry-1", "dry-2", "dry-3")
        wait_until(
            lambda: dry.count("order_events WHERE published_at IS NOT NULL") == 3,
            what="events",
            tell=dry.tell,
        )

        assert (first["state"], third["state"]) == ("executed", "executed")
        assert (second["state"], second["code"]) == ("rejected", "short_not_allowed")
        assert dry.paper.orders() == []
        assert dry.paper.attempts("/v5/order/create") == []
        rows = dry.rows("SELECT status, is_dry_run, intended_at FROM orders")
        assert rows == [{"status": "dry_run", "is_dry_run": True, "intended_at": None}] * 2
        told = {event["event_type"]: event["order"] for event in dry.events()}
        assert set(told) == {"created", "signal_rejected"}
        assert (told["created"]["is_dry_run"], told["created"]["status"]) == (True, "dry_run")
        assert "[DRY-RUN]" in dry.log("lane-1")
        assert dry.count("positions") == 0
