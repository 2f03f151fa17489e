"""The order-manager command. What a command needs is imported when it runs, so that `--help` is quick."""

import click

from order_manager.cli import dead_letters, doctor, explain, processes, send, status, sync, trading


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="order-manager")
def main() -> None:
    """Turns trading signals into Bybit orders, once and in order."""


for _command in (
    processes.up,
    processes.migrate,
    processes.consumer,
    processes.stream,
    processes.healthy,
    processes.paper_exchange,
    send.send,
    status.status,
    explain.explain,
    trading.halt,
    trading.reduce,
    trading.resume,
    dead_letters.dead_letters,
    sync.sync,
    doctor.doctor,
):
    main.add_command(_command)
