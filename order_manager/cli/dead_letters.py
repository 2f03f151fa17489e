"""order-manager dead-letters: look at messages that could not be used, replay them, set them aside."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from order_manager.cli.house import data_dir_option, house, json_option
from order_manager.errors import NotConfirmed

if TYPE_CHECKING:
    from order_manager.wiring import Runtime

NUMBER = click.IntRange(1, 2**63 - 1)
STATES = ("new", "replayed", "discarded", "all")


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Messages that could not be used: look at them, replay them, set them aside."""


@dead_letters.command(name="list")
@click.option("--state", type=click.Choice(STATES), default="new", show_default=True)
@click.option("--queue", metavar="NAME", help="where it came from")
@click.option("--signal", "signal_id", metavar="SIGNAL_ID", help="the sender's, where it could be read")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@data_dir_option
@json_option
def list_(
    state: str, queue: str | None, signal_id: str | None, limit: int, data_dir: Path, as_json: bool
) -> None:
    """Newest first."""
    with house(data_dir) as rt:
        from order_manager.database import dead_letters as letters
        from order_manager.database.queries import Page
        from order_manager.database.wording import letter_json
        from order_manager.domain.dead_letters import LetterState

        wanted = letters.LetterFilter(
            queue=queue, state=None if state == "all" else LetterState(state), signal_id=signal_id
        )
        found, total = letters.list_letters(
            rt.engine, wanted, is_descending=True, page=Page(limit=limit, offset=0)
        )
        told = [letter_json(letter) for letter in found]
    from order_manager.cli.showing import clock, console, print_json, table

    if as_json:
        print_json({"dead_letters": told, "total": total})
        return
    if not told:
        click.echo("no dead letters" if state == "all" else f"no dead letters that are {state}")
        return
    rows = [
        (
            one["id"],
            clock(one["received_at"]),
            one["queue"],
            one["signal_id"],
            one["code"],
            one["reason"],
            one["state"],
        )
        for one in told
    ]
    title = f"dead letters, {len(told)} of {total}"
    columns = ("id", "received", "queue", "signal", "code", "reason", "state")
    console().print(table(title, columns, rows))


@dead_letters.command()
@click.argument("number", metavar="ID", type=NUMBER)
@data_dir_option
@json_option
def show(number: int, data_dir: Path, as_json: bool) -> None:
    """One with its headers and its message."""
    with house(data_dir) as rt:
        from order_manager.database.dead_letters import find_letter
        from order_manager.database.wording import letter_json

        letter = find_letter(rt.engine, number)
    if letter is None:
        raise click.ClickException(_unknown(number))
    body = letter.body.decode(errors="backslashreplace")
    told = {**letter_json(letter.summary), "headers": letter.headers, "body": body}
    from order_manager.cli.showing import print_json

    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        if name != "body":
            click.echo(f"{name}: {'' if value is None else value}")
    cut = f", its first {len(letter.body)} bytes" if len(letter.body) < letter.summary.size else ""
    click.echo(f"message{cut}:\n{body}")


@dead_letters.command()
@click.argument("numbers", metavar="ID...", type=NUMBER, nargs=-1, required=True)
@data_dir_option
@json_option
def replay(numbers: Sequence[int], data_dir: Path, as_json: bool) -> None:
    """Hand each in again as it came; exit status 1 if one could not be."""
    with house(data_dir) as rt:
        from order_manager.services.dead_letters import replay_letter
        from order_manager.tasks.dead_letters import build_replaying

        replaying = build_replaying(rt)
        results = _each(numbers, lambda number: replay_letter(number, replaying=replaying), rt)
    _told(results, as_json)


@dead_letters.command()
@click.argument("numbers", metavar="ID...", type=NUMBER, nargs=-1, required=True)
@click.option("--reason", metavar="TEXT", help="for the log")
@data_dir_option
@json_option
def discard(numbers: Sequence[int], reason: str | None, data_dir: Path, as_json: bool) -> None:
    """Set each aside for good; its message is kept."""
    with house(data_dir) as rt:
        from order_manager.database.dead_letters import DeadLetterStore
        from order_manager.services.dead_letters import discard_letter

        store = DeadLetterStore(rt.engine)
        results = _each(numbers, lambda number: discard_letter(number, reason=reason, store=store), rt)
    _told(results, as_json)


def _each(numbers: Sequence[int], resolve: Callable[[int], Any], rt: "Runtime") -> list[dict[str, Any]]:
    """What became of each; one that can't be resolved does not keep the others."""
    from order_manager.cli.house import broker_trouble
    from order_manager.services.dead_letters import Refusal

    results: list[dict[str, Any]] = []
    for number in dict.fromkeys(numbers):
        try:
            outcome = resolve(number)
        except NotConfirmed as error:
            why = broker_trouble(rt.settings, error.__cause__ or error)
            results.append({"id": number, "done": False, "code": "not_confirmed", "message": why})
            continue
        if outcome is None:
            results.append({"id": number, "done": False, "code": "not_found", "message": _unknown(number)})
        elif isinstance(outcome, Refusal):
            results.append({"id": number, "done": False, "code": outcome.code, "message": outcome.message})
        else:
            state = str(outcome.state)
            results.append(
                {"id": number, "done": True, "code": state, "message": f"{state}: {outcome.queue}"}
            )
    return results


def _told(results: list[dict[str, Any]], as_json: bool) -> None:
    from order_manager.cli.showing import print_json

    if as_json:
        print_json({"results": results})
    else:
        for one in results:
            click.echo(f"{one['id']}: {one['message']}", err=not one["done"])
    if not all(one["done"] for one in results):
        raise click.exceptions.Exit(1)


def _unknown(number: int) -> str:
    return f"there is no dead letter {number}; `order-manager dead-letters list --state all` has them"
