"""The distributed profile: some APIs and workers, each with its own way to Redis and RabbitMQ."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from redis.asyncio import Redis

from encola.testing.servers import RabbitServer, RedisServer
from encola.testing.tcp_proxy import TcpProxy
from tests.chaos.processes import EncolaProcess
from tests.chaos.stack import APP, Stack, Timings

INDEXES = ("::taken", "::checks", "::due:*")


class DistributedStack(Stack):
    """Some ``encola api`` and some ``encola worker``, two and three if nothing is said.

    Each process reaches each server through a proxy of its own, so that one of them alone can be
    cut off, and from one server alone. Whoever does something to a server holds its lock.

    :ivar redis_ways: the proxies to Redis, by the name of the process; so ``rabbit_ways``
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: str = APP,
        timings: Timings | None = None,
        environment: Mapping[str, str] | None = None,
        apis: int = 2,
        workers: int = 3,
    ) -> None:
        super().__init__(folder, app=app, timings=timings, environment=environment)
        self._sizes = apis, workers
        self.redis = RedisServer(self.folder / "redis")
        self.rabbit = RabbitServer(self.folder / "rabbit")
        self.redis_lock = asyncio.Lock()
        self.rabbit_lock = asyncio.Lock()
        self.redis_ways: dict[str, TcpProxy] = {}
        self.rabbit_ways: dict[str, TcpProxy] = {}
        self._at_rest: dict[str, int] = {}

    async def heal(self) -> None:
        """Bring back the servers and the ways to them, then all else."""
        for server, lock in ((self.redis, self.redis_lock), (self.rabbit, self.rabbit_lock)):
            async with lock:
                if not server.is_running:
                    await asyncio.to_thread(server.start)
        for way in [*self.redis_ways.values(), *self.rabbit_ways.values()]:
            way.resume()
        await super().heal()

    async def remains(self) -> dict[str, int]:
        """Return what is left in the indexes and queues, and how many connections are too many."""
        indexed, connections = await self._redis_counts()
        return {
            "entries of the work indexes": indexed,
            "messages in RabbitMQ": await self._messages(),
            "connections to Redis beyond those at the start": connections - self._at_rest["redis"],
            "connections to RabbitMQ beyond those at the start": (
                await self._rabbit_connections() - self._at_rest["rabbit"]
            ),
        }

    async def _start_servers(self) -> None:
        self._exits.callback(self.redis.kill)
        self._exits.callback(self.rabbit.kill)
        await asyncio.gather(asyncio.to_thread(self.redis.start), asyncio.to_thread(self.rabbit.start))

    def _place_processes(self) -> None:
        apis, workers = self._sizes
        self.apis = [self._connected(f"api-{number}", "api", answers=True) for number in range(apis)]
        self.workers = [
            self._connected(f"worker-{number}", "worker", answers=False) for number in range(workers)
        ]

    async def _start_processes(self) -> None:
        await super()._start_processes()
        _, connections = await self._redis_counts()
        self._at_rest = {"redis": connections, "rabbit": await self._rabbit_connections()}

    def _connected(self, name: str, command: str, *, answers: bool) -> EncolaProcess:
        to_redis = self.redis_ways[name] = self._exits.enter_context(TcpProxy.of(self.redis.url))
        to_rabbit = self.rabbit_ways[name] = self._exits.enter_context(TcpProxy.of(self.rabbit.url))
        environment = {
            "ENCOLA_PROFILE": "distributed",
            "ENCOLA_REDIS_URL": to_redis.url(self.redis.url),
            "ENCOLA_AMQP_URL": to_rabbit.url(self.rabbit.url),
        }
        return self._process(name, [command], environment, answers=answers)

    async def _redis_counts(self) -> tuple[int, int]:
        """Return the entries of the work indexes, and the connections beside our own."""
        async with Redis.from_url(self.redis.url) as redis:
            entries = 0
            for index in INDEXES:
                async for key in redis.scan_iter(f"encola:*{index}", count=1000):
                    entries += await redis.zcard(key)
            return entries, len(await redis.client_list()) - 1

    async def _messages(self) -> int:
        told = await self._ctl("list_queues", "messages")
        return sum(map(int, told.split()))

    async def _rabbit_connections(self) -> int:
        return len((await self._ctl("list_connections", "pid")).splitlines())

    async def _ctl(self, *command: str) -> str:
        ctl: Callable[..., str] = self.rabbit.ctl
        async with self.rabbit_lock:
            return await asyncio.to_thread(ctl, *command)
