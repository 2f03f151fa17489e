"""order-manager doctor: what is wrong, and what to mend."""

import http.server
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import kombu
import pytest
from werkzeug import Response

from order_manager.bybit.wire_account import KeyInfo
from order_manager.database import migrations
from order_manager.database.leadership import Leadership
from order_manager.database.locks import BEAT_LOCK
from order_manager.doctor import connections, fleet
from order_manager.doctor.account import judged_key
from order_manager.doctor.findings import Finding, first_line
from order_manager.doctor.positions import look_at_positions
from order_manager.doctor.queues import look_at_queues
from order_manager.doctor.settings import look_at_settings
from order_manager.embedded import free_port
from order_manager.processes import Intake, Process
from order_manager.settings import load_settings
from tests.cli.conftest import Call, told
from tests.servers import broker_url
from tests.web.rows import add_adjustment, add_lane
from tests.web.serving import serving

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.about, one.level.value) for one in findings]


def settings(**env: str):
    return load_settings(_env_file=None, **{"ORDERMANAGER_API_KEY": "a-key-of-our-own", **env})


def test_what_is_away_is_a_problem_and_what_rests_on_it_is_left_out(call: Call, runtime) -> None:
    report = told(call("doctor", "--json"), status=1)
    assert report["healthy"] is False
    found = {one["about"]: one["level"] for one in report["findings"]}
    assert found == {
        "settings": "ok",
        "database": "ok",
        "redis": "problem",
        "bybit_api": "problem",
        "schema": "ok",
        "clock": "warning",
        "key": "warning",
        "beat": "problem",
        "positions": "ok",
        "stream": "warning",
    }
    assert all(one["mend"] for one in report["findings"] if one["level"] != "ok")


def test_people_get_a_line_each_and_a_sum(call: Call, runtime) -> None:
    result = call("doctor", POSTGRES_PORT="1")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[-1] == "1 ok, 3 warnings, 3 problems"
    [line] = [line for line in lines if line.startswith("problem  database")]
    assert "127.0.0.1:1/" in line
    assert "POSTGRES_HOST" in line


def test_a_setting_that_cannot_be_used_is_the_only_finding(call: Call) -> None:
    [finding] = told(call("doctor", "--json", ORDERMANAGER_PORT="x"), status=1)["findings"]
    assert finding["text"].startswith("ORDERMANAGER_PORT: ")


