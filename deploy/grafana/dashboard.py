"""Writes dashboards/order-manager.json: python deploy/grafana/dashboard.py."""

import json
from pathlib import Path
from typing import Any

from panels import (
    GREEN,
    ONE_IS_WELL,
    RED,
    SOURCE,
    YELLOW,
    ZERO_IS_WELL,
    Panel,
    alerts,
    graph,
    increase,
    of_symbols,
    placed,
    quantile,
    rate,
    row,
    stat,
    table,
    value,
)

TARGET = Path(__file__).parent / "dashboards" / "order-manager.json"
JOBS = "consumer|stream|worker|maintenance|beat|web|flower|paper"
OURS = f'job=~"{JOBS}"'
MODES = {"1": ("active", GREEN), "2": ("reducing", YELLOW), "3": ("halted", RED)}
UP = {"1": ("up", GREEN), "0": ("away", RED)}
QUOTE = "Quote currency"
MINUTE = 60
NO_LANE = "symbols without a lane"


def overview() -> list[Panel]:
    modes = (value("trading_mode", where=f'mode="{mode}"') for mode, _ in MODES.values())
    mode = " + ".join(f"{number} * {one}" for number, one in enumerate(modes, start=1))
    exposure = f"{value('exposure_quote')} / {value('exposure_limit_quote')}"
    unrealized = f"sum({value('position_unrealized_pnl_quote', by='symbol')})"
    unknown = f"sum({value('unsettled_orders', by='symbol, request')})"
    found = increase("positions_corrected_total", where='kind="size"', within="24h")
    open_orders = f"sum by (symbol) ({of_symbols('open_orders', by='symbol, status')})"
    return [
        row("Now"),
        stat("Trading", mode, "Mode of the account", words=MODES),
        stat("Stream", value("stream_connected"), "The exchange's own", steps=ONE_IS_WELL, words=UP),
        stat(
            "Exposure",
            exposure,
            "Positions and open orders as a part of ORDERMANAGER_MAX_EXPOSURE",
            unit="percentunit",
            steps=((None, GREEN), (0.75, YELLOW), (0.9, RED)),
            decimals=1,
        ),
        stat(
            "Unrealized PnL",
            unrealized,
            f"{QUOTE}, at the last known mark prices",
            steps=((None, RED), (0, GREEN)),
            decimals=2,
        ),
        stat(
            "Oldest waiting signal",
            value("lane_oldest_waiting_age_seconds"),
            "Of any symbol",
            unit="s",
            steps=((None, GREEN), (10, YELLOW), (60, RED)),
            decimals=0,
        ),
        stat(
            "Unknown orders",
            unknown,
            "Requests to the exchange that have no answer yet",
            steps=((None, GREEN), (1, YELLOW), (5, RED)),
        ),
        stat(
            "Discrepancies, 24 h",
            f"ceil({found})",
            "Positions that were not what we had stored",
            steps=ZERO_IS_WELL,
        ),
        stat(
            "Dead letters",
            value("dead_letters", where='state="new"'),
            "Messages that nobody has looked at yet",
            steps=((None, GREEN), (1, YELLOW), (20, RED)),
        ),
        alerts(),
        table(
            "Symbols",
            {
                "long": (of_symbols("position_size", where='leg="long", '), "short"),
                "short": (of_symbols("position_size", where='leg="short", ', how="min"), "short"),
                "value": (of_symbols("position_notional_quote"), "short"),
                "unrealized": (of_symbols("position_unrealized_pnl_quote"), "short"),
                "realized": (of_symbols("position_realized_pnl_quote"), "short"),
                "open orders": (open_orders, "short"),
                "waiting": (of_symbols("lane_waiting_signals"), "short"),
                "compared": (of_symbols("lane_reconciled_age_seconds"), "s"),
            },
            "Positions, PnL in quote currency, what waits, the age of the last comparison with the exchange",
            by="symbol",
        ),
    ]


