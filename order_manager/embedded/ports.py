"""TCP ports: taken when free, named when busy, the same again after a restart."""

import errno
import json
import random
import socket
from pathlib import Path

import psutil

from order_manager.embedded.files import write_atomically

# Below Linux' range for outgoing connections (32768 and up): while a server restarts, no connection of ours
# can be given its port.
LOWEST, HIGHEST = 20_000, 32_000


class PortBusy(ValueError):
    """Another process listens on the port. The message says which, if that can be told, and what to do."""

    def __init__(self, name: str, port: int, holder: str | None, advice: str) -> None:
        self.port = port
        self.holder = holder
        who = f" by {holder}" if holder else ""
        super().__init__(f"port {port} for {name} is in use{who}; stop it or choose another port {advice}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind now. Connections still closing on that port do not count, as for servers.

    Raises OSError for a port or host that we may not use at all.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def holder_of(port: int) -> str | None:
    """The process that listens on `port`, as "name (pid 123)"; None when the system does not tell us."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if (
                connection.status == psutil.CONN_LISTEN
                and address
                and address.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        return None
    return None


def claim_port(name: str, port: int, host: str = "127.0.0.1", *, advice: str = "with --port N") -> int:
    """`port`, free at this moment. Raises PortBusy naming it, its holder, and `advice`."""
    if not is_free(port, host):
        raise PortBusy(name, port, holder_of(port), advice)
    return port


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on now."""
    for port in random.sample(range(LOWEST, HIGHEST), k=1000):
        if is_free(port, host):
            return port
    raise PortBusy("an embedded server", LOWEST, None, f"between {LOWEST} and {HIGHEST}")


class RememberedPorts:
    """Which part of a data folder listens where, so that bookmarks and open shells survive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, name: str) -> int:
        """The port `name` had last time if it is free, else another; remembered for the next time."""
        known: dict[str, int] = json.loads(self._path.read_text()) if self._path.exists() else {}
        others = {port for other, port in known.items() if other != name}
        port = known.get(name)
        if port is None or not is_free(port):
            port = free_port()
            while port in others:
                port = free_port()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, json.dumps({**known, name: port}, indent=2) + "\n")
        return port
