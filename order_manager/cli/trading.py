"""order-manager halt, reduce, resume: what may be traded, from the next decision on."""

import getpass
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from order_manager.cli.house import F, data_dir_option, house, json_option

if TYPE_CHECKING:
    from order_manager.database.trading_states import Modes
    from order_manager.domain.state import TradingMode


def _change_options(command: F) -> F:
    command = json_option(data_dir_option(command))
    command = click.option("--reason", required=True, metavar="TEXT", help="kept with the mode")(command)
    return click.option("--asset", metavar="SYMBOL", help="one symbol  [default: the account]")(command)


@click.command()
@_change_options
def halt(asset: str | None, reason: str, data_dir: Path, as_json: bool) -> None:
    """Let nothing through; orders that are open stay open."""
    from order_manager.domain.state import TradingMode

    _change(TradingMode.HALTED, asset, reason, data_dir, as_json)


@click.command()
@_change_options
def reduce(asset: str | None, reason: str, data_dir: Path, as_json: bool) -> None:
    """Let through only what reduces a position."""
    from order_manager.domain.state import TradingMode

    _change(TradingMode.REDUCING, asset, reason, data_dir, as_json)


@click.command()
@_change_options
def resume(asset: str | None, reason: str, data_dir: Path, as_json: bool) -> None:
    """Trade again; the account and a symbol are resumed each for itself."""
    from order_manager.domain.state import TradingMode

    _change(TradingMode.ACTIVE, asset, reason, data_dir, as_json)


def _change(mode: "TradingMode", asset: str | None, reason: str, data_dir: Path, as_json: bool) -> None:
    if not reason.strip():
        raise click.BadParameter("it is empty: say why", param_hint="--reason")
    with house(data_dir) as rt:
        from order_manager.database.trading_states import TradingStateStore
        from order_manager.domain.state import TradingMode, stricter_mode
        from order_manager.services.trading_state import change_trading_state

        store = TradingStateStore(rt.engine)
        told_before = _told(store.modes(), asset)
        before = change_trading_state(mode, symbol=asset, reason=reason, by=_who(), store=store)
        if before is None:
            raise click.ClickException(f"{asset} has no lane; `order-manager status` lists the symbols")
        modes = store.modes()
    lane = next((one for one in modes.lanes if one.symbol == asset), None)
    effective = stricter_mode(modes.account, lane.mode) if lane else modes.account
    if as_json:
        from order_manager.cli.showing import print_json

        result = {
            "asset": asset,
            "mode": mode.value,
            "before": before.value,
            "effective_mode": effective.value,
            **_told(modes, asset),
        }
        print_json(result)
        return
    was = f"{before.value}{_since(told_before) if before is not TradingMode.ACTIVE else ''}"
    click.echo(f"{asset or 'the account'}: {mode.value}, was {was}")
    if lane is not None and effective is not mode:
        why = _since(_told(modes, None))
        click.echo(f"the account is {modes.account.value}{why}; so {asset} still is {effective.value}")
    others = [one.symbol for one in modes.lanes if stricter_mode(mode, one.mode) is not mode]
    if asset is None and others:
        click.echo(f"stricter by themselves: {', '.join(others)}; resume each with --asset")


def _told(modes: "Modes", asset: str | None) -> dict[str, Any]:
    """Why, when and by whom the account's mode, or the symbol's, was changed last."""
    from order_manager.database.wording import changed_json

    lane = next((one for one in modes.lanes if one.symbol == asset), None)
    return changed_json(lane.changed if lane else modes.account_changed)


def _since(changed: dict[str, Any]) -> str:
    from order_manager.cli.showing import change_line

    return f" {change_line(changed)}" if changed["changed_at"] else ""


def _who() -> str:
    """The user and the machine; a container may have no name for its user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