def signals() -> list[Panel]:
    return [
        row("Signals"),
        graph(
            "Received and ended",
            {
                "received, {{receipt}}": rate("signals_received_total", by="receipt", per_s=MINUTE),
                "{{outcome}}": rate("signals_ended_total", by="outcome", per_s=MINUTE),
            },
            "Per minute",
        ),
        graph(
            "Rejected and failed",
            {"{{code}}": increase("signals_ended_total", by="code", where='outcome!="executed"')},
            "By code",
            stacked=True,
        ),
        graph(
            "From signal to acceptance",
            {f"p{part * 100:g}": quantile(part, "signal_acceptance_seconds") for part in (0.5, 0.95, 0.99)},
            "From the receipt of a signal to the exchange's acceptance of its order",
            unit="s",
        ),
        graph(
            "Lane depth",
            {
                "{{symbol}}": of_symbols("lane_waiting_signals"),
                NO_LANE: value("lane_waiting_signals", where='symbol=""'),
            },
            "Signals that have not ended",
            stacked=True,
        ),
        graph(
            "Oldest waiting",
            {
                "{{symbol}}": of_symbols("lane_oldest_waiting_age_seconds"),
                NO_LANE: value("lane_oldest_waiting_age_seconds", where='symbol=""'),
            },
            "Age of the oldest signal that has not ended",
            unit="s",
            limit=60,
        ),
        graph(
            "Lanes that wait for the exchange",
            {
                "{{symbol}}": of_symbols("lane_blocked_age_seconds"),
                "blocks per minute, {{error}}": rate("lane_blocks_total", by="error", per_s=MINUTE),
            },
            "For how long, and why",
            unit="s",
        ),
    ]


def money() -> list[Panel]:
    unsettled = f"{of_symbols('unsettled_orders', by='symbol, request')} > 0"
    return [
        row("Orders, positions, money"),
        graph(
            "Exposure",
            {
                "{{symbol}}": value("position_notional_quote", by="symbol"),
                "open orders": f"sum({value('open_order_notional_quote', by='symbol')})",
                "limit": value("exposure_limit_quote"),
            },
            QUOTE,
        ),
        graph(
            "Unrealized PnL",
            {"{{symbol}}": of_symbols("position_unrealized_pnl_quote")},
            f"{QUOTE}, at the last known mark prices",
        ),
        graph(
            "Realized PnL",
            {
                "{{symbol}}": of_symbols("position_realized_pnl_quote"),
                "fees": f"sum({value('position_fees_quote', by='symbol')})",
            },
            f"{QUOTE}, since the beginning, after fees",
        ),
        graph(
            "Events of orders",
            {"{{event_type}}": rate("events_published_total", by="event_type", per_s=MINUTE)},
            "Published per minute",
        ),
        graph(
            "Open orders",
            {
                "{{symbol}} {{status}}": f"{of_symbols('open_orders', by='symbol, status')} > 0",
                "{{symbol}} {{request}} unknown": unsettled,
            },
            "By status, and those whose last request has no answer yet",
        ),
        graph(
            "Comparisons",
            {
                "{{result}}": rate("reconciliations_total", by="result", per_s=MINUTE),
                "orders {{result}}": rate("orders_reconciled_total", by="result", per_s=MINUTE),
                "positions, {{kind}}": increase("positions_corrected_total", by="kind"),
            },
            "With the exchange, per minute; positions that were set right",
        ),
        graph(
            "Balance",
            {"available": value("available_balance_quote"), "reserved": value("reserved_quote")},
            QUOTE,
            width=12,
        ),
        graph(
            "Age of comparisons",
            {"{{symbol}}": of_symbols("lane_reconciled_age_seconds")},
            "Since the last complete comparison with the exchange",
            unit="s",
            width=12,
        ),
    ]


