"""The house that a command talks to, and what is said when a part of it is away: one line, what to mend."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from order_manager.errors import ExchangeError, NotConfirmed, SettingsInvalid

if TYPE_CHECKING:
    from order_manager.settings import Settings
    from order_manager.wiring import Runtime

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

SERVERS = ("POSTGRES_HOST", "REDIS_HOST", "RABBITMQ_HOST")


def data_dir_option(command: F) -> F:
    text = "of `order-manager up`; while that runs, and no server is configured, its servers are used"
    return click.option(
        "--data-dir", type=click.Path(path_type=Path), default=Path(".data"), show_default=True, help=text
    )(command)


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs")(command)


def settled(load: Callable[[], T]) -> T:
    """A bad setting stops the start with one line that names it."""
    try:
        return load()
    except SettingsInvalid as error:
        raise click.ClickException(str(error)) from None


def house_settings(data_dir: Path) -> "Settings":
    """The environment's and .env's, or those of the fleet that runs on `data_dir`."""
    from order_manager.settings import load_settings

    adopt_fleet(data_dir)
    return settled(load_settings)


@contextmanager
def house(data_dir: Path) -> Iterator["Runtime"]:
    """The parts that the processes work with, for one command."""
    settings = house_settings(data_dir)
    from order_manager.wiring import build_runtime

    keep_log(settings, data_dir)
    with plain_errors(settings):
        rt = settled(lambda: build_runtime(settings))
        try:
            yield rt
        finally:
            rt.engine.dispose()


def adopt_fleet(data_dir: Path) -> None:
    """Take the addresses of a fleet that runs here, where no server of ours is configured."""
    from dotenv import dotenv_values

    configured = {**dotenv_values(".env"), **os.environ}
    path = data_dir / "fleet.env"
    if any(configured.get(name) for name in SERVERS) or not path.exists():
        return
    for line in path.read_text().splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not configured.get(name):
            os.environ[name] = "".join(shlex.split(value))


def keep_log(settings: "Settings", data_dir: Path) -> None:
    """What is done is logged: beside the fleet's logs where there are some, else on stderr."""
    import logging

    from order_manager.logs import configure_logs

    configure_logs(settings, process="cli")
    folder = data_dir / "logs"
    if (data_dir / "fleet.json").exists() and os.access(folder, os.W_OK):
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream((folder / "cli.log").open("a"))
    else:
        logging.getLogger().setLevel(logging.WARNING)


@contextmanager
def plain_errors(settings: "Settings") -> Iterator[None]:
    """A server that is away, or refuses, is said in one line."""
    from kombu.exceptions import KombuError
    from kombu.exceptions import OperationalError as BrokerError
    from redis.exceptions import RedisError
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise click.ClickException(database_trouble(settings, error)) from None
    except NotConfirmed as error:
        raise click.ClickException(broker_trouble(settings, error.__cause__ or error)) from None
    except (KombuError, BrokerError, RedisError) as error:
        raise click.ClickException(broker_trouble(settings, error)) from None
    except ExchangeError as error:
        raise click.ClickException(f"the exchange ({settings.bybit_environment}): {error}") from None
    except SettingsInvalid as error:
        raise click.ClickException(str(error)) from None
    except UnicodeEncodeError as error:
        raise click.ClickException(f"an argument is no text: {error.reason}") from None


def database_trouble(settings: "Settings", error: Exception) -> str:
    """Why the database could not be asked, and what to mend."""
    first = first_line(getattr(error, "orig", None) or error)
    name = type(getattr(error, "orig", None)).__name__
    if name in {"UndefinedTable", "UndefinedColumn"}:
        return f"the database's schema is not this release's ({first}): run `order-manager migrate`"
    where = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}"
    return f"the database at {where} does not answer (POSTGRES_HOST, _PORT, _DB, _USER, _PASSWORD): {first}"


def broker_trouble(settings: "Settings", error: BaseException) -> str:
    """Why the broker could not be asked, and what to mend."""
    if settings.broker_is_rabbitmq:
        name, host, port = "RABBITMQ", settings.rabbitmq_host, settings.rabbitmq_port
    else:
        name, host, port = "REDIS", settings.redis_host, settings.redis_port
    return f"the broker at {host}:{port} ({name}_HOST, _PORT, _PASSWORD): {first_line(error)}"


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
