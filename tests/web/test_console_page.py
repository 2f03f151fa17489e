"""The console in a real browser, on the real application with rows in a real database."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs
from werkzeug import Response

from order_manager.database.tables import account_state, lanes
from order_manager.heartbeats import PROCESSES, redis_for_heartbeats
from order_manager.queues import SIGNALS
from order_manager.web import create_app
from order_manager.wiring import Runtime
from tests.servers import RedisServer
from tests.web.browser import Browser, running_browser
from tests.web.conftest import KEY, RuntimeOf
from tests.web.rows import (
    add_adjustment,
    add_dead_letter,
    add_event,
    add_lane,
    add_order,
    add_position,
    add_signal,
    add_snapshot,
    relate,
)
from tests.web.serving import serving

MARKUP = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
DECISION = {
    "outcome": "rejection",
    "code": "max_exposure",
    "message": "exposure would be 50001",
    "limit": "50000",
    "value": "50001",
    "inputs": {"mode": "active", "market": {"bid": "50000", "ask": "50001"}},
    "checks": [
        {"rule": "trading_state", "limit": "active", "value": "active", "passed": True},
        {"rule": "max_exposure", "limit": "50000", "value": "50001", "passed": False},
    ],
}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def runtime(runtime_of: RuntimeOf, redis_server: RedisServer) -> Iterator[Runtime]:
    """With everything that readiness asks for, and a morning's rows."""
    with serving(Response('{"retCode": 0}', content_type="application/json")) as exchange:
        runtime = runtime_of(**redis_server.environment(), BYBIT_PAPER_URL=exchange)
        fill(runtime)
        tell_of_processes(runtime)
        yield runtime


def tell_of_processes(runtime: Runtime, **ages: float) -> None:
    """The fleet's heartbeats; ahead of time, so that they last as long as the tests."""
    client = redis_for_heartbeats(runtime.settings)
    stream = {"connected": True, "since": ago(60).isoformat(), "heard_at": None}
    for role in ("consumer", "worker", "maintenance", "beat", "stream"):
        told = {"name": role, "role": role, "host": "far", "pid": 7, "started_at": ago(60).isoformat()}
        told["at"] = time.time() - ages.get(role, -3000)
        client.hset(PROCESSES, role, json.dumps(told | ({"stream": stream} if role == "stream" else {})))


def fill(runtime: Runtime) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        add_lane(runtime, symbol, opened_at=ago(9000), reconciled_at=ago(20), reconciled_orders=4)
    for number in range(40):
        received_at = ago(3400 - 80 * number)
        symbol = ("BTCUSDT", "ETHUSDT", "SOLUSDT")[number % 3]
        signal = add_signal(
            runtime,
            signal_id=f"2f1c7a9e-55d0-4b7e-9a01-{number:012}",
            symbol=symbol,
            side=("buy", "sell")[number % 2],
            state="executed",
            received_at=received_at,
            decided_at=received_at,
            finished_at=received_at,
        )
        took_s = 0.12 + 0.05 * (number * 7 % 11)
        order = add_order(
            runtime,
            signal_id=signal,
            symbol=symbol,
            side=("buy", "sell")[number % 2],
            status=("filled", "filled", "cancelled", "rejected", "partially_filled")[number % 5],
            filled_quantity=Decimal("0.004"),
            created_at=received_at,
            updated_at=received_at,
            accepted_at=received_at + timedelta(seconds=took_s),
        )
        relate(runtime, signal, order)
    rejected = add_signal(
        runtime,
        signal_id=MARKUP,
        state="rejected",
        code="max_exposure",
        reason="exposure would be 50001",
        decision=DECISION,
        received_at=ago(30),
        decided_at=ago(30),
        finished_at=ago(30),
    )
    add_event(runtime, event_type="signal_rejected", signal_id=rejected, created_at=ago(30))
    add_position(
        runtime,
        size=Decimal("0.5"),
        average_price=Decimal("50123.456789012345678"),
        mark_price=Decimal(50500),
        realized_pnl=Decimal("812.5"),
        fees=Decimal("14.25"),
    )
    add_position(
        runtime, asset="ETHUSDT", size=Decimal(-2), average_price=2500, mark_price=2540, realized_pnl=-3
    )
    for number in range(60):
        made = {"realized_pnl": str(10 * number), "unrealized_pnl": str(number * 37 % 190 - 120)}
        add_snapshot(runtime, snapshot={**SNAPSHOT, **made}, taken_at=ago(300 * (60 - number)))


