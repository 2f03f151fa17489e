"""Signing in to the console: what the cookie is, what it may do, and for how long."""

import re
import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from order_manager import web
from order_manager.web import create_app, sessions
from order_manager.web.context import current_ended_sessions
from order_manager.web.sessions import COOKIE, LIFETIME_S, Tries
from tests.servers import RedisServer
from tests.web.conftest import RuntimeOf

OPERATING, READING = "operate-one", "lesen-für-zwei"
ORDERS, SYNC, OVERVIEW = "/api/v1/orders", "/api/v1/sync", "/api/v1/overview"
PAGES = Path(web.__file__).with_name("pages")


@pytest.fixture
def app(runtime_of: RuntimeOf) -> Flask:
    return create_app(runtime_of(ORDERMANAGER_API_KEY=OPERATING, ORDERMANAGER_READ_API_KEYS=READING))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def sign_in(client: FlaskClient, key: str = OPERATING, **options: Any) -> TestResponse:
    return client.post("/console/sign-in", data={"key": key}, **options)


def cookie_of(answer: TestResponse) -> Any:
    return SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]


def shows_the_form(client: FlaskClient) -> bool:
    answer = client.get("/")
    assert answer.status_code == 200
    return 'name="key"' in answer.text


@pytest.mark.parametrize("key", [OPERATING, READING, f"  {OPERATING} "])
def test_either_kind_of_key_signs_in_to_read(client: FlaskClient, key: str) -> None:
    assert shows_the_form(client)

    answer = sign_in(client, key)

    assert (answer.status_code, answer.headers["Location"]) == (303, "../")
    assert not shows_the_form(client)
    assert client.get(ORDERS).status_code == 200
    assert client.head(ORDERS).status_code == 200


@pytest.mark.parametrize("key", [OPERATING, READING])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_the_cookie_changes_nothing_whatever_key_it_was_made_of(
    client: FlaskClient, key: str, method: str
) -> None:
    sign_in(client, key)

    answer = client.open(SYNC, method=method)

    assert answer.status_code == 401
    assert answer.json["details"]["problem"] == "missing"


def test_a_wrong_key_in_the_header_is_refused_in_spite_of_the_cookie(client: FlaskClient) -> None:
    sign_in(client)
    assert client.get(ORDERS, headers={"X-API-Key": "wrong"}).status_code == 401


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_not_the_key(client: FlaskClient) -> None:
    answer = sign_in(client)

    cookie = cookie_of(answer)
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/"
    assert int(cookie["max-age"]) == 12 * 3600
    assert not cookie["secure"]
    assert OPERATING not in cookie.value
    assert OPERATING not in answer.text


def test_the_cookie_is_for_https_only_where_it_was_asked_for_over_https(client: FlaskClient) -> None:
    assert cookie_of(sign_in(client, base_url="https://localhost"))["secure"]


def test_the_cookie_ends_after_twelve_hours(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(client)
    began = time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: began + LIFETIME_S - 5)
    assert client.get(ORDERS).status_code == 200

    monkeypatch.setattr(sessions.time, "time", lambda: began + LIFETIME_S + 1)

    assert client.get(ORDERS).status_code == 401
    assert shows_the_form(client)


def test_a_cookie_that_was_changed_is_none(client: FlaskClient) -> None:
    value = cookie_of(sign_in(client)).value
    version, expires_at, session_id, signature = value.split(".")
    last = "0" if signature[-1] != "0" else "1"
    changed = (
        f"{version}.{int(expires_at) + 1}.{session_id}.{signature}",
        f"{version}.{expires_at}.{session_id}.{signature[:-1]}{last}",
        f"{version}.{expires_at}.{'0' * 32}.{signature}",
        f"{version}.{expires_at}.{session_id}.",
        f"{version}.{'9' * 12}.{session_id}.{signature}",
        f"v1.{expires_at}.{session_id}.{signature}",
        f"v1.{expires_at}.{signature}",
        value + "x",
        "",
        OPERATING,
        "\xff" * 9,
    )
    for one in changed:
        client.set_cookie(COOKIE, one)
        assert client.get(ORDERS).status_code == 401, one


