"""The probes: /live, /health, /ready."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from structlog.testing import capture_logs

from order_manager.embedded import RedisServer, free_port
from order_manager.web import create_app
from order_manager.web.dependencies import MAX_AGE_S, TIMEOUT_S, Dependency, State
from tests.web.conftest import Api, RuntimeOf

PROBES = ("/live", "/health", "/ready")


class Site(ThreadingHTTPServer):
    """A web server that gives every GET the same answer."""

    daemon_threads = True

    def __init__(self, body: str, status: int) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                """Silent."""

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def a_site(body: str = '{"retCode": 0}', status: int = 200) -> Iterator[Site]:
    with Site(body, status) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


@contextmanager
def a_silent_server() -> Iterator[str]:
    """The port of a server that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield str(listening.getsockname()[1])


AppOn = Callable[..., Api]


@pytest.fixture
def app_on(runtime_of: RuntimeOf, redis_server: RedisServer) -> AppOn:
    """Makes an application on the running servers, but for what is given."""

    def make(**env: str) -> Api:
        return Api(create_app(runtime_of(**{**redis_server.environment(), **env})).test_client())

    return make


def probed(api: Api, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a probe, which has no key."""
    answer = api.client.get(path)
    body = answer.json
    assert body.pop("timestamp").endswith("Z")
    return answer.status_code, body


def test_a_process_is_alive_whatever_it_depends_on(app_on: AppOn) -> None:
    api = app_on(REDIS_PORT=str(free_port()), POSTGRES_PORT=str(free_port()))

    assert probed(api, "/live") == (200, {"status": "alive", "service": "order-manager"})


def test_the_service_is_healthy_with_its_database_and_its_broker(app_on: AppOn) -> None:
    api = app_on(ORDERMANAGER_SERVICE_NAME="om-7")

    assert probed(api, "/health") == (
        200,
        {"status": "healthy", "service": "om-7", "database_connected": True, "queue_connected": True},
    )


def test_the_service_is_unhealthy_without_its_database(app_on: AppOn) -> None:
    status, body = probed(app_on(POSTGRES_PORT=str(free_port())), "/health")

    assert status == 503
    assert body["status"] == "unhealthy"
    assert (body["database_connected"], body["queue_connected"]) == (False, True)


def test_the_service_is_unhealthy_without_its_broker(app_on: AppOn) -> None:
    for away in ({"REDIS_PORT": str(free_port())}, rabbitmq_at(str(free_port()))):
        status, body = probed(app_on(**away), "/health")
        assert status == 503
        assert (body["database_connected"], body["queue_connected"]) == (True, False)


def rabbitmq_at(port: str) -> dict[str, str]:
    return {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": port}


def test_the_service_is_ready_when_everything_that_is_configured_answers(app_on: AppOn) -> None:
    with a_site() as exchange:
        api = app_on(BYBIT_PAPER_URL=f"http://127.0.0.1:{exchange.server_port}/")

        assert probed(api, "/ready") == (
            200,
            {
                "status": "ready",
                "dependencies": {
                    "database": "available",
                    "rabbitmq": "not_configured",
                    "redis": "available",
                    "bybit_api": "available",
                    "ws_gateway": "not_configured",
                },
            },
        )
        assert exchange.asked == ["/v5/market/time"]


@pytest.mark.parametrize(
    ("missing", "variable"),
    [
        ("database", "POSTGRES_PORT"),
        ("redis", "REDIS_PORT"),
        ("rabbitmq", "RABBITMQ_PORT"),
        ("bybit_api", "BYBIT_PAPER_URL"),
    ],
)
def test_the_service_is_not_ready_without_what_trading_needs(
    app_on: AppOn, missing: str, variable: str
) -> None:
    away = str(free_port())
    env = rabbitmq_at(away) if missing == "rabbitmq" else {}
    with a_site() as exchange:
        env["BYBIT_PAPER_URL"] = f"http://127.0.0.1:{exchange.server_port}"
        env[variable] = f"http://127.0.0.1:{away}" if variable == "BYBIT_PAPER_URL" else away

        status, body = probed(app_on(**env), "/ready")

    assert status == 503
    assert body["status"] == "not_ready"
    unavailable = [name for name, state in body["dependencies"].items() if state == "unavailable"]
    assert unavailable == [missing]


@pytest.mark.parametrize(
    ("body", "status"),
    [("<html>", 200), ('{"retCode": 10016}', 200), ("[]", 200), ('{"retCode": 0}', 502), ("", 302)],
)
def test_an_exchange_that_answers_nonsense_is_not_available(app_on: AppOn, body: str, status: int) -> None:
    with a_site(body, status) as exchange:
        api = app_on(BYBIT_PAPER_URL=f"http://127.0.0.1:{exchange.server_port}")

        assert probed(api, "/ready")[1]["dependencies"]["bybit_api"] == "unavailable"


def test_the_gateway_is_shown_but_trading_goes_on_without_it(app_on: AppOn) -> None:
    with a_site() as exchange, a_site("ok") as gateway:
        env = {
            "BYBIT_PAPER_URL": f"http://127.0.0.1:{exchange.server_port}",
            "WS_GATEWAY_HOST": "127.0.0.1",
        }
        here = probed(app_on(**env, WS_GATEWAY_PORT=str(gateway.server_port)), "/ready")
        away = probed(app_on(**env, WS_GATEWAY_PORT=str(free_port())), "/ready")

    assert (here[0], here[1]["dependencies"]["ws_gateway"]) == (200, "available")
    assert (away[0], away[1]["dependencies"]["ws_gateway"]) == (200, "unavailable")


@pytest.mark.parametrize(
    ("status", "state"), [(200, "available"), (404, "available"), (401, "unavailable"), (503, "unavailable")]
)
def test_a_gateway_is_available_when_it_answers_and_is_well(app_on: AppOn, status: int, state: str) -> None:
    with a_site("{}", status) as gateway:
        env = {"WS_GATEWAY_HOST": "127.0.0.1", "WS_GATEWAY_PORT": str(gateway.server_port)}

        assert probed(app_on(**env), "/ready")[1]["dependencies"]["ws_gateway"] == state
        assert gateway.asked == ["/health"]


def test_servers_that_never_answer_are_waited_for_together_and_briefly(app_on: AppOn) -> None:
    with a_silent_server() as silent:
        api = app_on(
            POSTGRES_PORT=silent,
            REDIS_PORT=silent,
            BYBIT_PAPER_URL=f"http://127.0.0.1:{silent}",
            WS_GATEWAY_HOST="127.0.0.1",
            WS_GATEWAY_PORT=silent,
            **rabbitmq_at(silent),
        )
        began = time.monotonic()

        status, body = probed(api, "/ready")

        assert time.monotonic() - began < TIMEOUT_S + 1
        assert status == 503
        assert set(body["dependencies"].values()) == {"unavailable"}


@pytest.mark.rabbitmq
def test_a_rabbitmq_that_runs_is_the_queue(app_on: AppOn, rabbitmq_env: dict[str, str]) -> None:
    api = app_on(**rabbitmq_env)

    assert probed(api, "/health")[1]["queue_connected"]
    assert probed(api, "/ready")[1]["dependencies"]["rabbitmq"] == "available"


def test_many_who_probe_at_once_ask_the_exchange_once(app_on: AppOn) -> None:
    with a_site() as exchange:
        api = app_on(BYBIT_PAPER_URL=f"http://127.0.0.1:{exchange.server_port}")
        for _ in range(5):
            probed(api, "/ready")

        assert len(exchange.asked) == 1


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_needs_no_key(app_on: AppOn, path: str) -> None:
    assert app_on().client.get(path).status_code in {200, 503}


# One dependency


def asked(dependency: Dependency) -> State:
    dependency.begin()
    return dependency.state()


def test_a_dependency_that_hangs_holds_one_thread_and_delays_only_the_first_who_asks() -> None:
    release, threads = threading.Event(), []

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait(30)

    dependency = Dependency("frozen", hang)
    assert asked(dependency) is State.UNAVAILABLE
    began = time.monotonic()
    assert [asked(dependency) for _ in range(5)] == [State.UNAVAILABLE] * 5
    assert time.monotonic() - began < 0.5
    assert len(threads) == 1
    release.set()
    threads[0].join()
    assert asked(dependency) is State.UNAVAILABLE  # that answer came too late to count


def test_a_dependency_is_asked_again_when_its_answer_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [None, OSError("refused"), None]
    clock = [0.0]
    monkeypatch.setattr("order_manager.web.dependencies.time.monotonic", lambda: clock[0])

    def ask() -> None:
        if error := answers.pop(0):
            raise error

    dependency = Dependency("flaky", ask)
    seen = []
    with capture_logs() as logs:
        for _ in range(3):
            seen += [asked(dependency), asked(dependency)]
            clock[0] += MAX_AGE_S

    up, down = State.AVAILABLE, State.UNAVAILABLE
    assert seen == [up, up, down, down, up, up]
    assert [line["event"] for line in logs] == ["dependency_lost", "dependency_regained"]
    assert logs[0]["error"] == "refused"


def test_a_dependency_lost_to_an_error_without_a_text_is_told_with_its_kind() -> None:
    def ask() -> None:
        raise TimeoutError

    with capture_logs() as logs:
        assert asked(Dependency("mute", ask)) is State.UNAVAILABLE
    assert logs[0]["error"] == "TimeoutError()"
