"""Ports of this machine, for servers that only this machine may reach."""

import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
# Below the ports from which Linux and macOS serve outgoing connections: a client that keeps trying to
# reach a stopped server can be given the server's own port as its source, and then holds it.
# Redis, RabbitMQ and what comes with them have no default port here.
PORTS: Final = range(29_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listened on a moment ago.

    :raises OSError: there are not so many
    """
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"fewer than {count} ports are free from {PORTS.start} to {PORTS.stop}")
    return found


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
