"""An application on a database of the module's own, and a caller who has the key."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from order_manager.database.tables import (
    account_state,
    dead_letters,
    exchange_updates,
    lanes,
    order_events,
    orders,
    position_adjustments,
    position_snapshots,
    positions,
    signal_order_relationships,
    trading_signals,
)
from order_manager.embedded import free_port
from order_manager.settings import load_settings
from order_manager.web import create_app
from order_manager.wiring import Runtime, build_runtime

KEY = "the-key-of-the-tests"
EMPTIED = (
    signal_order_relationships,
    orders,
    positions,
    position_adjustments,
    position_snapshots,
    trading_signals,
    order_events,
    exchange_updates,
    dead_letters,
    lanes,
)


@dataclass(frozen=True)
class Api:
    """Calls the application; the answer as JSON."""

    client: FlaskClient

    def answer(self, path: str, /, *, headers: dict[str, str] | None = None, **query: Any) -> TestResponse:
        return self.client.get(
            path, query_string=query or None, headers={"X-API-Key": KEY, **(headers or {})}
        )

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """The body of an answer that must be a good one."""
        answer = self.answer(path, **query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body

    def post(self, path: str, /, body: Any = None, **query: Any) -> TestResponse:
        return self.client.post(path, json=body, query_string=query or None, headers={"X-API-Key": KEY})

    def orders(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/orders", **query)["orders"]
        return found

    def positions(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/positions", **query)["positions"]
        return found

    def problem(self, path: str, /, **query: Any) -> dict[str, Any]:
        """What a 400 says of its only bad parameter."""
        answer = self.answer(path, **query)
        assert answer.status_code == 400, answer.text
        assert answer.json["code"] == "invalid_parameter"
        [problem] = answer.json["details"]["parameters"]
        assert problem["parameter"] in answer.json["error"]
        assert problem["limit"] in answer.json["error"]
        found: dict[str, Any] = problem
        return found


RuntimeOf = Callable[..., Runtime]


@pytest.fixture(scope="module")
def runtime_of(database_env: dict[str, str]) -> Iterator[RuntimeOf]:
    """Makes runtimes on the module's database; the broker and the exchange are away unless given."""
    made = []

    def make(**env: str) -> Runtime:
        nowhere = str(free_port())
        settings = load_settings(
            _env_file=None,
            **{
                **database_env,
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": nowhere,
                "BYBIT_PAPER_URL": f"http://127.0.0.1:{nowhere}",
                "ORDERMANAGER_API_KEY": KEY,
                **env,
            },
        )
        made.append(build_runtime(settings))
        return made[-1]

    yield make
    for runtime in made:
        runtime.engine.dispose()


@pytest.fixture(scope="module")
def runtime(runtime_of: RuntimeOf) -> Runtime:
    return runtime_of()


@pytest.fixture(scope="module")
def application(runtime: Runtime) -> Api:
    return Api(create_app(runtime).test_client())


@pytest.fixture
def api(application: Api, runtime: Runtime) -> Api:
    """The application on empty tables."""
    with runtime.engine.connect() as connection:
        for table in EMPTIED:
            connection.execute(delete(table))
        connection.execute(
            update(account_state).values(
                mode="active", mode_reason=None, mode_changed_at=None, mode_changed_by=None
            )
        )
    return application
