"""What is deployed fits together: what is asked for is measured, alerts lead somewhere, services stay up."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from order_manager.database import state_gauges as state_gauges  # adds its own to the catalogue
from order_manager.metrics import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "order-manager.json"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("order-manager:")]
SERIES = {
    "counter": ("",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
SIGNALS_ENDED = "order_manager_signals_ended_total"
EXPOSED = {one.name + suffix: one for one in CATALOGUE for suffix in SERIES[one.kind]}


def asked() -> Iterator[tuple[str, str]]:
    """(where, expression) of every alert and panel."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), asked(), ids=lambda value: value[:40])
def test_every_metric_that_is_asked_for_exists_with_its_labels(where: str, expression: str) -> None:
    for name, matchers in re.findall(r"(order_manager_\w+)(?:{([^}]*)})?", expression):
        assert name in EXPOSED, where
        labels = {label for label, _ in EXPOSED[name].labels}
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert used <= labels | {"job", "instance"}, where


def test_closed_sets_in_alerts_have_the_values_that_are_asked_for() -> None:
    for rule in RULES:
        for name, matchers in re.findall(r"(order_manager_\w+){([^}]*)}", rule["expr"]):
            described = dict(EXPOSED[name].labels)
            for label, value in re.findall(r'(\w+)!?="([\w]+)"', matchers):
                closed = label in {"outcome", "receipt", "kind", "state", "mode", "dependency", "result"}
                if closed and not described[label].startswith("ok, or the class"):
                    assert re.search(rf"\b{value}\b", described[label]), (rule["alert"], label, value)


def test_counters_that_alerts_wait_for_begin_at_zero() -> None:
    """An increase is one of a series that was there before: the first event would be missed."""
    begun = """if True:
        from prometheus_client import generate_latest
        from order_manager import metrics
        metrics.begin_calls(["/v5/order/create"])
        metrics.begin_tasks(["sweep"])
        print(generate_latest().decode())
    """
    lines = subprocess.check_output([sys.executable, "-c", begun], text=True).splitlines()
    waited_for = {
        (name, label, value)
        for rule in RULES
        for name, matchers in re.findall(r"(?:rate|increase)\((\w+_total)({[^}]+})?\[", rule["expr"])
        for label, values in re.findall(r'(\w+)=~?"([^"]+)"', matchers) or [("", "")]
        for value in values.split("|")
    }
    waited_for.remove((SIGNALS_ENDED, "outcome", "rejected"))  # its codes are many; it takes ten to alert
    assert ("order_manager_updates_unreadable_total", "", "") in waited_for
    for name, label, value in waited_for:
        begun_with = f'{label}="{value}"' if label else ""
        assert any(line.startswith(f"{name}{{") and begun_with in line for line in lines), (name, value)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_leads_to_a_page_that_exists(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / page).read_text())
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert anchor in anchors


def test_the_dashboard_is_what_its_source_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEPLOY / "grafana"))
    import dashboard

    assert DASHBOARD.read_text() == dashboard.text(), "run: python deploy/grafana/dashboard.py"


def test_panels_have_their_own_place_and_id() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_prometheus_finds_every_service_where_it_listens() -> None:
    found = {
        name: lookup["port"]
        for job in PROMETHEUS["scrape_configs"]
        for lookup in job.get("dns_sd_configs", [])
        for name in lookup["names"]
    }
    assert set(found) <= set(SERVICES)
    for name in OURS:
        environment = SERVICES[name].get("environment", {})
        if name == "migrate":
            continue  # it ends
        if name == "worker-hot":
            assert SERVICES[name]["networks"]["inside"] == {"aliases": ["worker"]}
            name = "worker"
        if name == "web":
            assert found[name] == int(environment["ORDERMANAGER_PORT"])
        elif name in {"flower", "paper"}:
            assert f"--port={found[name]}" in SERVICES[name]["command"]
        else:
            assert found[name] == int(environment["ORDERMANAGER_METRICS_PORT"])
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    for rule in RULES:
        for names in re.findall(r'job=~?"([\w|]+)"', rule["expr"]):
            assert set(names.split("|")) <= jobs


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_kept_alive_and_can_end_well(name: str) -> None:
    service = SERVICES[name]
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.search(r"\d", tag), "pinned"
    assert service["restart"] == ("on-failure:5" if name == "migrate" else "unless-stopped")
    assert (
        service["healthcheck"] == {"disable": True} if name == "migrate" else service["healthcheck"]["test"]
    )
    assert int(service["stop_grace_period"].removesuffix("s")) >= (40 if _is_worker(service) else 10)
    assert service["logging"]["options"]["max-size"]
    assert service["networks"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
        assert "outside" in service["networks"], "an internal network publishes nothing"


def _is_worker(service: dict[str, Any]) -> bool:
    return "worker" in service.get("command", [])


def test_the_image_is_built_once() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    assert len({SERVICES[name]["image"] for name in OURS}) == 1
    assert all(SERVICES[name]["pull_policy"] == "never" for name in OURS)


def test_only_what_people_open_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["web", "flower", "grafana"]


@pytest.mark.parametrize("name", OURS)
def test_our_processes_can_do_little_else(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["init"]
    assert service["cap_drop"] == ["ALL"]
    if _is_worker(service) or name == "web":
        assert service["environment"]["PROMETHEUS_MULTIPROC_DIR"].startswith(service["tmpfs"][0])


def test_servers_run_as_they_should() -> None:
    """Else Redis runs as root, and PostgreSQL compiles each statement of a lane's session for a second."""
    assert "exec docker-entrypoint.sh redis-server " in SERVICES["redis"]["command"][-1]
    assert "jit=off" in SERVICES["postgres"]["command"]


def test_every_variable_that_compose_wants_is_in_its_example() -> None:
    wanted = set(re.findall(r"\${(\w+):?[?-]?[^}]*}", (ROOT / "docker-compose.yml").read_text()))
    example = (DEPLOY / "compose.env.example").read_text()
    offered = set(re.findall(r"(?m)^#?([A-Z_]+)=", example))
    fixed = {"POSTGRES_DB", "POSTGRES_USER", "RABBITMQ_USER"}  # with defaults nobody has to change
    assert wanted - fixed <= offered
    needed = set(re.findall(r"\${(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert needed == set(re.findall(r"(?m)^([A-Z_]+)=$", example)) - {"GRAFANA_PASSWORD"}


def test_the_image_gets_what_it_copies() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text()):
        copied |= set(line.split())
    assert copied == let_in
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus")
def test_alerts_fire_when_they_should() -> None:
    for command in (
        ["check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        ["test", "rules", str(Path(__file__).parent / "alerts_test.yml")],
    ):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
