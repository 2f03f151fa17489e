"""order-manager sync: compare with the exchange now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from order_manager.cli.house import data_dir_option, house, json_option

SCOPES = ("active", "orders", "positions", "all")


@click.command()
@click.option("--scope", type=click.Choice(SCOPES), default="active", show_default=True, help="which symbols")
@click.option("--asset", metavar="SYMBOL", help="one symbol")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="s for the result",
)
@data_dir_option
@json_option
def sync(scope: str, asset: str | None, wait_s: float, data_dir: Path, as_json: bool) -> None:
    """Compare orders, fills and positions with the exchange now; exit status 1 if that failed.

    active: symbols with open orders; orders: all symbols; positions: all, and positions are recounted from
    their fills; all: that, and symbols that are traded on the account but not known here.
    """
    with house(data_dir) as rt:
        from order_manager.services.sync_orders import SyncScope, start_sync, wait_for_sync
        from order_manager.tasks.exchange_updates import build_syncing

        if rt.settings.enable_dry_run:
            raise click.ClickException(
                "a dry run has nothing at the exchange to compare with (ORDERMANAGER_ENABLE_DRY_RUN)"
            )
        if asset is not None and asset not in rt.inbox.known_lanes():
            raise click.ClickException(f"{asset} has no lane; `order-manager status` lists the symbols")
        syncing = build_syncing(rt)
        run_id = start_sync(SyncScope(scope), asset, syncing=syncing)
        result = wait_for_sync(run_id, syncing=syncing, timeout_s=wait_s)
        assert result is not None
        lanes = {lane.symbol: lane for lane in rt.sync_runs.find(run_id).lanes}  # type: ignore[union-attr]
    from order_manager.cli.showing import print_json

    if as_json:
        print_json(result)
    else:
        _show(result, lanes)
    if result["status"] == "failed":
        raise click.exceptions.Exit(1)


def _show(result: Mapping[str, Any], lanes: Mapping[str, Any]) -> None:
    from order_manager.cli.showing import console, say, table

    screen = console()
    rows = [
        (
            symbol,
            "completed" if lane.is_done else "failed" if lane.error else "waiting",
            *((lane.seen, lane.corrected, lane.discrepancies) if lane.is_done else ("", "", "")),
            lane.error,
        )
        for symbol, lane in lanes.items()
    ]
    if rows:
        columns = ("symbol", "result", "orders", "corrected", "position discrepancies", "error")
        screen.print(table(f"sync {result['sync_id']}", columns, rows))
    for one in result["position_adjustments"]:
        before, after = one["size_before"], one["size_after"]
        change = f"{before} -> {after}" if before != after else f"{after}, unchanged"
        say(screen, f"{one['asset']}: position {change}; {one['reason']}, by the {one['source']}")
    say(screen, _summary(result))


def _summary(result: Mapping[str, Any]) -> str:
    if not result["assets"]:
        return f"{result['status']}: no symbol to compare with scope {result['scope']}"
    counted = (
        f"{result['status']}: {result['synced_orders']} orders looked at, {result['updated_orders']} changed,"
        f" {result['position_discrepancies']} position discrepancies corrected"
    )
    if pending := result["pending_assets"]:
        return f"{counted}; {', '.join(pending)} still to come: the request stays until it is done"
    return counted
