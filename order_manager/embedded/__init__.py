"""Servers from the Python packages that are installed anyway: a desk needs no root and no Docker to start.

A server knows its command line, how to prepare its folder, and how to tell that it answers. Who runs it is
another matter: `ServerProcess` for tests and benchmarks, `order_manager.fleet` for `order-manager up`.
"""

from order_manager.embedded.credentials import Credentials
from order_manager.embedded.ports import PortBusy, RememberedPorts, claim_port, free_port
from order_manager.embedded.postgres import PostgresServer
from order_manager.embedded.processes import EmbeddedError, ServerProcess
from order_manager.embedded.rabbitmq import RabbitmqServer
from order_manager.embedded.redis import RedisServer

__all__ = [
    "Credentials",
    "EmbeddedError",
    "PortBusy",
    "PostgresServer",
    "RabbitmqServer",
    "RedisServer",
    "RememberedPorts",
    "ServerProcess",
    "claim_port",
    "free_port",
]
