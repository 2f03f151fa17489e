"""One paper exchange for most tests, in a process of its own and with frozen prices; reset before each."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from .client import TOKEN, Client, Control

BASE = ("--port", "0", "--api-key", "KEY", "--api-secret", "SECRET", "--control-token", TOKEN)


@contextmanager
def running_exchange(*options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A real server process; yields its address and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "order_manager.paper", *BASE, *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().split()
        assert ready, "the exchange did not start"
        yield ready[-1], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def shared_url() -> Iterator[str]:
    limits = ("--create-limit", "100000", "--read-limit", "100000")
    with running_exchange("--price-interval-ms", "0", *limits) as (url, _):
        yield url


@pytest.fixture
def control(shared_url: str) -> Iterator[Control]:
    """The shared exchange's control path, after a reset, BTC and ETH pinned at round prices."""
    control = Control(shared_url)
    control.post("reset")
    control.pin("50000")
    control.pin("50000", category="spot")
    control.pin("3000", symbol="ETHUSDT")
    yield control
    control.session.close()


@pytest.fixture
def client(control: Control) -> Iterator[Client]:
    """The configured account: 100000 USDT, one-way mode."""
    client = Client(control.url)
    yield client
    client.session.close()


@pytest.fixture
def new_client(control: Control) -> Iterator[Callable[..., Client]]:
    """Opens further accounts: new_client("NAME", balance=..., position_mode=...)."""
    opened: list[Client] = []

    def open_account(name: str, **options: object) -> Client:
        control.post("accounts", api_key=name, api_secret="s-" + name, **options)
        opened.append(Client(control.url, key=name, secret="s-" + name))
        return opened[-1]

    yield open_account
    for client in opened:
        client.session.close()
