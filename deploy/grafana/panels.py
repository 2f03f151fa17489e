"""Panels of Grafana, and the expressions that they show."""

from collections.abc import Sequence
from typing import Any

SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"

Panel = dict[str, Any]
Steps = Sequence[tuple[float | None, str]]
ZERO_IS_WELL: Steps = ((None, GREEN), (1, RED))
ONE_IS_WELL: Steps = ((None, RED), (1, GREEN))


def value(name: str, *, by: str = "", where: str = "", how: str = "max") -> str:
    """What `order_manager_<name>` is; of several processes that tell it, the largest."""
    labels = f"{{{where}}}" if where else ""
    return f"{how}{f' by ({by}) ' if by else ''}(order_manager_{name}{labels})"


def of_symbols(name: str, *, by: str = "symbol", how: str = "max", where: str = "") -> str:
    """The same for the symbols that are chosen on the page."""
    return value(name, by=by, how=how, where=f'{where}symbol=~"$symbol"')


def rate(name: str, *, by: str = "", where: str = "", per_s: int = 1) -> str:
    """How fast `order_manager_<name>` grows, per second or per `per_s` of them."""
    labels = f"{{{where}}}" if where else ""
    grown = f"sum{f' by ({by}) ' if by else ''}(rate(order_manager_{name}{labels}[$__rate_interval]))"
    return grown if per_s == 1 else f"{grown} * {per_s}"


def increase(name: str, *, by: str = "", where: str = "", within: str = "$__rate_interval") -> str:
    labels = f"{{{where}}}" if where else ""
    return f"sum{f' by ({by}) ' if by else ''}(increase(order_manager_{name}{labels}[{within}]))"


def quantile(part: float, name: str, *, by: str = "") -> str:
    """Of the histogram `order_manager_<name>`."""
    grown = rate(f"{name}_bucket", by=f"{by}, le" if by else "le")
    return f"histogram_quantile({part}, {grown})"


def _targets(queries: dict[str, str], *, instant: bool) -> list[dict[str, Any]]:
    return [
        {
            "datasource": SOURCE,
            "refId": chr(ord("A") + number),
            "expr": expression,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for number, (legend, expression) in enumerate(queries.items())
    ]


def _defaults(unit: str, steps: Steps, **more: Any) -> dict[str, Any]:
    return {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in steps],
        },
        **more,
    }


def stat(
    title: str,
    expression: str,
    about: str,
    *,
    unit: str = "short",
    steps: Steps = ((None, BLUE),),
    words: dict[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
) -> Panel:
    """One number, coloured by its thresholds; `words` says something else for some values."""
    mappings = []
    if words:
        options = {value: {"text": text, "color": color} for value, (text, color) in words.items()}
        mappings = [{"type": "value", "options": options}]
    more: dict[str, Any] = {"mappings": mappings, "noValue": "?"}
    if decimals is not None:
        more["decimals"] = decimals
    return {
        "type": "stat",
        "title": title,
        "description": about,
        "targets": _targets({"": expression}, instant=True),
        "fieldConfig": {"defaults": _defaults(unit, steps, **more), "overrides": []},
        "options": {
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
        "size": (3, 4),
    }


def graph(
    title: str,
    queries: dict[str, str],
    about: str,
    *,
    unit: str = "short",
    stacked: bool = False,
    width: int = 8,
    limit: float | None = None,
) -> Panel:
    """Lines over time; `limit` draws a red line."""
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    steps: Steps = ((None, GREEN),)
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        steps = ((None, GREEN), (limit, RED))
    defaults = _defaults(unit, steps, custom=custom) | {"color": {"mode": "palette-classic"}}
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "targets": _targets(queries, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "size": (width, 8),
    }


def table(title: str, columns: dict[str, tuple[str, str]], about: str, *, by: str) -> Panel:
    """A row per value of the label `by`; columns: heading -> (expression, unit)."""
    targets = _targets({name: expression for name, (expression, _) in columns.items()}, instant=True)
    for target in targets:
        target["format"] = "table"
    letters = [target["refId"] for target in targets]
    return {
        "type": "table",
        "title": title,
        "description": about,
        "targets": targets,
        "transformations": [
            {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {f"Time {number}": True for number in range(1, len(letters) + 1)}
                    | {"Time": True},
                    "renameByName": {
                        f"Value #{letter}": name for letter, name in zip(letters, columns, strict=True)
                    },
                },
            },
        ],
        "fieldConfig": {
            "defaults": _defaults("short", ((None, BLUE),)) | {"custom": {"align": "auto"}},
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [{"id": "unit", "value": unit}],
                }
                for name, (_, unit) in columns.items()
            ],
        },
        "options": {"showHeader": True, "sortBy": [{"displayName": by, "desc": False}]},
        "size": (12, 8),
    }


def alerts() -> Panel:
    """What Prometheus finds wrong right now."""
    return {
        "type": "table",
        "title": "Alerts",
        "description": "What Prometheus finds wrong now; empty is well. docs/operations.md has what to do",
        "targets": [
            {
                "datasource": SOURCE,
                "refId": "A",
                "expr": 'ALERTS{alertstate="firing"}',
                "format": "table",
                "instant": True,
                "range": False,
            }
        ],
        "transformations": [
            {
                "id": "organize",
                "options": {
                    "excludeByName": dict.fromkeys(("Time", "Value", "__name__", "alertstate"), True),
                    "indexByName": {"severity": 0, "alertname": 1},
                },
            }
        ],
        "fieldConfig": {
            "defaults": _defaults("short", ((None, RED),)) | {"noValue": "nothing"},
            "overrides": [],
        },
        "options": {"showHeader": True},
        "size": (12, 8),
    }


def row(title: str) -> Panel:
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "size": (WIDTH, 1)}


def placed(panels: Sequence[Panel]) -> list[Panel]:
    """With ids and places: from left to right, the next line when one is full."""
    x = y = height = 0
    done = []
    for number, panel in enumerate(panels, start=1):
        width, tall = panel["size"]
        if x + width > WIDTH:
            x, y, height = 0, y + height, 0
        place = {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": tall}}
        body = {key: value for key, value in panel.items() if key != "size"}
        done.append(body | place | ({} if panel["type"] == "row" else {"datasource": SOURCE}))
        x, height = x + width, max(height, tall)
    return done