def exchange() -> list[Panel]:
    wrong = rate("exchange_calls_total", by="result, endpoint", where='result!="ok"', per_s=MINUTE)
    again = rate("exchange_retries_total", by="endpoint", per_s=MINUTE)
    left = value("exchange_rate_remaining", by="endpoint", how="min")
    return [
        row("Exchange"),
        graph(
            "Requests",
            {"{{endpoint}}": rate("exchange_calls_total", by="endpoint")},
            "Per second",
            stacked=True,
        ),
        graph(
            "What went wrong",
            {
                "{{result}} {{endpoint}}": f"{wrong} > 0",
                "retries {{endpoint}}": f"{again} > 0",
            },
            "Answers other than ok, and retries, per minute",
        ),
        graph(
            "Duration, p95",
            {"{{endpoint}}": quantile(0.95, "exchange_call_seconds", by="endpoint")},
            "Of a request, without waiting for its turn",
            unit="s",
        ),
        graph(
            "Rate budget left",
            {"{{endpoint}}": f"{left} / {value('exchange_rate_limit', by='endpoint')}"},
            "Part of a second's requests that the exchange's last answer left",
            unit="percentunit",
        ),
        graph(
            "Waiting for a turn",
            {"{{endpoint}}": rate("exchange_rate_wait_seconds_total", by="endpoint")},
            "Seconds per second that requests wait within the account's limits",
            unit="s",
        ),
        graph(
            "Stream",
            {
                "{{source}} {{topic}} per minute": rate(
                    "updates_received_total", by="source, topic", per_s=MINUTE
                ),
                "silent for, s": f"time() - {value('stream_last_message_timestamp_seconds')}",
                "breaks": increase("stream_breaks_total"),
            },
            "What the exchange tells by itself",
        ),
    ]


def house() -> list[Panel]:
    sent = value("schedule_last_sent_timestamp_seconds", by="entry")
    asked = value("lane_reconcile_request_age_seconds", by="symbol")
    failed = rate("tasks_total", by="task", where='state!="SUCCESS"', per_s=MINUTE)
    return [
        row("House"),
        graph("Processes", {"{{job}}": f"sum by (job) (up{{{OURS}}})"}, "That answer"),
        graph(
            "Servers",
            {"{{dependency}}": value("dependency_up", by="dependency", how="min")},
            "1: it answers",
        ),
        graph(
            "What waits",
            {
                "events": value("outbox_oldest_age_seconds"),
                "updates": value("waiting_updates_oldest_age_seconds"),
                "comparison of {{symbol}}": f"{asked} > 5",
            },
            "Age of the oldest event not published, update not applied, comparison that was asked for",
            unit="s",
        ),
        graph(
            "Leases", {"{{worker}}": value("worker_leases", by="worker")}, "Symbols per worker", stacked=True
        ),
        graph(
            "Tasks",
            {
                "{{task}}": rate("tasks_total", by="task", per_s=MINUTE),
                "{{task}} failed": f"{failed} > 0",
            },
            "Per minute",
        ),
        graph(
            "Schedule",
            {"{{entry}}": f"(time() - {sent}) / {value('schedule_interval_seconds', by='entry')}"},
            "Age of the last sending, in intervals of the entry: above 1 it is late",
            limit=2,
        ),
        graph(
            "REST API",
            {"{{status}}": rate("http_requests_total", by="status")},
            "Requests per second",
            width=6,
        ),
        graph(
            "REST API, p95",
            {"{{route}}": quantile(0.95, "http_request_seconds", by="route")},
            "Duration of a request",
            unit="s",
            width=6,
        ),
        graph(
            "Memory",
            {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{OURS}}}"},
            "Of the process that answers; a worker's child is not in it",
            unit="bytes",
            width=6,
        ),
        graph(
            "CPU",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval])"},
            "The same",
            unit="percentunit",
            width=6,
        ),
    ]


def dashboard() -> dict[str, Any]:
    symbols = "label_values(order_manager_lane_leased, symbol)"
    symbol = {
        "name": "symbol",
        "label": "Symbol",
        "type": "query",
        "datasource": SOURCE,
        "definition": symbols,
        "query": {"query": symbols, "refId": "symbols"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",  # of what has no symbol yet, the panels tell that do
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    return {
        "uid": "order-manager",
        "title": "order manager",
        "tags": ["order-manager"],
        "timezone": "utc",
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [symbol]},
        "annotations": {"list": []},
        "links": [],
        "panels": placed([*overview(), *signals(), *money(), *exchange(), *house()]),
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
