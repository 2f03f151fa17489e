"""Running the paper exchange as a process: options, listening, the price clock, a clean stop."""

import argparse
import asyncio
import errno
import ipaddress
import logging
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from aiohttp import web

from order_manager.paper.clock import wall_ms
from order_manager.paper.exchange import DEFAULT_LEDGER_LIMIT, Exchange, PaperSettings
from order_manager.paper.limits import DEFAULT_CREATE_LIMIT, DEFAULT_READ_LIMIT
from order_manager.paper.numbers import parse_decimal, parse_integer
from order_manager.paper.server import create_app
from order_manager.paper.tapes import TapeError

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_CANNOT_START = 2
_STATE_FILE_NAME = "paper-exchange.jsonl"


def run_paper_exchange(
    host: str = "127.0.0.1",
    port: int = 4700,
    *,
    seed: int = 7,
    data_dir: Path | None = None,
    state_file: Path | None = None,
    keys: Sequence[tuple[str, str]] = (),
    control_token: str = "",
    price_interval_ms: int = 200,
    create_limit: int = DEFAULT_CREATE_LIMIT,
    read_limit: int = DEFAULT_READ_LIMIT,
    ip_limit: bool = False,
    extra_symbols: int = 0,
    balance: Decimal = Decimal(100_000),
    ack_delay_ms: int = 0,
    partial_fill_chance: float = 0.15,
    ledger_limit: int = DEFAULT_LEDGER_LIMIT,
    price_files: Sequence[Path] = (),
    price_speed: Decimal = Decimal(1),
) -> int:
    """Serve until SIGTERM or SIGINT; returns the process's exit code.

    With `state_file`, or `data_dir` for a file of the usual name there, the state survives restarts.
    """
    if state_file is None and data_dir is not None:
        state_file = data_dir / _STATE_FILE_NAME
    settings = PaperSettings(
        host=host,
        port=port,
        seed=seed,
        keys=tuple(keys),
        control_token=control_token,
        balance=balance,
        price_interval_ms=price_interval_ms,
        ack_delay_ms=ack_delay_ms,
        create_limit=create_limit,
        read_limit=read_limit,
        ip_limit=ip_limit,
        extra_symbols=extra_symbols,
        partial_fill_chance=partial_fill_chance,
        state_file=state_file,
        ledger_limit=ledger_limit,
        price_files=tuple(price_files),
        price_speed=price_speed,
    )
    if control_token and not is_loopback(host):
        return _cannot_start(f"the control path is for loopback only: host {host} with a control token")
    return asyncio.run(_run_until_signal(settings))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run_until_signal(settings: PaperSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await serve(settings, stop)


async def serve(settings: PaperSettings, stop: asyncio.Event) -> int:
    """Listen until `stop` is set; returns an exit code. Prints one line with the address when ready."""
    try:
        exchange = Exchange(settings, wall_ms())
    except TapeError as error:
        return _cannot_start(str(error))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if settings.state_file is None:
            raise
        return _cannot_start(f"cannot use the state file {settings.state_file}: {error!r}")
    runner = web.AppRunner(create_app(exchange), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return _cannot_start(f"port {settings.port} on {settings.host} is in use")
            return _cannot_start(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}")
        port = runner.addresses[0][1]
        sys.stdout.write(f"paper exchange on http://{settings.host}:{port}\n")
        sys.stdout.flush()
        clock = asyncio.create_task(_keep_prices_moving(exchange))
        stopping = asyncio.create_task(stop.wait())
        # A price clock that dies must take the exchange with it: frozen prices would only look alive.
        await asyncio.wait({stopping, clock}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not clock.cancel():
            await clock
    finally:
        await runner.cleanup()
        exchange.journal.close()
    return EXIT_OK


async def _keep_prices_moving(exchange: Exchange) -> None:
    interval_ms = exchange.settings.price_interval_ms
    if not interval_ms:
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(interval_ms / 1000)
        exchange.move_prices(wall_ms())


def _cannot_start(reason: str) -> int:
    sys.stderr.write(f"paper exchange: {reason}\n")
    return EXIT_CANNOT_START


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="paper-exchange", description="A Bybit v5 simulator on localhost, with paper money."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4700, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=7, help="prices and partial fills repeat with it")
    parser.add_argument("--control-token", default="", help="opens /control/... to whoever sends it")
    parser.add_argument("--api-key", action="append", default=[], help="repeatable, with --api-secret")
    parser.add_argument("--api-secret", action="append", default=[])
    parser.add_argument("--balance", type=_decimal, default=Decimal(100_000), help="USDT per account")
    parser.add_argument("--price-interval-ms", type=int, default=200, help="0 freezes the prices")
    parser.add_argument("--ack-delay-ms", type=int, default=0, help="from acknowledgement to matching")
    parser.add_argument("--create-limit", type=int, default=DEFAULT_CREATE_LIMIT, help="orders per second")
    parser.add_argument("--read-limit", type=int, default=DEFAULT_READ_LIMIT, help="reads per second")
    parser.add_argument("--ip-limit", action="store_true", help="600 requests in 5 s per address, then a ban")
    parser.add_argument("--extra-symbols", type=int, default=0, help="synthetic SYM001USDT onwards")
    parser.add_argument("--partial-fill-chance", type=float, default=0.15, help="of a resting order, 0 to 1")
    parser.add_argument("--state-file", type=Path, default=None, help="state that survives restarts")
    parser.add_argument(
        "--ledger-limit", type=_positive, default=DEFAULT_LEDGER_LIMIT, help="entries kept in memory"
    )
    parser.add_argument(
        "--price-file",
        action="append",
        type=Path,
        default=[],
        dest="price_files",
        help="CSV or JSONL of recorded prices to replay; repeatable",
    )
    parser.add_argument(
        "--price-speed", type=_speed, default=Decimal(1), help="of the replay, 60: 1 s a minute"
    )
    options = vars(parser.parse_args(argv))
    keys, secrets = options.pop("api_key"), options.pop("api_secret")
    if len(keys) != len(secrets):
        parser.error("each --api-key needs one --api-secret")
    logging.basicConfig(level=logging.WARNING)
    return run_paper_exchange(keys=list(zip(keys, secrets, strict=True)), **options)


def _positive(text: str) -> int:
    number = parse_integer(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return number


def _speed(text: str) -> Decimal:
    number = parse_decimal(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return number


def _decimal(text: str) -> Decimal:
    number = parse_decimal(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal number")
    return number
