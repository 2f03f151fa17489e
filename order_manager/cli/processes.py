"""Commands that are processes, or prepare them: up, migrate, consumer, stream, healthy, paper-exchange."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from order_manager.cli.house import settled

if TYPE_CHECKING:
    from order_manager.heartbeats import Facts
    from order_manager.wiring import Runtime


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path(".data"), show_default=True)
@click.option("--workers", type=click.IntRange(1, 32), default=2, show_default=True, help="symbol workers")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="REST API [default: 4600]")
@click.option("--demo/--no-demo", default=True, show_default=True, help="publish sample signals")
@click.option("--exit", "exit_after", is_flag=True, help="stop after the demo; status 0 if it succeeded")
def up(data_dir: Path, workers: int, port: int | None, demo: bool, exit_after: bool) -> None:
    """Run everything on embedded parts, until Ctrl-C."""
    from order_manager.demo import run_demo
    from order_manager.logs import configure_logs
    from order_manager.settings import load_settings
    from order_manager.up import up as run_up

    configure_logs(settled(load_settings), process="up")
    shown = run_demo if demo else None
    sys.exit(run_up(data_dir, workers=workers, port=port, demo=shown, exit_after=exit_after))


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from sqlalchemy.exc import OperationalError

    from order_manager.database.migrations import upgrade
    from order_manager.settings import load_settings

    settings = settled(load_settings)
    try:
        upgrade(settled(lambda: settings.postgres_url))
    except OperationalError as error:
        where = f"{settings.postgres_host}:{settings.postgres_port}"
        raise click.ClickException(
            f"no database at {where} (POSTGRES_HOST, POSTGRES_PORT): {error.orig}; "
            "unset them to let `order-manager up` run its own"
        ) from None
    click.echo("the schema is up to date")


@click.command()
def consumer() -> None:
    """Take signals off the broker until stopped."""
    from order_manager.consumer import run_consumer

    with _process("consumer") as rt:
        run_consumer(rt)


@click.command()
def stream() -> None:
    """Follow the exchange's private stream until stopped."""
    from order_manager.heartbeats import StreamFacts
    from order_manager.stream import run_stream

    with _process("stream", facts=StreamFacts()) as rt:
        run_stream(rt)


@click.command()
@click.argument("url", required=False)
def healthy(url: str | None) -> None:
    """Tell a health check whether a process is well: the one with the metrics port, or what is at URL."""
    from order_manager.health_check import ailment

    if problem := ailment(url):
        raise click.ClickException(problem)
    click.echo("healthy")


@click.command(name="paper-exchange", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def paper_exchange(options: tuple[str, ...]) -> None:
    """Run the Bybit v5 simulator; `order-manager paper-exchange -- --help` lists its options."""
    from order_manager.metrics_server import tell_build
    from order_manager.paper.runner import main as run_paper

    tell_build("paper")
    sys.exit(run_paper(list(options)))


@contextmanager
def _process(process: str, *, facts: "Facts" = dict) -> Iterator["Runtime"]:
    """What a process works with; it logs, serves its metrics, and lives, under this name from now on."""
    from order_manager.heartbeats import begin_heartbeats, end_heartbeats
    from order_manager.logs import configure_logs
    from order_manager.metrics_server import serve_metrics
    from order_manager.wiring import runtime

    rt = settled(runtime)
    configure_logs(rt.settings, process=process)
    serve_metrics(rt.settings, process=process)
    begin_heartbeats(rt.settings, name=process, role=process, facts=facts)
    yield rt
    end_heartbeats()  # not when it fails: then it is missing
