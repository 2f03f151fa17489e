"""A headless Chromium, driven over its DevTools protocol: a WebSocket that carries JSON."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from tests.servers import temporary_folder

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_S, PATIENCE_S = 20.0, 10.0
Message = dict[str, Any]


class Browser:
    """One page. What it asked for and what went wrong on it is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.requested: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Message:
        """The answer to one command; events that come before it are noted."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                result: Message = message["result"]
                return result
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str | None, told: Message) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requested.append(told["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.errors.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """What the expression is worth on the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, (expression, told["exceptionDetails"])
        return told["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The same, as soon as it is true."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                if value := self.run(expression):
                    return value
            except AssertionError:  # between two pages there is none to ask
                if time.monotonic() > until:
                    raise
            shown = f"{expression} never became true; {self.errors}"
            assert time.monotonic() < until, shown
            time.sleep(0.05)

    def look(self, *, width: int, height: int, scheme: str = "light", is_phone: bool = False) -> None:
        """The size of the window, and light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str, *, code: int, text: str = "") -> None:
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def shoot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium with a page of its own. Skips where there is none; fails if that happens in CI."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        reason = "no Chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with temporary_folder() as folder:
        command = [
            program,
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}/profile",
        ]
        command += ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += ["--disable-extensions", "--mute-audio", "about:blank"]
        environment = {**os.environ, "HOME": str(folder)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            with connect(_page_of(folder, process), max_size=None, proxy=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            process.wait(10)


def _page_of(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """The address of its first page."""
    told, until = folder / "profile" / "DevToolsActivePort", time.monotonic() + START_S
    while not (told.exists() and "\n" in told.read_text()):
        is_alive = process.poll() is None and time.monotonic() < until
        assert is_alive, (folder / "log").read_text(errors="replace")[-2000:]
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    with requests.Session() as session:
        session.trust_env = False
        pages = session.get(f"http://127.0.0.1:{port}/json", timeout=PATIENCE_S).json()
    return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
