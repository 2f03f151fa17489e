"""order-manager send: signals from a file or stdin onto the signal queue."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from order_manager.cli.house import broker_trouble, data_dir_option, house_settings, json_option, keep_log

if TYPE_CHECKING:
    from order_manager.messaging.sender import Written
    from order_manager.settings import Settings


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="look first whether each is a signal"
)
@data_dir_option
@json_option
def send(file: Any, check: bool, data_dir: Path, as_json: bool) -> None:
    """Publish signals: a JSON object, an array of them, or one a line. Without FILE, or with -, from stdin.

    If one of them is no signal nothing is sent, each fault is named, and the exit status is 1.
    """
    settings = house_settings(data_dir)
    keep_log(settings, data_dir)
    from order_manager.messaging.sender import written_signals

    written = written_signals(file.read(), is_checked=check, max_bytes=settings.max_message_bytes)
    if not written:
        raise click.ClickException(
            "there is no signal in it: write a JSON object, an array, or lines of them"
        )
    bad = [one for one in written if one.error is not None]
    sent, trouble = (0, "") if bad else _send(written, settings)
    if as_json:
        _print(written, sent, trouble)
    else:
        _say(written, bad, sent)
    if trouble and not as_json:
        raise click.ClickException(trouble)
    if bad or trouble:
        raise click.exceptions.Exit(1)


def _send(written: Sequence["Written"], settings: "Settings") -> tuple[int, str]:
    """How many the broker has for sure, and why not all."""
    from order_manager.cli.house import settled
    from order_manager.errors import NotConfirmed
    from order_manager.messaging.sender import send_signals

    bodies, sent = [one.body for one in written], 0
    url = settled(lambda: settings.broker_url)
    try:
        for count in send_signals(bodies, url, is_rabbitmq=settings.broker_is_rabbitmq):
            sent = count
    except NotConfirmed as error:
        why = broker_trouble(settings, error.__cause__ or error)
        rest = f"{written[sent].place} on" if len(written) > 1 else "it"
        return sent, f"{sent} of {len(written)} sent; send {rest} again, repeats are dropped: {why}"
    return sent, ""


def _say(written: Sequence["Written"], bad: Sequence["Written"], sent: int) -> None:
    for one in bad:
        assert one.error is not None
        of = f" (signal {one.signal_id})" if one.signal_id else ""
        click.echo(f"{one.place}{of}: {one.error.message}", err=True)
    if bad:
        are = "is no signal" if len(bad) == 1 else "are no signals"
        click.echo(f"nothing sent: {len(bad)} of {len(written)} {are}", err=True)
    elif sent == len(written):
        click.echo(f"sent {sent} signal{'s' if sent != 1 else ''}")


def _print(written: Sequence["Written"], sent: int, trouble: str) -> None:
    from order_manager.cli.showing import print_json

    signals = [
        {
            "place": one.place,
            "signal_id": one.signal_id,
            "sent": number < sent,
            "error": one.error
            and {"code": one.error.code, "field": one.error.field, "message": one.error.message},
        }
        for number, one in enumerate(written)
    ]
    print_json({"sent": sent, "error": trouble or None, "signals": signals})
