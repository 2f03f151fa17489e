"""A position that loses too much is told on the event queue, once, by the schedule alone."""

from tests.scenarios.conftest import HouseMaker
from tests.scenarios.house import wait_until
from tests.scenarios.signals import market_signal

FROZEN = ("--create-limit", "500", "--read-limit", "2000", "--price-interval-ms", "0")


def test_a_loss_that_passes_the_threshold_is_published_once(house_on_redis: HouseMaker) -> None:
    with house_on_redis(
        workers=1, exchange_options=FROZEN, ORDERMANAGER_POSITION_SNAPSHOT_INTERVAL="0.5"
    ) as house:
        house.publish(market_signal("in", "BTCUSDT", amount=1000))
        house.wait_for_end("in")
        wait_until(lambda: house.count("positions") > 0, what="the fill", tell=house.tell)
        (row,) = house.rows("SELECT average_price FROM positions")
        house.paper.set_price("BTCUSDT", round(row["average_price"] * 8 / 10))
        wait_until(
            lambda: (
                house.count("order_events WHERE event_type = 'position_pnl' AND published_at IS NOT NULL") > 0
            ),
            what="the loss to be published",
            tell=house.tell,
        )
        taken = house.count("position_snapshots")
        wait_until(lambda: house.count("position_snapshots") > taken + 2, what="more snapshots")

        [told] = [event for event in house.events() if event["event_type"] == "position_pnl"]
        assert told["position"]["asset"] == "BTCUSDT"
        assert told["unrealized_pnl_percent"].startswith(("-19.", "-20"))
        assert "unrealized_loss" in house.log("maintenance")
        assert '"process": "beat"' in house.log("beat")