def test_a_key_that_is_taken_out_ends_what_it_signed_in(client: FlaskClient, runtime_of: RuntimeOf) -> None:
    value = cookie_of(sign_in(client)).value
    other = create_app(runtime_of(ORDERMANAGER_API_KEY="operate-two")).test_client()
    other.set_cookie(COOKIE, value)

    assert other.get(ORDERS).status_code == 401


def test_signing_out_ends_it(client: FlaskClient) -> None:
    sign_in(client)

    answer = client.post("/console/sign-out")

    assert answer.status_code == 303
    assert client.get(ORDERS).status_code == 401
    assert shows_the_form(client)


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out_in_whatever_process(
    runtime_of: RuntimeOf, redis_server: RedisServer
) -> None:
    keys = {"ORDERMANAGER_API_KEY": OPERATING, **redis_server.environment()}
    one, other = (create_app(runtime_of(**keys)).test_client() for _ in range(2))
    value, another = (cookie_of(sign_in(one)).value for _ in range(2))
    other.set_cookie(COOKIE, value)
    assert other.get(ORDERS).status_code == 200
    one.set_cookie(COOKIE, value)

    one.post("/console/sign-out")

    assert other.get(ORDERS).status_code == 401
    other.set_cookie(COOKIE, another)
    assert other.get(ORDERS).status_code == 200
    with redis.Redis.from_url(redis_server.url()) as client:
        assert 0 < client.ttl(f"console:signed-out:{value.split('.')[2]}") <= LIFETIME_S + 1


def test_without_redis_the_process_that_ended_a_session_still_knows(client: FlaskClient) -> None:
    value = cookie_of(sign_in(client)).value
    assert client.get(ORDERS).status_code == 200

    client.post("/console/sign-out")

    client.set_cookie(COOKIE, value)
    assert client.get(ORDERS).status_code == 401


def test_what_is_no_session_is_not_kept_on_signing_out(client: FlaskClient, app: Flask) -> None:
    client.set_cookie(COOKIE, f"v2.{int(time.time()) + 60}.{'0' * 32}.{'0' * 64}")

    client.post("/console/sign-out")

    with app.app_context():
        assert "0" * 32 not in current_ended_sessions()


def test_a_wrong_key_is_told_and_not_repeated(client: FlaskClient) -> None:
    answer = sign_in(client, "<b>wrong</b>")

    assert answer.status_code == 401
    assert "none of the API keys" in answer.text
    assert "wrong</b>" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_after_a_few_wrong_keys_one_has_to_wait(client: FlaskClient) -> None:
    assert [sign_in(client, "wrong").status_code for _ in range(10)] == [401] * 8 + [429] * 2

    answer = sign_in(client)

    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    elsewhere = {"REMOTE_ADDR": "10.1.1.1"}
    assert sign_in(client, environ_overrides=elsewhere).status_code == 303


def test_failed_tries_are_forgotten_in_time_and_their_number_is_bounded() -> None:
    tries = Tries(at_most=2, span_s=0.05, addresses=3)
    for _ in range(2):
        tries.failed("a")
    assert 0 < tries.wait_s("a") <= 0.05
    time.sleep(0.06)
    assert tries.wait_s("a") == 0

    for number in range(10):
        tries.failed(str(number))

    assert len(tries._failed) == 3


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out"])
def test_other_sites_sign_nobody_in_or_out(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data={"key": OPERATING}, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_the_pages_hold_no_script_and_load_nothing_from_elsewhere(
    client: FlaskClient, *, is_signed_in: bool
) -> None:
    if is_signed_in:
        sign_in(client)

    page = client.get("/")

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in page.text
    assert not re.search(r"<script(?![^>]* src=)|<style|\s(?:on\w+|style)=", page.text)
    for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        with client.get(f"/{name}") as answer:
            assert answer.status_code == 200, name
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_script_makes_markup_of_text() -> None:
    written = "".join(path.read_text() for path in PAGES.glob("*.js"))
    assert written
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|DOMParser", written
    )


@pytest.mark.parametrize("name", ["console.html", "nope.js", "../app.py", "%2e%2e/app.py", ""])
def test_only_the_parts_of_the_pages_are_files(client: FlaskClient, name: str) -> None:
    assert client.get(f"/console/{name}").status_code == 404
