"""What `order-manager up` shows: a line per step, then what runs where and how to talk to it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from order_manager.fleet.plan import FleetPlan


@contextmanager
def step(console: Console, title: str) -> Iterator[None]:
    """A line that says when `title` is done and how long it took; with a spinner until then on a terminal."""
    started = time.monotonic()
    try:
        with console.status(f"{escape(title)} ..."):
            yield
    except BaseException:
        console.print(f"[red]✗[/] {escape(title)}")
        raise
    console.print(f"[green]✓[/] {escape(title)} [dim]{time.monotonic() - started:.1f} s[/]", highlight=False)


def show_fleet(console: Console, plan: FleetPlan, pids: Mapping[str, int]) -> None:
    table = Table("process", "pid", "where", "metrics", title="what runs", title_justify="left")
    for program in plan.programs:
        pid = str(pids.get(program.name, "-"))
        table.add_row(program.name, pid, escape(program.where), escape(program.metrics))
    for name, prefix in (("PostgreSQL", "POSTGRES"), ("Redis", "REDIS"), ("RabbitMQ", "RABBITMQ")):
        host = plan.env.get(f"{prefix}_HOST")
        if host and not any(program.name == prefix.lower() for program in plan.programs):
            table.add_row(name, "-", escape(f"{host}:{plan.env.get(f'{prefix}_PORT', '')}".rstrip(":")))
    console.print(table)
    broker = "RabbitMQ" if plan.env.get("RABBITMQ_HOST") else "Redis"
    console.print(
        f"broker: {broker}; exchange: {plan.env.get('BYBIT_ENVIRONMENT', 'paper')}", highlight=False
    )
    for note in plan.notes:
        say(console, f"set for you: {note}")
    say(console, f"data, logs, fleet.env: {plan.data_dir}")
    if plan.api_url:
        key = plan.env["ORDERMANAGER_API_KEY"].split(",")[0].strip()  # there may be several
        say(console, f"API key: {key}")
        say(console, f"try: curl -H 'X-API-Key: {key}' '{plan.api_url}/api/v1/orders?limit=5'")


def say(console: Console, text: str) -> None:
    """A line to be copied: no markup, no wrapping."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)
