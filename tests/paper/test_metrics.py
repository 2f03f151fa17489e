"""/metrics: what was processed, what went wrong on demand, what is open."""

import re

import pytest
import requests

from .client import Client, Control
from .stream_client import StreamClient

CREATE = "/v5/order/create"


class Told:
    """What /metrics says, as the difference to an earlier time where it counts: the process is shared."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.before: dict[str, float] = {}
        self.before = self.now()

    def now(self) -> dict[str, float]:
        answer = requests.get(f"{self.url}/metrics", timeout=5)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        found = re.findall(r"(?m)^order_manager_paper_(\S+) (\S+)$", answer.text)
        return {name: float(value) - self.before.get(name, 0) for name, value in found}


@pytest.fixture
def told(control: Control) -> Told:
    return Told(control.url)


def test_requests_by_endpoint_and_result(told: Told, client: Client) -> None:
    assert client.create(qty="0.001", price="49000.00")["retCode"] == 0
    assert client.create(qty="0.0000001", price="49000.00")["retCode"] == 10001
    assert client.get("/v5/market/time")["retCode"] == 0
    requests.get(f"{told.url}/v5/account/info", timeout=5)
    assert client.get("/v5/nonsense/1")["retCode"] == 10017
    now = told.now()
    for endpoint, result in (
        (CREATE, "ok"),
        (CREATE, "10001"),
        ("/v5/market/time", "ok"),
        ("/v5/account/info", "http_401"),
        ("", "10017"),
    ):
        assert now[f'requests_total{{endpoint="{endpoint}",result="{result}"}}'] == 1
    assert not any("nonsense" in name for name in now)


def test_what_a_fault_kept_from_being_processed(told: Told, client: Client, control: Control) -> None:
    for kind in ("lost_request", "lost_answer"):
        control.post("faults", endpoint=CREATE, kind=kind)
        with pytest.raises(requests.ConnectionError):
            client.create(qty="0.001", price="49000.00")
    control.post("stream-faults", kind="drop", topic="order")
    with StreamClient(told.url) as stream:
        stream.login("order")
        client.create(qty="0.001", price="49000.00")
        stream.settle()
    now = told.now()
    assert now[f'requests_total{{endpoint="{CREATE}",result="ok"}}'] == 2
    for on, kind in (("request", "lost_request"), ("request", "lost_answer"), ("stream", "drop")):
        assert now[f'faults_total{{kind="{kind}",on="{on}"}}'] == 1


def test_what_is_open(told: Told, client: Client) -> None:
    client.create(qty="0.001", price="49000.00")
    client.create(qty="0.001", price="49000.00", category="spot")
    assert told.now()['open_orders{category="linear"}'] == told.now()['open_orders{category="spot"}'] == 1
    with StreamClient(told.url), StreamClient(told.url, path="/v5/public/linear"):
        now = told.now()
        assert now['connections{stream="private"}'] == now['connections{stream="public"}'] == 1
