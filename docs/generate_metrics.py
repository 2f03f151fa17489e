"""Writes docs/metrics.md from the instruments: python docs/generate_metrics.py."""

from pathlib import Path

from order_manager.database import state_gauges as state_gauges  # adds its own to the catalogue
from order_manager.metrics import CATALOGUE, Description

TARGET = Path(__file__).resolve().parent / "metrics.md"

HEAD = """\
# Metrics

Made by `python docs/generate_metrics.py` from `order_manager/metrics.py` and
`order_manager/database/state_gauges.py`; do not edit by hand.

Every process answers `GET /metrics` in Prometheus' format, without a key. The REST API and the paper exchange
do so on the port that they have anyway, as Flower does. Each other process has a port of its own,
`ORDERMANAGER_METRICS_PORT`, on `ORDERMANAGER_METRICS_HOST`; unset, it answers nowhere. `order-manager up`
gives each one a free port, and names them at the start and in `fleet.json`; `docker-compose.yml` uses 9464 in
each container.

A Celery worker has a child that counts, and gunicorn may have several. Give each of them
`PROMETHEUS_MULTIPROC_DIR`, a folder that nobody else uses, best in memory, and gunicorn
`-c python:order_manager.gunicorn_conf`. What a child had counted is kept when it dies, its gauges are
dropped, and no files pile up. Without the folder a worker tells of its parent alone; gunicorn with one child
needs none.

*Counted* metrics begin at zero with their process: add them up over all processes, `sum(rate(...[5m]))`.
*State* is read from the database by whoever serves the REST API, at most every five seconds; of several take
the `max`. Quote currency is that of the symbol, USDT. Beside these there are the usual `process_*`, of a
worker those of its parent.

Alerts on them are in `deploy/prometheus/alerts.yml` and lead to [operations.md](operations.md); a dashboard
is in `deploy/grafana/`. [deployment.md](deployment.md) starts both.
"""


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def labels_of(metric: Description) -> str:
    return "; ".join(f"`{name}`: {values.replace(';', ',')}" for name, values in metric.labels)


def table(metrics: list[Description], *, with_origin: bool) -> str:
    heads = ["Name", "Kind", "Labels", "Tells"] + (["Told by"] if with_origin else [])
    text = row(*heads) + "|---" * len(heads) + "|\n"
    for one in metrics:
        cells = [f"`{one.name}`", one.kind, labels_of(one), one.text]
        text += row(*cells, *([one.origin] if with_origin else []))
    return text


def page() -> str:
    counted = [one for one in CATALOGUE if not one.origin.startswith("web, ")]
    state = [one for one in CATALOGUE if one.origin.startswith("web, ")]
    text = HEAD + "\n## Counted\n\n" + table(counted, with_origin=True)
    return text + "\n## State\n\n" + table(state, with_origin=False)


if __name__ == "__main__":
    TARGET.write_text(page())
