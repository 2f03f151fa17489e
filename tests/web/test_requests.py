"""What every request passes through: the key, the errors, the ids, the log."""

import json
import threading
from typing import Any
from uuid import uuid4

import pytest
import structlog
from flask import request
from sqlalchemy import text
from structlog.testing import capture_logs

from order_manager.embedded import free_port
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.web.conftest import KEY, Api, RuntimeOf
from tests.web.rows import add_order

ORDERS = "/api/v1/orders"
CLOSED = (
    ORDERS,
    f"{ORDERS}/1",
    "/api/v1/positions",
    "/api/v1/positions/BTCUSDT",
    "/nowhere",
    "/console",
)


@pytest.fixture
def faulty(runtime: Runtime) -> Api:
    """An application with views that go wrong."""
    app = create_app(runtime)

    @app.get("/bug")
    def bug() -> None:
        raise RuntimeError("the password is swordfish")

    @app.get("/bad-statement")
    def bad_statement() -> None:
        with runtime.engine.connect() as connection:
            connection.execute(text("SELECT swordfish"))

    @app.post("/body")
    def body() -> dict[str, Any]:
        return {"got": request.get_json()}

    return Api(app.test_client())


# The key


@pytest.mark.parametrize("path", CLOSED)
def test_without_the_key_nothing_is_answered_not_even_whether_a_path_exists(api: Api, path: str) -> None:
    answer = api.client.get(path)

    assert answer.status_code == 401
    assert answer.json["code"] == "unauthorized"
    assert answer.json["details"] == {"header": "X-API-Key", "problem": "missing"}
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize(
    "key", ["wrong", KEY + "x", KEY[:-1], KEY.upper(), f"{KEY}, {KEY}", "\xe9\xff", "x" * 5000, '"']
)
def test_a_wrong_key_is_refused_and_not_repeated(api: Api, key: str) -> None:
    answer = api.client.get(ORDERS, headers={"X-API-Key": key})

    assert answer.status_code == 401
    assert answer.json["details"]["problem"] == "wrong"
    assert KEY not in answer.text


def test_a_key_in_the_query_is_no_key(api: Api) -> None:
    assert api.client.get(ORDERS, query_string={"X-API-Key": KEY}).status_code == 401


def test_a_key_beyond_ascii_works(runtime_of: RuntimeOf) -> None:
    client = create_app(runtime_of(ORDERMANAGER_API_KEY="klucz-żółty")).test_client()
    as_sent = "klucz-żółty".encode().decode("latin-1")  # a header is bytes; WSGI shows them as latin-1

    assert client.get(ORDERS, headers={"X-API-Key": as_sent}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_needs_the_key(api: Api, method: str) -> None:
    assert api.client.open(ORDERS, method=method).status_code == 401


# Errors


def test_an_unknown_path_is_a_json_404(api: Api) -> None:
    answer = api.answer("/api/v1/order")

    assert answer.status_code == 404
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"error", "code", "details"}
    assert answer.json["code"] == "not_found"
    assert answer.json["details"] == {"method": "GET", "path": "/api/v1/order"}


