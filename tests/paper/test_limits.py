"""Request limits and their headers."""

import time
from collections.abc import Iterator

import pytest

from order_manager.paper.limits import AddressLimit, RateLimits

from .client import Client, Control
from .conftest import running_exchange


@pytest.fixture(scope="module")
def limited_url() -> Iterator[str]:
    with running_exchange("--price-interval-ms", "0", "--ip-limit") as (url, _):
        yield url


@pytest.fixture
def limited(limited_url: str) -> Iterator[Client]:
    client = Client(limited_url)
    control = Control(limited_url, session=client.session)
    control.post("reset")
    yield client
    client.session.close()


def test_the_eleventh_create_in_a_second_is_refused(limited: Client) -> None:
    remaining = []
    for _ in range(10):
        limited.limit("Buy", "0.001", "49500.00")
        assert limited.last.headers["X-Bapi-Limit"] == "10"
        remaining.append(int(limited.last.headers["X-Bapi-Limit-Status"]))
    assert remaining == list(range(9, -1, -1))
    refused = limited.create(qty="0.001", price="49500.00", orderLinkId="again")
    reset_ms = int(limited.last.headers["X-Bapi-Limit-Reset-Timestamp"])
    assert refused["retCode"] == 10006
    assert 0 < reset_ms - refused["time"] <= 1000
    # Other endpoints and categories have budgets of their own.
    spot = limited.create(category="spot", qty="0.001", price="49900.0")
    assert (spot["retCode"], limited.last.headers["X-Bapi-Limit"]) == (0, "20")
    assert limited.post("/v5/order/cancel-all", category="linear", symbol="BTCUSDT")["retCode"] == 0
    time.sleep(max(0.0, reset_ms / 1000 - time.time()) + 0.01)
    assert limited.create(qty="0.001", price="49500.00", orderLinkId="again")["retCode"] == 0


@pytest.mark.parametrize(
    ("endpoint", "category", "limit"),
    [
        ("/v5/order/create", "linear", 10),
        ("/v5/order/create", "spot", 20),
        ("/v5/order/amend", "spot", 10),
        ("/v5/order/cancel-all", "spot", 20),
        ("/v5/order/realtime", "linear", 50),
        ("/v5/account/wallet-balance", "", 50),
        ("/v5/account/fee-rate", "linear", 5),
        ("/v5/position/set-leverage", "linear", 10),
        ("/v5/user/query-api", "", 10),
    ],
)
def test_the_documented_figures(endpoint: str, category: str, limit: int) -> None:
    assert RateLimits().limit_for(endpoint, category) == limit


def test_the_window_rolls() -> None:
    limits = RateLimits(create_limit=2)
    take = [limits.take(1, "/v5/order/create", "linear", at).is_allowed for at in (0, 500, 999, 1000, 1400)]
    assert take == [True, True, False, True, False]
    assert limits.take(2, "/v5/order/create", "linear", 1400).is_allowed
    assert limits.take(1, "/v5/order/create", "linear", 1400).reset_ms == 1500


def test_reads_share_a_budget_over_categories() -> None:
    limits = RateLimits(read_limit=1)
    assert limits.take(1, "/v5/order/realtime", "linear", 0).is_allowed
    assert not limits.take(1, "/v5/order/realtime", "spot", 0).is_allowed


def test_an_address_is_banned_for_ten_minutes() -> None:
    addresses = AddressLimit(is_on=True)
    assert not any(addresses.is_banned("a", 0) for _ in range(600))
    assert addresses.is_banned("a", 1)
    assert not addresses.is_banned("b", 1)
    assert addresses.is_banned("a", 600_000)
    assert not addresses.is_banned("a", 600_001)


def test_a_banned_address_hears_403(limited_url: str) -> None:
    client = Client(limited_url)
    status = 200
    for _ in range(601):
        status = client.session.get(limited_url + "/v5/market/time", timeout=5).status_code
        if status != 200:
            break
    client.session.close()
    assert status == 403
