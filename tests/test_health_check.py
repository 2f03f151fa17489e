"""`order-manager healthy` says whether a process is well, by its metrics or by any address."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner

from order_manager.cli import main
from order_manager.embedded import free_port


class Answers(http.server.BaseHTTPRequestHandler):
    text = ""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/sick" else 200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ORDERMANAGER_METRICS_PORT", str(server.server_port))
        yield server.server_port
        server.shutdown()


def asked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["healthy", *arguments])
    return result.exit_code, result.output


def metrics(process: str, *, turned_s_ago: float | None = None) -> str:
    text = f'order_manager_build_info{{process="{process}",version="1"}} 1.0\n'
    if turned_s_ago is not None:
        text += (
            f'order_manager_heartbeat_timestamp_seconds{{process="{process}"}} {time.time() - turned_s_ago}\n'
        )
    return text


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (lambda: metrics("consumer"), 0, "healthy"),
        (lambda: metrics("worker", turned_s_ago=3), 0, "healthy"),
        (lambda: metrics("worker", turned_s_ago=100), 1, "stands still for 1"),
        (lambda: metrics("beat"), 1, "has not turned yet"),
    ],
)
def test_a_process_is_judged_by_its_metrics(
    port: int, monkeypatch: pytest.MonkeyPatch, text: Callable[[], str], status: int, says: str
) -> None:
    monkeypatch.setattr(Answers, "text", text())
    code, output = asked()
    assert code == status
    assert says in output


def test_anything_else_by_its_answer(port: int) -> None:
    assert asked(f"http://127.0.0.1:{port}/live")[0] == 0
    code, output = asked(f"http://127.0.0.1:{port}/sick")
    assert code == 1
    assert "503" in output


def test_a_process_that_does_not_answer_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERMANAGER_METRICS_PORT", str(free_port()))
    assert asked()[0] == 1
    monkeypatch.delenv("ORDERMANAGER_METRICS_PORT")
    assert "ORDERMANAGER_METRICS_PORT is not set" in asked()[1]