def test_a_wrong_method_is_a_json_405_that_names_the_right_ones(api: Api) -> None:
    answer = api.client.post(ORDERS, headers={"X-API-Key": KEY})

    assert answer.status_code == 405
    assert answer.json["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b'"' + b"x" * 70_000 + b'"', 413, "request_entity_too_large"),
    ],
)
def test_a_bad_body_is_a_json_error(faulty: Api, body: bytes, status: int, code: str) -> None:
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}

    answer = faulty.client.post("/body", data=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/bug", "/bad-statement"])
def test_a_bug_is_a_json_500_that_tells_the_log_but_not_the_caller(faulty: Api, path: str) -> None:
    with capture_logs() as logs:
        answer = faulty.answer(path)

    assert answer.status_code == 500
    assert answer.json["code"] == "internal_error"
    assert answer.json["details"] == {}
    assert "swordfish" not in answer.text
    failed, served = logs
    assert (failed["event"], failed["log_level"]) == ("http_request_failed", "error")
    assert "swordfish" in str(failed["exc_info"])
    assert (served["event"], served["status"]) == ("http_request_served", 500)


@pytest.mark.parametrize("path", [ORDERS, f"{ORDERS}/1", "/api/v1/positions", "/api/v1/positions/BTCUSDT"])
def test_without_its_database_the_service_says_so(runtime_of: RuntimeOf, path: str) -> None:
    api = Api(
        create_app(runtime_of(POSTGRES_PORT=str(free_port()), POSTGRES_PASSWORD="swordfish")).test_client()
    )

    with capture_logs() as logs:
        answer = api.answer(path)

    assert answer.status_code == 503
    assert answer.json["code"] == "database_unavailable"
    assert answer.headers["Retry-After"] == "1"
    assert "127.0.0.1" not in answer.text
    assert logs[0]["event"] == "database_unavailable"
    assert "swordfish" not in json.dumps(logs)


def test_a_statement_that_takes_too_long_is_a_503(api: Api, runtime: Runtime) -> None:
    app = create_app(runtime)

    @app.get("/slow")
    def slow() -> None:
        with runtime.engine.connect() as connection:
            connection.execute(text("SET statement_timeout = 20"))
            try:
                connection.execute(text("SELECT pg_sleep(5)"))
            finally:
                connection.invalidate()

    assert Api(app.test_client()).answer("/slow").json["code"] == "database_unavailable"


def test_the_service_recovers_by_itself_when_its_connections_were_cut(api: Api, runtime: Runtime) -> None:
    order_id = add_order(runtime)
    with runtime.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    assert [order["id"] for order in api.orders()] == [order_id]


# Ids and the log


def test_a_request_id_is_given_back(api: Api) -> None:
    answer = api.answer(ORDERS, headers={"X-Request-ID": "req-1:a.b_c"})

    assert answer.headers["X-Request-ID"] == "req-1:a.b_c"


@pytest.mark.parametrize("sent", ["", "x" * 101, "a b", "a;b", "<script>", "\xe9", '{"a": 1}'])
def test_an_unfit_request_id_is_replaced(api: Api, sent: str) -> None:
    given = api.answer(ORDERS, headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert given != sent
    assert len(given) == 32
    assert given.isalnum()


@pytest.mark.parametrize("path", ["/live", ORDERS, "/nowhere", "/bug"])
def test_every_answer_has_its_own_request_id(faulty: Api, path: str) -> None:
    ids = {faulty.answer(path).headers["X-Request-ID"] for _ in range(3)}

    assert len(ids) == 3


def test_a_request_is_one_line_in_the_log(api: Api) -> None:
    with capture_logs() as logs:
        api.answer(ORDERS, limit="0")

    [line] = logs
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "http_request_served",
        "log_level": "info",
        "method": "GET",
        "path": ORDERS,
        "status": 400,
    }


@pytest.mark.parametrize("path", ["/live", "/health", "/ready"])
def test_probes_are_logged_for_debugging_only(api: Api, path: str) -> None:
    with capture_logs() as logs:
        api.client.get(path)

    assert [line["log_level"] for line in logs if line["event"] == "http_request_served"] == ["debug"]


def test_log_lines_carry_who_and_which_request_in_any_thread_and_nothing_after_it(api: Api) -> None:
    bound: list[dict[str, Any]] = []

    def seen(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        bound.append(structlog.contextvars.get_contextvars())
        return event

    request_id = uuid4().hex
    headers = {"X-Request-ID": request_id, "X-Trace-ID": "trace-9"}

    def ask() -> None:
        api.answer(ORDERS, headers=headers)
        bound.append(structlog.contextvars.get_contextvars())

    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[seen, *processors])
    try:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    finally:
        structlog.configure(processors=processors)

    during, after = bound
    assert during == {
        "service": "order-manager",
        "process": "web",
        "request_id": request_id,
        "trace_id": "trace-9",
    }
    assert after == {}


def test_answers_are_not_to_be_cached(api: Api) -> None:
    assert api.answer(ORDERS).headers["Cache-Control"] == "no-store"
