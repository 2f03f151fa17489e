"""GET /api/v1/positions where a Position Manager is configured."""

from collections.abc import Callable, Iterator
from decimal import Decimal as D

import pytest

from order_manager.embedded import free_port
from order_manager.partners import position_manager
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.partners.pretend import KEY, PretendPositionManager, pretending
from tests.web.conftest import Api, RuntimeOf
from tests.web.rows import add_position

POSITIONS = "/api/v1/positions"
ApiOf = Callable[..., Api]


@pytest.fixture
def pretend() -> Iterator[PretendPositionManager]:
    with pretending(free_port()) as pretend:
        yield pretend


@pytest.fixture
def asking(
    api: Api, runtime_of: RuntimeOf, pretend: PretendPositionManager, monkeypatch: pytest.MonkeyPatch
) -> ApiOf:
    """An application that asks the pretend Position Manager; our own books are empty."""
    monkeypatch.setattr(position_manager, "RETRY_S", 0.0)

    def make(fallback: str = "refuse") -> Api:
        runtime = runtime_of(
            POSITION_MANAGER_HOST="127.0.0.1",
            POSITION_MANAGER_PORT=str(pretend.port),
            POSITION_MANAGER_API_KEY=KEY,
            ORDERMANAGER_POSITION_MANAGER_FALLBACK=fallback,
        )
        return Api(create_app(runtime).test_client())

    return make


def test_a_position_is_theirs_in_our_words(asking: ApiOf, pretend: PretendPositionManager) -> None:
    pretend.hold("BTCUSDT", -0.5, 60000, mark_price="61000", updated_at="2026-11-21T07:33:00Z", fees="0.5")

    assert asking().get(f"{POSITIONS}/BTCUSDT") == {
        "asset": "BTCUSDT",
        "mode": "one_way",
        "side": "short",
        "size": "-0.5",
        "average_entry_price": "60000",
        "long_size": "0",
        "long_average_price": None,
        "short_size": "0.5",
        "short_average_price": "60000",
        "realized_pnl": None,  # not told
        "fees": "0.5",
        "unrealized_pnl": "-500",
        "mark_price": "61000",
        "created_at": None,
        "updated_at": "2026-11-21T07:33:00Z",
        "source": "position_manager",
    }
    assert pretend.keys == {KEY}


def test_what_it_tells_of_its_pnl_is_passed_on(asking: ApiOf, pretend: PretendPositionManager) -> None:
    pretend.hold("BTCUSDT", "1", 100, mark_price="110", unrealized_pnl="9.5", realized_pnl="-3")

    position = asking().get(f"{POSITIONS}/BTCUSDT")

    assert (position["unrealized_pnl"], position["realized_pnl"]) == ("9.5", "-3")


def test_a_list_is_filtered_and_paged_here(asking: ApiOf, pretend: PretendPositionManager) -> None:
    for asset in ("ETHUSDT", "BTCUSDT", "SOLUSDT"):
        pretend.hold(asset, "1")
    pretend.positions["XRPUSDT"] = {"asset": "XRPUSDT", "long_size": "2", "short_size": "1"}
    api = asking()

    page = api.get(POSITIONS, limit=2, offset=1)
    assert [one["asset"] for one in page["positions"]] == ["ETHUSDT", "SOLUSDT"]
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 4}
    assert page["source"] == "position_manager"
    assert [one["asset"] for one in api.positions(asset="SOLUSDT")] == ["SOLUSDT"]
    assert [one["asset"] for one in api.positions(mode="hedge")] == ["XRPUSDT"]


def test_what_it_does_not_know_is_not_found(asking: ApiOf, pretend: PretendPositionManager) -> None:
    pretend.hold("BTCUSDT", "1", mode="one_way")
    api = asking()

    for path, query in (("ETHUSDT", {}), ("BTCUSDT", {"mode": "hedge"}), ("a b", {})):
        answer = api.answer(f"{POSITIONS}/{path}", **query)
        assert (answer.status_code, answer.json["code"]) == (404, "position_not_found")


@pytest.mark.parametrize("path", [POSITIONS, f"{POSITIONS}/BTCUSDT"])
def test_while_it_is_away_there_is_no_answer(
    asking: ApiOf, pretend: PretendPositionManager, path: str
) -> None:
    pretend.status = 500

    answer = asking().answer(path)

    assert (answer.status_code, answer.json["code"]) == (503, "position_manager_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_while_it_is_away_our_own_numbers_may_answer(
    asking: ApiOf, pretend: PretendPositionManager, runtime: Runtime
) -> None:
    add_position(runtime, size=D(2), average_price=D(100))
    pretend.status = 500
    api = asking("own")

    position, listed = api.get(f"{POSITIONS}/BTCUSDT"), api.get(POSITIONS)

    assert (position["size"], position["source"]) == ("2", "order_manager")
    assert ([one["size"] for one in listed["positions"]], listed["source"]) == (["2"], "order_manager")
    assert api.answer(f"{POSITIONS}/ETHUSDT").status_code == 404


def test_a_bad_parameter_is_named_before_anybody_is_asked(
    asking: ApiOf, pretend: PretendPositionManager
) -> None:
    assert asking().problem(POSITIONS, mode="both")["parameter"] == "mode"
    assert pretend.asked == []