SNAPSHOT = {
    "asset": "BTCUSDT",
    "mode": "one_way",
    "side": "long",
    "size": "0.5",
    "is_mark_price_fresh": True,
    "losses": {},
}


@pytest.fixture(scope="module")
def address(runtime: Runtime) -> Iterator[str]:
    with capture_logs(), serving(create_app(runtime)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def console(browser: Browser, address: str) -> Browser:
    """The console, signed in to as a person does."""
    browser.look(width=1440, height=900)
    browser.open(address + "/")
    assert browser.run("document.activeElement.id") == "key"
    browser.type(KEY)
    browser.press("Enter", code=13, text="\r")
    browser.wait(rows("signals") + " > 40")
    return browser


@pytest.fixture(autouse=True)
def nothing_goes_wrong_on_it(console: Browser, address: str) -> Iterator[None]:
    yield
    console.run("1")  # what happened meanwhile has been told
    assert console.errors == []
    loaded = {urlsplit(url).netloc for url in console.requested if not url.startswith("data:")}
    assert loaded == {urlsplit(address).netloc}


def rows(panel: str) -> str:
    return f"document.querySelectorAll('#{panel} tbody tr').length"


def text(selector: str) -> str:
    return f"document.querySelector({selector!r}).innerText"


def test_it_shows_orders_signals_lanes_and_positions(console: Browser) -> None:
    console.wait(f"{rows('orders')} == 40 && {rows('lanes')} == 3 && {rows('positions')} == 2")

    assert "BTCUSDT" in console.run(text("#positions"))
    assert "+188.27" in console.run(text("#positions"))
    console.wait("['pnl', 'middle', 'depth'].every((name) => document.querySelector(`#tiles .line.${name}`))")
    console.wait(f"{text('#attention')}.includes('Nothing needs attention')")
    assert console.run(text("#mode")).lower() == "active"
    assert "bybit api available" in console.run("document.querySelector('#tiles').textContent")


def test_what_changes_is_shown_without_loading_the_page_again(console: Browser, runtime: Runtime) -> None:
    console.run("window.isTheSame = true")
    signal = add_signal(runtime, signal_id="just-now", received_at=ago(0))
    add_order(runtime, signal_id=signal, created_at=ago(20), intended_at=ago(20), exchange_order_id=None)
    add_dead_letter(runtime, received_at=ago(7200))
    with runtime.engine.connect() as connection:
        blocked = {"blocked_since": ago(90), "blocked_reason": "no answer to the last order"}
        connection.execute(update(lanes).where(lanes.c.symbol == "ETHUSDT").values(blocked))
        connection.execute(update(account_state).values(mode="reducing"))

    console.wait(f"{text('#signals tbody tr')}.includes('just-now')")
    for part in ("1 dead letter", "unknown order", "ETHUSDT has been blocked", "Only what reduces"):
        console.wait(f"{text('#attention')}.includes({part!r})")
    assert console.run("window.isTheSame")


def test_a_signal_tells_why_and_its_name_stays_text(console: Browser) -> None:
    console.run(f"""[...document.querySelectorAll('#signals tbody tr')]
        .find((row) => row.textContent.includes({MARKUP!r})).querySelector('button').focus()""")
    console.press("Enter", code=13, text="\r")

    console.wait(f"{text('#details-body')}.includes('✗ broken')")

    told = console.run(text("#details"))
    assert f"Signal {MARKUP}" in told
    assert "exposure would be 50001" in told
    assert "owned" not in console.run("document.title")
    assert console.run("document.querySelectorAll('img, body script').length") == 0
    console.press("Escape", code=27)
    console.wait("!document.getElementById('details').open")
    assert console.run("document.activeElement.closest('#signals tr') !== null")


def test_a_process_that_fell_silent_is_named_with_what_waits_for_it(
    console: Browser, runtime: Runtime
) -> None:
    tell_of_processes(runtime, consumer=34)
    client = redis_for_heartbeats(runtime.settings)
    client.lpush(SIGNALS, "a", "b")

    console.wait(f"{text('#attention')}.includes('Consumer (pid 7 on far) has not been heard of for 3')")
    console.wait(f"{text('#tiles')}.includes('2 on the queue')")

    client.delete(SIGNALS)
    tell_of_processes(runtime)
    console.wait(f"!{text('#attention')}.includes('Consumer')")


def test_it_does_not_ask_while_nobody_looks(console: Browser) -> None:
    console.run("""Object.defineProperty(document, 'hidden', {value: true, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'))""")
    console.run("new Promise((done) => setTimeout(done, 600))")
    asked = len(console.requested)
    console.run("new Promise((done) => setTimeout(done, 1800))")
    assert len(console.requested) == asked

    console.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")

    console.wait(f"{text('#heard')} == 'live'")
    console.run("new Promise((done) => setTimeout(done, 300))")
    assert len(console.requested) > asked


@pytest.mark.parametrize("width", [700, 1000, 1251, 1280, 1366, 1421])
def test_no_column_is_cut_off(console: Browser, width: int) -> None:
    console.look(width=width, height=800)

    console.wait(f"innerWidth == {width}")

    console.wait(
        "[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth <= one.clientWidth)"
    )
    state = "[...document.querySelectorAll('#lanes th')].find((one) => one.textContent == 'State')"
    assert console.run(f"{state}.clientWidth") > 50
    console.look(width=1440, height=900)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(console: Browser, scheme: str) -> None:
    console.look(width=390, height=844, scheme=scheme, is_phone=True)

    console.wait("innerWidth == 390")

    widths = "[document.documentElement, ...document.querySelectorAll('.scroll')]"
    fits = f"{widths}.every((one) => one.scrollWidth <= one.clientWidth)"
    assert console.run(fits)
    console.run("document.querySelector('#signals tbody button').click()")
    console.wait(f"{text('#details-body')}.includes('As it came')")
    assert console.run(
        "innerWidth == 390 && ['details', 'details-body'].every((id) => "
        "document.getElementById(id).scrollWidth <= 390)"
    )
    console.run("document.getElementById('details').close()")
    console.look(width=1440, height=900)


def test_what_is_old_looks_so_and_says_since_when(console: Browser) -> None:
    # No answer is let through, and six seconds pass at once.
    console.run("""window.real = [window.fetch, Date.now]; window.held = [];
        window.fetch = (...given) => new Promise((go) => held.push(() => go(real[0](...given))));
        Date.now = () => real[1]() + 8000""")

    console.wait("document.body.classList.contains('old')")

    assert "no answer for" in console.run(text("#heard"))
    assert "No answer since" in console.run(text("#attention li"))
    assert console.run("document.title").startswith("no answer")
    assert console.run("getComputedStyle(document.getElementById('tiles')).opacity") == "0.5"
    console.run("[window.fetch, Date.now] = real; held.forEach((go) => go())")
    console.wait(f"{text('#heard')} == 'live' && !document.body.classList.contains('old')")
    console.wait(f"!{text('#attention')}.includes('No answer')")
    assert "order manager" in console.run("document.title")


def test_what_is_old_only_in_part_is_not_called_live(console: Browser) -> None:
    console.run("""window.real = window.fetch; window.fetch = (path, ...rest) =>
        `${path}`.includes('orders') ? Promise.reject(new TypeError('away')) : real(path, ...rest)""")
    console.wait(f"{text('#heard')} == 'partly old'")
    assert "does not answer" in console.run(text("#attention li"))
    console.run("window.fetch = real")
    console.wait(f"{text('#heard')} == 'live'")


def test_numbers_say_what_they_count(console: Browser, runtime: Runtime) -> None:
    add_position(runtime, asset="SOLUSDT", size=0, average_price=None, realized_pnl=5)
    console.wait(f"{rows('positions')} == 3 && {text('#positions h2')}.toLowerCase().includes('2 held')")
    console.wait(f"/median of the minute at [0-9:]{{5}},/.test({text('#tiles')})")


def test_a_command_that_it_shows_can_be_given_as_it_stands(console: Browser, runtime: Runtime) -> None:
    with runtime.engine.connect() as connection:
        connection.execute(update(account_state).values(mode="halted"))
    console.wait(f"{text('#attention')}.includes('order-manager resume --reason TEXT')")
    with runtime.engine.connect() as connection:
        connection.execute(update(account_state).values(mode="active"))


def test_a_position_that_was_set_right_stays_to_be_looked_at(console: Browser, runtime: Runtime) -> None:
    add_adjustment(runtime)
    console.wait(f"/SOLUSDT was set right: 1 → 6.9, [0-9:]+, source exchange/.test({text('#attention')})")


def test_why_a_lane_is_blocked_is_not_cut_off(console: Browser, runtime: Runtime) -> None:
    console.look(width=1400, height=900)
    why = "the exchange does not answer its requests, and has not for quite some time"
    with runtime.engine.connect() as connection:
        connection.execute(update(lanes).values(blocked_reason=why, blocked_since=ago(10), retry_at=ago(-5)))
    console.wait(f"{text('#lanes')}.includes({why!r})")
    cell = "document.querySelector('#lanes td.fill.bad')"
    console.wait(f"{cell}.scrollWidth <= {cell}.clientWidth && {cell}.title == {why!r}")
    with runtime.engine.connect() as connection:
        connection.execute(update(lanes).values(blocked_reason=None, blocked_since=None, retry_at=None))
    console.look(width=1440, height=900)


def test_the_times_say_their_zone(console: Browser) -> None:
    console.wait(f"/^[0-9:]{{8}} [A-Z]+/.test({text('#clock')})")


def test_signing_out_shows_the_form_again(console: Browser) -> None:
    console.run("document.querySelector('body > header button').click()")
    console.wait("document.getElementById('key') !== null")


def test_the_page_of_the_api_takes_a_key_and_tries_a_path(browser: Browser, address: str) -> None:
    browser.open(address + "/docs")
    browser.wait("document.querySelector('.btn.authorize') !== null")
    browser.run("document.querySelector('.btn.authorize').click()")
    browser.wait("document.querySelector('.auth-container input') !== null")
    browser.run("document.querySelector('.auth-container input').focus()")
    browser.type(KEY)
    browser.run("document.querySelector('.auth-container button.authorize').click()")
    browser.run("document.querySelector('.btn-done').click()")
    path = """[...document.querySelectorAll('.opblock')].find((one) =>
        one.querySelector('.opblock-summary-path').dataset.path === '/api/v1/orders')"""
    browser.run(f"{path}.querySelector('.opblock-summary-control').click()")
    for button in (".try-out__btn", ".execute"):
        browser.wait(f"{path}.querySelector({button!r}) !== null")
        browser.run(f"{path}.querySelector({button!r}).click()")

    answer = f"{path}.querySelector('.live-responses-table tbody')"
    browser.wait(f"{answer}?.querySelector('.response-col_status').innerText == '200'")

    assert '"orders"' in browser.run(f"{answer}.innerText")
