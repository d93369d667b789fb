"""What can go wrong with Redis, with RabbitMQ, and on the way to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from encola.testing.private_server import PrivateServer
from encola.testing.tcp_proxy import TcpProxy, Way
from tests.chaos.distributed import DistributedStack
from tests.chaos.faults import PROCESS_FAULTS, Fault
from tests.chaos.messages import redeliver, send_foreign
from tests.chaos.plan import FaultRange, PlannedFault
from tests.chaos.stack import Stack
from tests.chaos.troubles import Troubles

Do = Callable[[DistributedStack, PlannedFault], Awaitable[None]]
EVERYBODY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnServer:
    """A fault of a whole server, which everybody feels."""

    name: str
    do: Do

    async def __call__(self, stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
        assert isinstance(stack, DistributedStack)
        lock = stack.redis_lock if self.name == "redis" else stack.rabbit_lock
        async with lock:
            with troubles.happening(fault.kind):
                await self.do(stack, fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnTheWay:
    """A fault of the network, of one process or of all: ``begin`` it, and ``end`` it after a while."""

    name: str
    begin: Callable[[TcpProxy, PlannedFault], None]
    end: Callable[[TcpProxy], None] = TcpProxy.resume

    async def __call__(self, stack: Stack, fault: PlannedFault, troubles: Troubles) -> None:
        assert isinstance(stack, DistributedStack)
        ways = stack.redis_ways if self.name == "redis" else stack.rabbit_ways
        hit = _hit(stack, fault)
        with troubles.happening(fault.kind, *(process for process in stack.processes if process.name in hit)):
            for name in hit:
                self.begin(ways[name], fault)
            await asyncio.sleep(fault.lasts)
            for name in hit:
                self.end(ways[name])


def _hit(stack: Stack, fault: PlannedFault) -> Sequence[str]:
    names = [process.name for process in stack.processes]
    return names if fault.victim % EVERYBODY == 0 else [names[fault.victim % len(names)]]


@asynccontextmanager
async def _away(server: PrivateServer, seconds: float, leave: Callable[[], None]) -> AsyncIterator[None]:
    await asyncio.to_thread(leave)
    yield
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.start)


async def _kill_redis(stack: DistributedStack, fault: PlannedFault) -> None:
    async with _away(stack.redis, fault.lasts, stack.redis.kill):
        pass


async def _pause_redis(stack: DistributedStack, fault: PlannedFault) -> None:
    stack.redis.pause()
    await asyncio.sleep(fault.lasts)
    stack.redis.resume()


async def _fill_redis(stack: DistributedStack, fault: PlannedFault) -> None:
    async with Redis.from_url(stack.redis.url) as redis:
        await redis.config_set("maxmemory", "1mb")
        await asyncio.sleep(fault.lasts)
        await redis.config_set("maxmemory", "0")


async def _kill_rabbit(stack: DistributedStack, fault: PlannedFault) -> None:
    async with _away(stack.rabbit, fault.lasts, stack.rabbit.kill):
        pass


async def _restart_rabbit(stack: DistributedStack, fault: PlannedFault) -> None:
    await asyncio.to_thread(stack.rabbit.restart)


async def _wipe_rabbit(stack: DistributedStack, fault: PlannedFault) -> None:
    async with _away(stack.rabbit, fault.lasts, stack.rabbit.wipe):
        pass


async def _pause_rabbit(stack: DistributedStack, fault: PlannedFault) -> None:
    stack.rabbit.pause()
    await asyncio.sleep(fault.lasts)
    stack.rabbit.resume()


async def _alarm_rabbit(stack: DistributedStack, fault: PlannedFault) -> None:
    await asyncio.to_thread(stack.rabbit.ctl, "set_vm_memory_high_watermark", "0.000001")
    await asyncio.sleep(fault.lasts)
    await asyncio.to_thread(stack.rabbit.ctl, "set_vm_memory_high_watermark", "0.4")


async def _drop_queues(stack: DistributedStack, fault: PlannedFault) -> None:
    names = (await asyncio.to_thread(stack.rabbit.ctl, "list_queues", "name")).split()
    command = "delete_queue" if fault.victim % 2 else "purge_queue"
    for name in names:
        await asyncio.to_thread(stack.rabbit.ctl, command, name)


async def _redeliver(stack: DistributedStack, fault: PlannedFault) -> None:
    stack.sent["messages given twice"] += await redeliver(stack.rabbit.url, fault.lasts, fault.victim)


async def _send_foreign(stack: DistributedStack, fault: PlannedFault) -> None:
    stack.sent["foreign messages"] += await send_foreign(stack.rabbit.url)


def _cut(way: TcpProxy, fault: PlannedFault) -> None:
    way.cut()


def _refuse(way: TcpProxy, fault: PlannedFault) -> None:
    way.refuse()
    way.cut()


def _delay(way: TcpProxy, fault: PlannedFault) -> None:
    way.delay(20 + fault.victim % 280)


def _freeze(way: TcpProxy, fault: PlannedFault) -> None:
    ways = (), (Way.TO_SERVER,), (Way.TO_CLIENT,)
    way.freeze(*ways[fault.victim % len(ways)])


def _mute(way: TcpProxy, fault: PlannedFault) -> None:
    way.freeze(Way.TO_CLIENT)


def _lose_answers(way: TcpProxy) -> None:
    way.cut()
    way.resume()


def _of_redis(do: Do, weight: float, shortest: float, longest: float) -> Fault:
    return Fault(run=_OnServer(name="redis", do=do), range=_range(weight, shortest, longest))


def _of_rabbit(do: Do, weight: float, shortest: float, longest: float) -> Fault:
    return Fault(run=_OnServer(name="rabbit", do=do), range=_range(weight, shortest, longest))


def _on_the_way(on_the_way: _OnTheWay, longest: float) -> Fault:
    return Fault(run=on_the_way, range=_range(1, 0, longest))


def _range(weight: float, shortest: float, longest: float) -> FaultRange:
    return FaultRange(weight=weight, shortest=shortest, longest=longest)


ALL_FAULTS: Mapping[str, Fault] = {
    **PROCESS_FAULTS,
    "kill_redis": _of_redis(_kill_redis, 2, 0, 3),
    "pause_redis": _of_redis(_pause_redis, 1, 0.5, 7),
    "fill_redis": _of_redis(_fill_redis, 1, 0.5, 4),
    "kill_rabbit": _of_rabbit(_kill_rabbit, 2, 0, 3),
    "restart_rabbit": _of_rabbit(_restart_rabbit, 1, 0, 0),
    "wipe_rabbit": _of_rabbit(_wipe_rabbit, 2, 0, 2),
    "pause_rabbit": _of_rabbit(_pause_rabbit, 1, 0.5, 8),
    "alarm_rabbit": _of_rabbit(_alarm_rabbit, 1, 1, 8),
    "drop_queues": _of_rabbit(_drop_queues, 1, 0, 0),
    "redeliver": _of_rabbit(_redeliver, 2, 1, 5),
    "send_foreign": _of_rabbit(_send_foreign, 1, 0, 0),
    **{
        f"{name}_{server}": _on_the_way(_OnTheWay(name=server, begin=begin, end=end), longest)
        for server in ("redis", "rabbit")
        for name, begin, end, longest in (
            ("cut", _cut, TcpProxy.resume, 0.0),
            ("refuse", _refuse, TcpProxy.resume, 4.0),
            ("delay", _delay, TcpProxy.resume, 6.0),
            ("freeze", _freeze, TcpProxy.resume, 8.0),
            ("mute", _mute, _lose_answers, 0.5),
        )
    },
}
