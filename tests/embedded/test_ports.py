"""Ports are claimed by name, remembered, and a busy one tells who holds it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_manager.embedded import PortBusy, RememberedPorts, claim_port, free_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_busy_port_is_refused_with_its_holder_and_what_to_do(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(PortBusy) as error:
        claim_port("the REST API", port)
    assert f"port {port} for the REST API is in use" in str(error.value)
    assert f"(pid {os.getpid()})" in str(error.value)
    assert "--port N" in str(error.value)
    assert isinstance(error.value, ValueError)


def test_a_free_port_is_claimed() -> None:
    port = free_port()
    assert claim_port("the REST API", port) == port


def test_a_part_gets_the_same_port_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = RememberedPorts(path).take("redis")
    assert RememberedPorts(path).take("redis") == first
    assert RememberedPorts(path).take("postgres") != first


def test_a_remembered_port_that_is_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = RememberedPorts(path).take("redis")
    with socket.create_server(("127.0.0.1", first)):
        second = RememberedPorts(path).take("redis")
    assert second != first
    assert RememberedPorts(path).take("redis") == second
