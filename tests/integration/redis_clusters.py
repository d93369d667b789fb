"""Redis Cluster, as small as it gets."""

import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from encola.testing.loopback import free_ports
from encola.testing.servers import RedisServer

LAST_SLOT = 16383
OPTIONS = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}


def start_cluster(folder: Path, nodes: int) -> list[RedisServer]:
    """Start so many nodes, which share the slots evenly and know each other."""
    # By itself a node takes its port + 10000 for the others, which the system may have given away.
    buses = free_ports(nodes)
    servers = [
        RedisServer(folder / str(number), options={**OPTIONS, "cluster-port": str(bus)})
        for number, bus in enumerate(buses)
    ]
    for number, server in enumerate(servers):
        server.start()
        with Redis.from_url(server.url) as client:
            first, last = _slots(number, nodes)
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number:
                client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port, buses[0])
    for server in servers:
        _wait_until_whole(server)
    return servers


def owner_of(servers: list[RedisServer], key: str) -> int:
    """Return which of the nodes keeps the key."""
    with Redis.from_url(servers[0].url) as client:
        slot = int(client.execute_command("CLUSTER KEYSLOT", key))
    return next(n for n in range(len(servers)) if _slots(n, len(servers))[1] >= slot)


def _slots(number: int, nodes: int) -> tuple[int, int]:
    share = (LAST_SLOT + 1) // nodes
    return number * share, LAST_SLOT if number == nodes - 1 else (number + 1) * share - 1


def _wait_until_whole(server: RedisServer) -> None:
    deadline = time.monotonic() + 30
    with Redis.from_url(server.url) as client:
        while time.monotonic() < deadline:
            try:
                if client.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
                    return
            except RedisError:
                pass
            time.sleep(0.05)
    raise TimeoutError(f"the cluster of {server.url} does not become whole")