def test_a_schema_of_another_release_asks_for_a_migration(
    call: Call, postgres_server, empty_database_url: str
) -> None:
    env = postgres_server.environment(empty_database_url.rpartition("/")[2])

    def schema() -> dict[str, str]:
        findings = told(call("doctor", "--json", **env), status=1)["findings"]
        [found] = [one for one in findings if one["about"] == "schema"]
        return found

    assert "no tables of ours" in schema()["text"]
    migrations.upgrade(empty_database_url, "0001")
    assert schema()["text"] == f"the database has revision 0001, the code {migrations.head_revision()}"
    assert "order-manager migrate" in schema()["mend"]


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ("500", "answers with an error: HTTPError: 500 Server Error"),
        ("frozen", "does not answer: no answer in time (ReadTimeout)"),
        ("gone", "does not answer: NewConnectionError"),
    ],
)
def test_an_exchange_that_is_not_well_is_told_as_it_is(monkeypatch, behaviour: str, says: str) -> None:
    monkeypatch.setattr(connections, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as frozen, serving(Response(status=500)) as failing:
        url = {
            "500": failing,
            "frozen": f"http://127.0.0.1:{frozen.getsockname()[1]}",
            "gone": f"http://127.0.0.1:{free_port()}",
        }[behaviour]
        [finding] = connections.exchange(settings(BYBIT_PAPER_URL=url))
    assert finding.level == "problem"
    assert says in finding.text


def test_an_error_that_was_only_being_handled_is_not_taken_for_the_reason() -> None:
    def fail() -> None:
        try:
            raise TypeError("a guess that failed")
        except TypeError:
            raise ConnectionError("it is away")  # noqa: B904

    with pytest.raises(ConnectionError) as raised:
        fail()
    assert first_line(raised.value) == "ConnectionError: it is away"


def test_settings_that_look_dangerous_are_named() -> None:
    assert levels(look_at_settings(settings())) == [("settings", "ok")]
    dangerous = {
        "ORDERMANAGER_API_KEY": "change-me",
        "ORDERMANAGER_ENABLE_DRY_RUN": "true",
        "ORDERMANAGER_ENABLE_BALANCE_CHECK": "false",
        "ORDERMANAGER_CANCEL_EXTERNAL_ORDERS": "true",
        "ORDERMANAGER_ALLOW_SHORT": "true",
        "ORDERMANAGER_MAX_ORDER_SIZE_RATIO": "0.9",
        "ORDERMANAGER_MAX_SINGLE_ORDER_SIZE": "60000",
        "ORDERMANAGER_RECV_WINDOW_MS": "60000",
        "ORDERMANAGER_MARKET_DATA_MAX_AGE": "30",
        "ORDERMANAGER_BYBIT_API_RETRY_MAX_DELAY": "60",
        "ORDERMANAGER_RECONCILIATION_INTERVAL": "3600",
    }
    for name, value in dangerous.items():
        [_, danger] = look_at_settings(settings(**{name: value}))
        assert danger.text.startswith(f"{name}: ")
        assert (danger.level, bool(danger.mend)) == ("warning", True)
    far = {"RABBITMQ_HOST": "far", "POSTGRES_HOST": "far", "REDIS_HOST": "far"}
    texts = " ".join(one.text for one in look_at_settings(settings(**far)))
    for name in ("RABBITMQ_USER", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert name in texts


def test_a_name_that_is_no_setting_is_told_with_the_nearest_that_is() -> None:
    set_names = ["ORDERMANAGER_MAX_POSITON_SIZE", "ORDER_MANAGER_VERSION", "BYBIT_API_KEY", "PATH"]
    [_, unknown] = look_at_settings(settings(), set_names)
    assert (unknown.level, unknown.text) == (
        "warning",
        "ORDERMANAGER_MAX_POSITON_SIZE: no setting has this name",
    )
    assert "ORDERMANAGER_MAX_POSITION_SIZE meant" in unknown.mend


def test_a_misspelt_variable_is_found_where_it_is_set(call: Call, runtime) -> None:
    report = told(call("doctor", "--json", ORDERMANAGER_MAX_EXPOSUR="1"), status=1)
    assert any("ORDERMANAGER_MAX_EXPOSUR:" in one["text"] for one in report["findings"])


@pytest.mark.parametrize(
    ("changes", "environment", "level", "says"),
    [
        ({}, "demo", "ok", "may trade"),
        ({"is_read_only": True}, "demo", "problem", "only read"),
        ({"permissions": {"Wallet": ("AccountTransfer",)}}, "demo", "problem", "no right"),
        (
            {"permissions": {"ContractTrade": ("Order",), "Wallet": ("Withdraw",)}},
            "demo",
            "warning",
            "withdraw",
        ),
        ({"ips": ("*",)}, "mainnet", "warning", "every address"),
        ({"expires_at": "2026-01-09T00:00:00Z"}, "demo", "warning", "7 days"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, "demo", "problem", "ended"),
        ({"expires_at": "soon"}, "demo", "warning", "could not be read"),
    ],
)
def test_a_key_is_judged_by_what_it_may_and_how_long(
    changes, environment: str, level: str, says: str
) -> None:
    good = {"is_read_only": False, "permissions": {"ContractTrade": ("Order",)}, "ips": ("10.0.0.1",)}
    info = KeyInfo(**{**good, "expires_at": "2027-01-01T00:00:00Z", **changes})
    keys = {"BYBIT_API_KEY": "12345678", "BYBIT_API_SECRET": "12345678"}
    own = settings(BYBIT_ENVIRONMENT=environment, **keys)
    [finding] = judged_key(own, info, now=NOW)
    assert finding.level == level
    assert says in finding.text


@pytest.mark.rabbitmq
def test_queues_are_compared_with_ours(redis_server, rabbitmq_env) -> None:
    env = {**redis_server.environment(), **rabbitmq_env}
    with kombu.Connection(broker_url(env)) as connection:
        channel = connection.default_channel
        channel.queue_declare("orders.BTCUSDT", durable=True, auto_delete=False)  # not single-active-consumer
        channel.queue_declare(
            "model-service.trading_signals", durable=True, auto_delete=False, arguments={"x-max-length": 9}
        )
        channel.queue_declare("order-manager.order_events", durable=True, auto_delete=False)
    found = look_at_queues(settings(**env), ["BTCUSDT"])
    said = {(one.level.value, one.text.split(":")[0]) for one in found}
    assert said == {
        ("problem", "orders.BTCUSDT is declared otherwise"),
        ("problem", "orders.BTCUSDT"),
        ("warning", "model-service.trading_signals is declared otherwise"),
        ("problem", "model-service.trading_signals"),
        ("warning", "maintenance does not exist"),
        ("warning", "orders does not exist"),
    }


def test_queues_on_redis_have_only_a_length(redis_server, redis_url) -> None:
    assert levels(look_at_queues(settings(**redis_server.environment()), [])) == [("queues", "ok")]


def test_workers_that_do_not_answer_are_a_problem(redis_server, redis_url, monkeypatch) -> None:
    monkeypatch.setattr(fleet, "PING_S", 0.2)
    [finding] = fleet.look_at_workers(settings(**redis_server.environment()), [])
    assert (finding.level, finding.text) == ("problem", "no worker answers")


def a_process(name: str, role: str, *, age_s: float) -> Process:
    return Process(name=name, role=role, host="far", pid=7, started_at=NOW, age_s=age_s)


def test_a_worker_that_is_frozen_is_named(redis_server, redis_url, monkeypatch) -> None:
    monkeypatch.setattr(fleet, "PING_S", 0.2)
    workers = [a_process("lane-1", "worker", age_s=1), a_process("lane-2", "worker", age_s=34)]
    [finding] = fleet.look_at_workers(settings(**redis_server.environment()), [], workers)
    assert finding.text == "no worker answers; lane-2 (pid 7 on far) has not been heard of for 34 s"
    assert "kill -KILL 7" in finding.mend


def test_who_is_silent_is_told_by_the_heartbeats_and_a_stream_by_its_own_look() -> None:
    roles = ("consumer", "worker", "maintenance", "beat", "stream")
    processes = tuple(a_process(role, role, age_s=90 if role in {"beat", "stream"} else 1) for role in roles)
    assert levels(fleet.look_at_heartbeats(settings(), Intake())) == []
    [silent] = fleet.look_at_heartbeats(settings(), Intake(processes=processes))
    assert (silent.level, silent.text.partition(":")[0]) == (
        "problem",
        "beat (pid 7 on far) has not been heard of for 90 s",
    )
    [stream] = fleet.look_at_stream(settings(), [], processes)
    assert stream.text.startswith("stream (pid 7 on far) has not been heard of for 90 s")


def test_a_beat_that_is_frozen_is_named_and_one_that_stands_by_is_well(runtime) -> None:
    frozen = a_process("beat", "beat", age_s=40)
    [finding] = fleet.look_at_beat(settings(), runtime.engine, [], [], [frozen], now_s=NOW.timestamp())
    assert "beat (pid 7 on far) has not been heard of for 40 s" in finding.text
    assert "kill -KILL 7" in finding.mend
    standby = (
        'order_manager_beat_leading{beat="far:7"} 0.0\n'
        'order_manager_schedule_last_sent_timestamp_seconds{entry="sweep"} 1\n'
    )
    leadership = Leadership(runtime.engine, lock=(BEAT_LOCK, 0))
    assert leadership.is_ours()
    try:
        [well] = fleet.look_at_beat(settings(), runtime.engine, [], [standby], now_s=NOW.timestamp())
    finally:
        leadership.resign()
    assert (well.level, well.text) == ("ok", "one leads")


def test_a_position_that_was_set_right_is_told_for_a_day(call: Call, runtime) -> None:
    add_adjustment(runtime, created_at=datetime.now(UTC).replace(hour=0, minute=11))
    [finding] = look_at_positions(runtime.engine)
    assert finding.text == "set right within 24 h: SOLUSDT 1 -> 6.9, 00:11 UTC, source exchange"
    assert finding.level == "warning"
    shown = call("status", COLUMNS="150").output
    assert "1 -> 6.9" in shown


def test_metrics_that_do_not_answer_are_told_with_their_process() -> None:
    _, [silent] = fleet.read_pages({f"http://127.0.0.1:{free_port()}/metrics": "stream"})
    assert silent.text.startswith("stream at http://127.0.0.1:")


def test_a_process_of_the_fleet_that_does_not_run_is_a_problem() -> None:
    rows = [{"name": "beat", "state": "RUNNING"}, {"name": "consumer", "state": "FATAL"}]
    [finding] = fleet.look_at_processes(rows)
    assert (finding.level, finding.text) == ("problem", "not running: consumer (FATAL)")
    assert fleet.look_at_processes(rows[:1]) == []
    [frozen] = fleet.look_at_processes([{"name": "lane-2", "pid": 9, "state": "FROZEN"}])
    assert frozen.text == "lane-2 (pid 9) is stopped by a signal, and does not answer"
    assert "kill -KILL 9" in frozen.mend


@pytest.fixture
def metrics_url() -> Iterator[str]:
    """A process that says its stream is subscribed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'order_manager_stream_connected{stream="private"} 1.0\n')

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_a_stream_is_known_by_its_metrics(call: Call, runtime, metrics_url: str) -> None:
    findings = told(call("doctor", "--json", "--metrics", metrics_url), status=1)["findings"]
    assert [one["level"] for one in findings if one["about"] == "stream"] == ["ok"]
    [gone] = fleet.look_at_stream(settings(), ['order_manager_stream_connected{stream="private"} 0.0\n'])
    assert gone.level == "problem"


def test_a_beat_that_leads_is_asked_when_it_ran_and_what_it_led_to(runtime) -> None:
    from order_manager.database.lane_views import list_lanes
    from order_manager.database.queries import Page

    add_lane(runtime)  # which was never compared
    lanes, _ = list_lanes(runtime.engine, page=Page(limit=10, offset=0))
    now_s = datetime.now(UTC).timestamp()
    page = 'order_manager_schedule_last_sent_timestamp_seconds{{entry="sweep"}} {}\n'
    leadership = Leadership(runtime.engine, lock=(BEAT_LOCK, 0))
    assert leadership.is_ours()
    try:
        look = [
            fleet.look_at_beat(settings(), runtime.engine, of, pages, now_s=now_s)[0]
            for of, pages in (
                ([], []),
                ([], [page.format(now_s - 3)]),
                ([], [page.format(now_s - 90)]),
                (lanes, []),
            )
        ]
    finally:
        leadership.resign()
    assert [one.level.value for one in look] == ["ok", "ok", "problem", "warning"]
    assert "last run 3 s ago" in look[1].text
    assert "BTCUSDT" in look[3].text
