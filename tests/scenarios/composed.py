"""The house as docker-compose.yml has it: its commands, its grace periods, all of it in one stage."""

import asyncio
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from order_manager.database.engine import connect
from order_manager.embedded import free_port
from order_manager.fleet.plan import plan_fleet
from order_manager.fleet.programs import Program
from order_manager.fleet.running import Fleet
from tests.scenarios.house import KEY, NO_LIMITS, ROOT, SECRET, TOKEN, House, PaperExchange

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PARENTS = {"lane-1", "lane-2", "maintenance", "web"}  # of one child each
SERVICE_OF = {"lane-1": "worker", "lane-2": "worker"}  # else a program is named after its service
STOPPED = re.compile(r"(?:exited|stopped): (\S+) \((exit status \d+|terminated by \w+)")


def grace_s(program: str) -> float:
    """How long `docker compose stop` waits before it kills."""
    return float(SERVICES[SERVICE_OF.get(program, program)]["stop_grace_period"].removesuffix("s"))


def command(program: str, **here: str) -> tuple[str, ...]:
    """The service's command; `here`: what is another one on this machine than in its container."""
    name, *words = map(str, SERVICES[SERVICE_OF.get(program, program)]["command"])
    found = [str(Path(sys.executable).with_name(name))]
    for word in words:
        for there, ours in here.items():
            word = word.replace(_THERE[there], ours)
        found.append(word)
    return tuple(found)


_THERE = {
    "host": "0.0.0.0",
    "node": "lane@",
    "folder": "/var/lib/order-manager",
    "web": "4600",
    "flower": "5555",
    "paper": "4700",
    "key": "${BYBIT_API_KEY:-}",
    "secret": "${BYBIT_API_SECRET:-}",
}


class Relay:
    """A server's address that can be cut off, as by a server that is away, or held, as by a silent one."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._server_address = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._let_through())

    def cut(self) -> None:
        """Connections end, and new ones are refused."""
        self._do(self._cut())

    def hold(self) -> None:
        """Connections stay, new ones are taken, and nothing comes through."""
        self._do(self._hold())

    def let_through(self) -> None:
        self._do(self._let_through())

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _hold(self) -> None:
        self._open.clear()

    async def _let_through(self) -> None:
        self._open.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._server_address)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
        writer.close()


@dataclass(kw_only=True)
class ComposedHouse(House):
    """Every program of docker-compose.yml, two symbol workers among them, under one supervisor."""

    broker: Relay
    postgres: Relay
    probes: Mapping[str, str]  # program -> an address that answers when it is up

    def holds(self, lock: int) -> bool:
        """Whether some process has an advisory lock of this class."""
        return self.count("pg_locks WHERE locktype = 'advisory' AND classid = :lock", lock=lock) > 0

    def exits(self) -> list[tuple[str, str]]:
        """(program, how) of every end that the supervisor saw."""
        text = (self.fleet.data_dir / "logs" / "supervisord.log").read_text()
        return STOPPED.findall(text)


@contextmanager
def composed_house(
    folder: Path,
    servers: Mapping[str, str],
    *,
    database_url: str,
    workers: int = 2,
    exchange_options: Sequence[str] = ("--create-limit=500", "--read-limit=2000"),
    **settings: str,
) -> Iterator[ComposedHouse]:
    """As `running_house`; none runs yet."""
    name = "RABBITMQ" if "RABBITMQ_HOST" in servers else "REDIS"
    broker = Relay(servers[f"{name}_HOST"], int(servers[f"{name}_PORT"]))
    postgres = Relay(servers["POSTGRES_HOST"], int(servers["POSTGRES_PORT"]))
    paper = PaperExchange(folder)
    configured = {
        **servers,
        **NO_LIMITS,
        f"{name}_HOST": "127.0.0.1",
        f"{name}_PORT": str(broker.port),
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(postgres.port),
        "BYBIT_ENVIRONMENT": "paper",
        "BYBIT_PAPER_URL": paper.url,
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "ORDERMANAGER_RECONCILIATION_INTERVAL": "2",
        "ORDERMANAGER_SWEEP_INTERVAL": "1",
        "ORDERMANAGER_RECV_WINDOW_MS": "1000",
        **settings,
    }
    web_port = free_port()
    plan = plan_fleet(folder, workers=workers, port=web_port, configured=configured)
    here = {
        "host": "127.0.0.1",
        "folder": str(folder),
        "web": str(web_port),
        "flower": str(free_port()),
        "paper": str(paper.port),
        "key": KEY,
        "secret": SECRET,
    }
    others = [Program(name=name, argv=(), env=plan.env) for name in ("flower", "paper")]
    programs = [
        replace(
            program,
            argv=command(program.name, node=f"{program.name}@", **here),
            priority=1,
            stop_wait_s=grace_s(program.name),
            ready=None,
        )
        for program in (*plan.programs, *others)
    ]
    of_test = ("--control-token", TOKEN, "--balance", "100000000", *exchange_options)
    programs[-1] = replace(programs[-1], argv=(*programs[-1].argv, *of_test))
    fleet = Fleet(folder, programs, env=plan.env)
    engine = connect(database_url, pool_size=2)
    probes = {program.name: program.metrics for program in plan.programs}
    probes |= {
        "flower": f"http://127.0.0.1:{here['flower']}/healthcheck",
        "paper": f"{paper.url}/v5/market/time",
    }
    house = ComposedHouse(
        env=plan.env,
        fleet=fleet,
        paper=paper,
        engine=engine,
        broker=broker,
        postgres=postgres,
        probes=probes,
    )
    try:
        yield house
    finally:
        broker.let_through()
        postgres.let_through()
        fleet.stop()
        engine.dispose()
        broker.close()
        postgres.close()
