"""Stop signals over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from encola.adapters.redis import RedisLinks, RedisStopSignals
from encola.application.ports import Lease
from encola.domain.context import TenantId
from encola.testing.builders import ACME, an_id
from encola.testing.contracts import StopSignalsContract
from encola.testing.contracts.stop_signals import receive
from encola.testing.servers import RedisServer

LEASE = Lease(tenant_id=ACME, job_id=an_id(1), attempt=1)
PATIENCE = 30.0
"""Seconds after which what was to happen has not."""


@asynccontextmanager
async def signalling(url: str, shards: int = 1) -> AsyncIterator[RedisStopSignals]:
    """Open stop signals with connections of their own, as another process would have."""
    links = RedisLinks(url, shards)
    stops = RedisStopSignals(links)
    await links.open()
    await stops.open()
    try:
        yield stops
    finally:
        await stops.close()
        await links.close()


async def send_until_received(sender: RedisStopSignals, receiver: RedisStopSignals) -> Lease:
    """Signal again and again, and return what arrives."""
    arrived = asyncio.create_task(receiver.receive())
    async with asyncio.timeout(PATIENCE):
        while not arrived.done():
            await sender.send(LEASE)
            await asyncio.wait({arrived}, timeout=0.05)
        return await arrived


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server of the test's own, to be killed and paused."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


class TestRedisStopSignals(StopSignalsContract):
    @pytest.fixture
    async def stops(self, redis_url: str) -> AsyncIterator[RedisStopSignals]:
        async with signalling(redis_url) as stops:
            yield stops


@pytest.mark.parametrize("shards", [1, 3])
async def test_every_process_hears_every_signal(redis_url: str, shards: int) -> None:
    leases = {replace(LEASE, tenant_id=TenantId(f"tenant-{number}")) for number in range(20)}
    async with signalling(redis_url, shards) as here, signalling(redis_url, shards) as elsewhere:
        for lease in leases:
            await here.send(lease)

        for stops in (here, elsewhere):
            assert {await receive(stops) for _ in leases} == leases


async def test_what_is_no_signal_is_dropped(redis_url: str) -> None:
    async with signalling(redis_url) as stops:
        with Redis.from_url(redis_url) as client:
            for data in (b"", b"acme", b"acme job x", b"\xff \xff 1", b"a b c d"):
                client.publish("encola:{0}::stops", data)
        await stops.send(LEASE)

        assert await receive(stops) == LEASE


async def test_signals_are_heard_again_after_redis_was_killed(server: RedisServer) -> None:
    async with signalling(server.url) as here, signalling(server.url) as elsewhere:
        await here.send(LEASE)
        assert await receive(elsewhere) == LEASE

        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

        assert await send_until_received(here, elsewhere) == LEASE


async def test_sending_without_redis_neither_fails_nor_waits_long(server: RedisServer) -> None:
    async with signalling(server.url) as stops:
        server.pause()
        async with asyncio.timeout(3):
            await stops.send(LEASE)
        server.resume()
        server.kill()
        async with asyncio.timeout(3):
            await stops.send(LEASE)


async def test_a_process_may_start_before_redis(server: RedisServer) -> None:
    server.stop()
    async with asyncio.timeout(PATIENCE), signalling(server.url) as stops:
        await asyncio.to_thread(server.start)

        assert await send_until_received(stops, stops) == LEASE
